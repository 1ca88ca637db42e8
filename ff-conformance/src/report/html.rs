//! Reports as one page for people: everything is in the file, and it works from a disk.

mod cards;
mod cases;
mod failures;
mod lockstep;
mod races;
mod tables;

use std::fmt;

use super::{Conclusion, Report, Status, Tally};
use crate::Outcome;

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// One page over all `reports`.
#[must_use]
pub fn html(reports: &[Report]) -> String {
    let names: Vec<_> = reports.iter().map(|report| report.profile.id.as_str()).collect();
    let worst = reports.iter().map(|report| report.footer.verdict).max();
    let (colour, shape) = match worst {
        Some(Conclusion::Failed) => ("%23b4232a", "M5 5l6 6M11 5l-6 6"),
        Some(Conclusion::Partial) => ("%238a5300", "M4 8h8"),
        Some(Conclusion::Certified) | None => ("%2313734b", "M4 8.5l3 3 5-6"),
    };
    filled(PAGE, |name| match name {
        "title" => Text(&format!("Conformance: {}", names.join(", "))).to_string(),
        "icon" => colour.to_owned(),
        "shape" => shape.to_owned(),
        "css" => STYLE.to_owned(),
        "js" => SCRIPT.to_owned(),
        "suite" => suite(reports),
        "sections" => sections(reports),
        "body" => body(reports),
        "foot" => foot(reports),
        _ => String::new(),
    })
}

/// The template with each `{{name}}` replaced by `part`; what a part says is not looked at again.
fn filled(template: &str, part: impl Fn(&str) -> String) -> String {
    let mut pieces = template.split("{{");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or(("", piece));
        text.push_str(&part(name));
        text.push_str(rest);
    }
    text
}

fn suite(reports: &[Report]) -> String {
    let mut suites: Vec<_> = reports.iter().map(|report| &report.suite).collect();
    suites.dedup();
    let told = suites.iter().map(|suite| {
        format!(
            "Suite {} · contract {} · {} cases · registry <code>{:.12}</code>",
            Text(&suite.version),
            Text(&suite.contract),
            suite.cases,
            Text(&suite.registry_sha256).to_string()
        )
    });
    told.collect::<Vec<_>>().join("<br>")
}

fn sections(reports: &[Report]) -> String {
    let red = reports.iter().filter(|report| report.no_server().is_none()).map(|report| report.footer.counts.red());
    let red: usize = red.sum();
    let failures = format!("Failures <span class=\"count\">{red}</span>");
    let mut sections = vec![("verdicts", "Verdicts"), ("matrix", "Matrix")];
    if red > 0 {
        sections.push(("failures", &failures));
    }
    if reports.iter().any(|report| report.lockstep.is_some()) {
        sections.push(("lockstep", "Lock-step"));
    }
    if reports.iter().any(|report| !report.races.is_empty()) {
        sections.push(("races", "Races"));
    }
    sections.extend([
        ("cases", "Cases"),
        ("operations", "Operations"),
        ("rules", "Rules"),
        ("differences", "Differences"),
    ]);
    sections.iter().map(|(id, title)| format!("<a href=\"#{id}\">{title}</a>")).collect()
}

fn body(reports: &[Report]) -> String {
    [
        cards::verdicts(reports),
        tables::matrix(reports),
        failures::failures(reports),
        lockstep::lockstep(reports),
        races::races(reports),
        cases::cases(reports),
        tables::operations(reports),
        tables::rules(reports),
        tables::differences(reports),
    ]
    .concat()
}

fn foot(reports: &[Report]) -> String {
    let runs = reports.iter().map(|report| format!("{} of {}", Text(&report.run.id), Text(&report.run.started)));
    let mut runs: Vec<_> = runs.collect();
    runs.sort();
    runs.dedup();
    format!("Written by ff-conformance from the run {}. Nobody edits it.", runs.join(", "))
}

/// A text inside of an element or a quoted attribute.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self
            .0
            .chars()
            .map(|c| match c {
                '<' => "&lt;".to_owned(),
                '>' => "&gt;".to_owned(),
                '&' => "&amp;".to_owned(),
                '"' => "&quot;".to_owned(),
                '\'' => "&#39;".to_owned(),
                '\n' | '\t' => c.to_string(),
                c if c.is_control() => "\u{fffd}".to_owned(),
                c => c.to_string(),
            })
            .collect();
        f.write_str(&text)
    }
}

/// `1 case`, `2 cases`.
fn cases_of(count: usize) -> String {
    format!("{count} case{}", if count == 1 { "" } else { "s" })
}

/// Prose with what stands between backticks as code.
fn prose(text: &str) -> String {
    let mut told = String::new();
    for (at, part) in text.split('`').enumerate() {
        let part = Text(part);
        // Every second part stands between two of them.
        told.push_str(&if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_string() });
    }
    told
}

/// A section with its heading and one line on how to read it.
fn section(id: &str, title: &str, lead: &str, content: &str) -> String {
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n<p class=\"lead\">{lead}</p>\n{content}</section>\n"
    )
}

/// A table that scrolls by itself where the page is narrow.
fn scrolling(label: &str, class: &str, table: &str) -> String {
    format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\">\n<table class=\"{class}\">\n{table}</table>\n</div>\n"
    )
}

/// The heads of a table: its own first columns, then one for each profile.
fn head(first: &[&str], reports: &[Report]) -> String {
    let first = first.iter().map(|title| match *title {
        "" => "<td></td>".to_owned(),
        title => format!("<th scope=\"col\">{title}</th>"),
    });
    let profiles = reports.iter().map(|report| format!("<th scope=\"col\">{}</th>", Text(&report.profile.id)));
    format!("<thead><tr>{}</tr></thead>\n", first.chain(profiles).collect::<String>())
}

/// How an outcome is shown: tone, sign, word.
const fn look(outcome: &Outcome) -> (&'static str, &'static str, &'static str) {
    match outcome {
        Outcome::Passed => ("good", "✓", "passed"),
        Outcome::Denied { .. } => ("denied", "⊘", "denied"),
        Outcome::Failed { .. } => ("bad", "✕", "failed"),
        Outcome::Errored { .. } => ("bad", "!", "errored"),
        Outcome::NotRun { .. } => ("open", "○", "not run"),
        Outcome::Ineligible { .. } => ("none", "–", "ineligible"),
    }
}

/// How the status of a rule is shown: tone, sign, word.
const fn status(status: Status) -> (&'static str, &'static str, &'static str) {
    match status {
        Status::Verified => ("good", "✓", "verified"),
        Status::Denied => ("denied", "⊘", "denied"),
        Status::Violated => ("bad", "✕", "violated"),
        Status::Quirk => ("open", "≈", "quirk"),
        Status::NotRun => ("open", "○", "not run"),
        Status::Untested => ("none", "?", "untested"),
    }
}

/// The tone of a verdict.
const fn tone(verdict: Conclusion) -> &'static str {
    match verdict {
        Conclusion::Certified => "good",
        Conclusion::Partial => "open",
        Conclusion::Failed => "bad",
    }
}

/// A sign with its text; the word behind the sign is for those who do not see it.
fn pill((tone, sign, word): (&str, &str, &str), text: &str, link: Option<&str>) -> String {
    let content = format!("<span aria-hidden=\"true\">{sign}</span><span class=\"sr\">{word} </span>{text}");
    match link {
        Some(link) => format!("<a class=\"pill {tone}\" href=\"#{link}\" title=\"{word}\">{content}</a>"),
        None => format!("<span class=\"pill {tone}\" title=\"{word}\">{content}</span>"),
    }
}

/// The counts of one cell, each with its sign; only what is there.
fn tally(tally: &Tally, link: Option<&str>) -> String {
    let pills: String = parts(tally)
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(look, count)| pill(look, &count.to_string(), link))
        .collect();
    if pills.is_empty() { pill(("none", "?", "no case"), "", None) } else { pills }
}

/// The counts by their looks, in the order of a cell: what went wrong first.
fn parts(tally: &Tally) -> [((&'static str, &'static str, &'static str), usize); 6] {
    [
        (("bad", "✕", "failed"), tally.failed),
        (("bad", "!", "errored"), tally.errored),
        (("open", "○", "not run"), tally.not_run),
        (("good", "✓", "passed"), tally.passed),
        (("denied", "⊘", "denied"), tally.denied),
        (("none", "–", "ineligible"), tally.ineligible),
    ]
}

/// Where the details of a case that failed stand.
fn place(report: &Report, case: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("f-{}-{}", report.profile.id, case).chars().map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::{Text, filled, prose};

    #[test]
    fn text_is_escaped() {
        assert_eq!(Text("<a href='x'>\"&\u{7}").to_string(), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\u{fffd}");
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        assert_eq!(prose("`a<b` is c"), "<code>a&lt;b</code> is c");
    }

    #[test]
    fn a_part_is_not_a_template() {
        assert_eq!(filled("a{{x}}b{{y}}", |name| format!("[{{{{{name}}}}}]")), "a[{{x}}]b[{{y}}]");
    }
}
