//! The tables over all profiles: stems, operations, rules, and where both ways are right.

use ff_core::{Capability, Operation};

use super::{Text, cases_of, head, pill, prose, scrolling, section, status, tally, tone};
use crate::{
    CASES, REQUIREMENTS,
    matrix::stems,
    report::{Report, Status, goals, properties},
};

/// Stems × profiles; each cell leads to its cases.
pub(super) fn matrix(reports: &[Report]) -> String {
    let mut rows = String::from("<tbody>\n");
    for stem in stems().into_iter().filter(|stem| reports.iter().any(|report| report.executed(stem))) {
        let link = format!("cases-{stem}");
        let cells: String =
            reports.iter().map(|report| format!("<td>{}</td>", tally(&report.tally(stem), Some(&link)))).collect();
        rows.push_str(&format!("<tr><th scope=\"row\"><a href=\"#{link}\">{stem}</a></th>{cells}</tr>\n"));
    }
    let all: String = reports.iter().map(|report| format!("<td>{}</td>", tally(&report.footer.counts, None))).collect();
    let verdicts: String = reports.iter().map(verdict).collect();
    rows.push_str(&format!(
        "</tbody>\n<tfoot><tr><th scope=\"row\">all</th>{all}</tr>\n<tr><th scope=\"row\">verdict</th>{verdicts}</tr></tfoot>\n"
    ));
    let lead = "Cases by concept. ✓ passed · ⊘ denied, and the denial was tested · ✕ failed · ! could not be judged · ○ not run · – cannot run there.";
    section("matrix", "Matrix", lead, &scrolling("Cases by concept", "matrix", &(head(&[""], reports) + &rows)))
}

fn verdict(report: &Report) -> String {
    let word = report.no_server().map_or_else(|| report.footer.verdict.to_string(), |_| "no server".to_owned());
    format!("<td><span class=\"pill {}\">{word}</span></td>", tone(report.footer.verdict))
}

/// Operations × profiles: how many cases call it, and which refusals were seen.
pub(super) fn operations(reports: &[Report]) -> String {
    let mut rows = String::from("<tbody>\n");
    for &op in Operation::ALL {
        let stem = format!("{:?}", op.stem()).to_lowercase();
        let cells: String = reports
            .iter()
            .map(|report| format!("<td data-label=\"{}\">{}</td>", Text(&report.profile.id), operation(report, op)))
            .collect();
        rows.push_str(&format!(
            "<tr id=\"op-{op}\" data-text=\"{op} {stem}\"><th scope=\"row\"><a href=\"#cases\" data-query=\"calls:{op}\"><code>{op}</code></a><br><span class=\"more soft\">{stem}</span></th>{cells}</tr>\n"
        ));
    }
    rows.push_str("</tbody>\n");
    let lead = "How many cases call an operation, and how many of the refusals that its docs list were seen. An operation leads to its cases.";
    let none = "<p class=\"empty\" data-none hidden>No operation has these words.</p>\n";
    let table = scrolling("Operations", "stack", &(head(&["operation"], reports) + &rows));
    section("operations", "Operations", lead, &format!("<div>{table}{none}</div>"))
}

fn operation(report: &Report, op: Operation) -> String {
    let lacks = |gate: Capability| report.declared.as_ref().is_some_and(|declared| declared.lacks(gate));
    if Capability::of(op).is_some_and(lacks) {
        return pill(("denied", "⊘", "denied"), "denied", None);
    }
    let Some(answers) = report.coverage.methods.get(op.as_str()) else {
        return pill(("none", "?", "never called"), "never called", None);
    };
    let cases = report.cases.iter().filter(|case| case.calls(op)).count();
    let (seen, listed) = goals::refusals(&report.coverage.methods, op, report.profile.topology);
    let look = match (answers.contains_key("ok"), seen == listed) {
        (false, _) => ("bad", "✕", "never succeeded"),
        (true, true) => ("good", "✓", "works"),
        (true, false) => ("open", "○", "refusals not seen"),
    };
    let list: Vec<_> = answers.iter().map(|(code, count)| format!("{} {count}", Text(code))).collect();
    let refusals = if listed > 0 { format!("{seen} of {listed} refusals") } else { "no refusals".to_owned() };
    format!(
        "<div>{}<details class=\"more\"><summary>{refusals}</summary>{}</details></div>",
        pill(look, &cases_of(cases), None),
        list.join("<br>")
    )
}

/// Rules × profiles.
pub(super) fn rules(reports: &[Report]) -> String {
    let mut rows = String::from("<tbody>\n");
    for rule in REQUIREMENTS {
        let cases = CASES.iter().filter(|case| case.covers.contains(&rule.id)).count();
        let cases = cases_of(cases);
        let level = format!("{:?}", rule.level).to_uppercase();
        let cells: String = reports
            .iter()
            .map(|report| {
                let state = report.requirements.get(rule.id).copied().unwrap_or(Status::Untested);
                let look = if report.cannot_judge(rule.id) { ("none", "–", "ineligible") } else { status(state) };
                format!(
                    "<td data-label=\"{}\" class=\"result\"><div>{}</div></td>",
                    Text(&report.profile.id),
                    pill(look, look.2, None)
                )
            })
            .collect();
        let text = format!("{} {level} {}", rule.id, rule.text).to_lowercase();
        rows.push_str(&format!(
            "<tr id=\"{id}\" data-text=\"{text}\"><td class=\"what\"><code>{id}</code> <span class=\"soft ids\">{level} · <a href=\"#cases\" data-query=\"{query}\">{cases}</a></span><p>{rule}</p></td>{cells}</tr>\n",
            id = rule.id,
            text = Text(&text),
            query = rule.id.to_lowercase(),
            rule = prose(rule.text),
        ));
    }
    rows.push_str("</tbody>\n");
    let none = "<p class=\"empty\" data-none hidden>No rule has these words.</p>\n";
    let table = scrolling("Rules", "rows stack", &(head(&["rule"], reports) + &rows));
    section(
        "rules",
        "Rules",
        "What the contract asks, and what the cases say of it.",
        &format!("<div>{table}{none}</div>"),
    )
}

/// Where more than one way is right: what each profile declares, what it means and what it costs.
pub(super) fn differences(reports: &[Report]) -> String {
    let declared = |report: &Report, name: &str, limit: bool| {
        let declared = report.declared.as_ref()?;
        let values = if limit { &declared.limits } else { &declared.properties };
        values.get(name).cloned()
    };
    let mut rows = String::from("<tbody>\n");
    for name in properties::properties(reports) {
        let cell = |report: &Report| match declared(report, &name, false) {
            Some(value) => {
                let (effect, cost) = properties::effect(&name, &value);
                format!("<b>{}</b><br>{effect} <span class=\"more\">{cost}</span>", Text(&properties::word(&value)))
            }
            None => "not known".to_owned(),
        };
        rows.push_str(&row(&name, reports, cell));
    }
    for name in properties::limits(reports) {
        let cell = |report: &Report| {
            declared(report, &name, true)
                .map_or_else(|| "not known".to_owned(), |value| Text(&properties::word(&value)).to_string())
        };
        rows.push_str(&row(&name, reports, cell));
    }
    rows.push_str("</tbody>\n");
    let lead = "Where more than one way is right, a backend says which one is its own, and cases hold it to that; then its limits.";
    let table = scrolling("Properties and limits", "stack", &(head(&[""], reports) + &rows));
    section("differences", "Differences", lead, &table)
}

fn row(name: &str, reports: &[Report], cell: impl Fn(&Report) -> String) -> String {
    let cells: String = reports
        .iter()
        .map(|report| format!("<td data-label=\"{}\"><div>{}</div></td>", Text(&report.profile.id), cell(report)))
        .collect();
    format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", Text(&name.replace('_', " ")))
}
