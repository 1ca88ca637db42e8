//! Every case of the suite, by stem, with its outcome on each profile.

use std::collections::BTreeSet;

use super::{Text, cases_of, head, look, parts, pill, place, prose, section, tally};
use crate::{
    CASES, Case, Outcome,
    matrix::stems,
    report::{CaseReport, Report, Tally},
};

/// The section of the cases.
pub(super) fn cases(reports: &[Report]) -> String {
    let groups: String = stems().into_iter().map(|stem| group(stem, reports)).collect();
    let lead = "What each case shows, the rules that it covers, and how it ended.";
    let none = "<p class=\"empty\" data-none hidden>No case has these words and this outcome.</p>\n";
    section("cases", "Cases", lead, &format!("{}<div>{groups}{none}</div>", chips(reports)))
}

/// One switch for each outcome that is there.
fn chips(reports: &[Report]) -> String {
    let all: Vec<_> = reports.iter().map(|report| report.footer.counts).collect();
    let sum = |at: usize| all.iter().filter_map(|counts| parts(counts).get(at).map(|(_, count)| *count)).sum::<usize>();
    let chips: String = parts(&Tally::default())
        .into_iter()
        .enumerate()
        .map(|(at, ((tone, _, word), _))| (tone, word, sum(at)))
        .filter(|(_, _, count)| *count > 0)
        .map(|(tone, word, count)| {
            format!(
                "<button type=\"button\" class=\"chip {tone}\" data-outcome=\"{}\" aria-pressed=\"false\">{word} <b>{count}</b></button>",
                word.replace(' ', "_")
            )
        })
        .collect();
    format!("<div class=\"chips\" role=\"group\" aria-label=\"Only cases that ended so\">{chips}</div>\n")
}

fn group(stem: &str, reports: &[Report]) -> String {
    let own: Vec<_> = CASES.iter().filter(|case| case.stem == stem).collect();
    let rows: String = own.iter().map(|case| row(case, reports)).collect();
    let tallies: String = reports
        .iter()
        .map(|report| {
            format!("<span title=\"{}\">{}</span>", Text(&report.profile.id), tally(&report.tally(stem), None))
        })
        .collect();
    let open = if reports.iter().any(|report| report.no_server().is_none() && report.tally(stem).is_red()) {
        " open"
    } else {
        ""
    };
    format!(
        "<details class=\"stem\" id=\"cases-{stem}\"{open}><summary><span class=\"name\">{stem}</span> <span class=\"soft\"><span class=\"left\"></span>{}</span><span class=\"tallies\">{tallies}</span></summary>\n<table class=\"rows stack\">\n{}<tbody>\n{rows}</tbody></table></details>\n",
        cases_of(own.len()),
        head(&["case"], reports),
    )
}

fn row(case: &Case, reports: &[Report]) -> String {
    let path = case.path();
    let told: Vec<_> =
        reports.iter().map(|report| (report, report.cases.iter().find(|other| other.case == path))).collect();
    let outcomes: BTreeSet<_> = told.iter().filter_map(|(_, told)| told.map(|told| told.outcome.as_str())).collect();
    let calls: BTreeSet<_> = told
        .iter()
        .filter_map(|(_, told)| *told)
        .flat_map(|told| told.methods.iter())
        .map(|op| format!("calls:{op}"))
        .collect();
    let ids: String = case.covers.iter().map(|id| format!("<a href=\"#{id}\">{id}</a> ")).collect();
    let cells: String = told
        .iter()
        .map(|(report, told)| {
            format!(
                "<td class=\"result\" data-label=\"{}\"><div>{}</div></td>",
                Text(&report.profile.id),
                result(report, *told)
            )
        })
        .collect();
    let words = [path.as_str(), case.summary, &case.covers.join(" ")].join(" ").to_lowercase();
    format!(
        "<tr id=\"case-{path}\" data-outcomes=\"{}\" data-text=\"{} {}\"><td class=\"what\"><code>{}</code><p>{}</p><span class=\"ids\">{ids}</span></td>{cells}</tr>\n",
        outcomes.into_iter().collect::<Vec<_>>().join(" "),
        Text(&words),
        calls.into_iter().collect::<Vec<_>>().join(" "),
        case.name,
        prose(case.summary),
        path = Text(&path),
    )
}

fn result(report: &Report, told: Option<&CaseReport>) -> String {
    let Some(told) = told else { return pill(("open", "○", "absent"), "absent", None) };
    let look = look(&told.outcome);
    let more = match &told.outcome {
        Outcome::Passed => told.ms.map(|ms| format!("{ms} ms")),
        Outcome::Denied { op } => Some(op.clone()),
        Outcome::Failed { failure, .. } => Some(failure.requirement.clone()),
        // The card of the profile says it for all of its cases.
        Outcome::Errored { .. } => None,
        Outcome::NotRun { reason } | Outcome::Ineligible { reason } => Some(reason.clone()),
    };
    let red = matches!(told.outcome, Outcome::Failed { .. } | Outcome::Errored { .. }) && told.no_server().is_none();
    let link = red.then(|| place(report, &told.case));
    let more = more.map(|more| format!(" <span class=\"more\">{}</span>", Text(&more))).unwrap_or_default();
    pill(look, look.2, link.as_deref()) + &more
}
