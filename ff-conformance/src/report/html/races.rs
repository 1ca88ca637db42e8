//! Bursts on the page: how many there were, and which broke a rule.

use super::{Report, Text};
use crate::report::races;

/// The section; nothing if no report has bursts.
pub(super) fn races(reports: &[Report]) -> String {
    if reports.iter().all(|report| report.races.is_empty()) {
        return String::new();
    }
    let mut text = String::from("<section id=\"races\"><h2>Races</h2>");
    for report in reports {
        for run in &report.races {
            let mark = if run.is_clean() { "✅" } else { "❌" };
            text.push_str(&format!("<h3>{mark} {}</h3><p>{}</p>", Text(&report.profile.id), Text(&races::line(run))));
            for reason in run.errored.iter().chain(&run.not_run) {
                text.push_str(&format!("<p>{}</p>", Text(reason)));
            }
            for broken in &run.violations {
                let file = races::file(&report.profile.id, broken.seed);
                let violation = &broken.violation;
                text.push_str(&format!(
                    "<p><b>{}</b>, found by {}: <a href=\"{file}.html\">timeline</a>, \
                     <a href=\"{file}.json\">burst</a></p><pre>{}</pre>",
                    Text(&violation.requirement),
                    Text(&violation.checker),
                    Text(&violation.text)
                ));
            }
        }
    }
    text.push_str("</section>");
    text
}
