//! A report as JUnit XML, for the test views of CI systems.

use std::fmt::Write;

use super::{CaseReport, Report};
use crate::Outcome;

/// The report as one `testsuite`: a denied case has passed, one that was not run is skipped.
#[must_use]
pub fn junit(report: &Report) -> String {
    let counts = &report.footer.counts;
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\" timestamp=\"{}\">",
        escaped(&report.profile.id),
        counts.total(),
        counts.failed,
        counts.errored,
        counts.not_run + counts.ineligible,
        seconds(report.run.duration_ms),
        escaped(report.run.started.trim_end_matches('Z')),
    );
    for case in &report.cases {
        let (stem, name) = case.case.split_once("::").unwrap_or(("", &case.case));
        let (stem, name, time) = (escaped(stem), escaped(name), seconds(case.ms.unwrap_or_default()));
        let _ = write!(text, "  <testcase classname=\"{stem}\" name=\"{name}\" time=\"{time}\"");
        let content = content(case, &report.identity.name, &report.run.reproduce);
        if content.is_empty() {
            text.push_str("/>\n");
        } else {
            let _ = writeln!(text, ">{content}</testcase>");
        }
    }
    text.push_str("</testsuite>\n");
    text
}

fn content(case: &CaseReport, backend: &str, reproduce: &str) -> String {
    let told = || escaped(&case.text(backend, &format!("{reproduce} --case {}", case.case)));
    match &case.outcome {
        Outcome::Passed => String::new(),
        Outcome::Denied { .. } => "<properties><property name=\"outcome\" value=\"denied\"/></properties>".to_owned(),
        Outcome::Failed { failure, .. } => {
            format!("<failure message=\"{}\">{}</failure>", escaped(&failure.requirement), told())
        }
        Outcome::Errored { reason } => format!("<error message=\"{}\">{}</error>", escaped(reason), told()),
        Outcome::NotRun { reason } | Outcome::Ineligible { reason } => {
            format!("<skipped message=\"{}\"/>", escaped(reason))
        }
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            // XML 1.0 has no form for other control characters.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{escaped, seconds};

    #[test]
    fn text_is_escaped_and_seconds_have_three_digits() {
        assert_eq!(escaped("a<b>&\"c\"\0\n"), "a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}\n");
        assert_eq!(seconds(12_034), "12.034");
    }
}
