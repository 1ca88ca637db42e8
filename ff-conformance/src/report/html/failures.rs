//! Every failure: the rule, what was expected, what came, and the calls that led there.

use super::{Text, look, place, prose, section};
use crate::{
    Call, Failure, Outcome, Requirement,
    report::{CaseReport, Report},
};

/// Failures that stand open when the page is opened.
const OPEN: usize = 3;

/// The section of the failures; nothing if there is none.
pub(super) fn failures(reports: &[Report]) -> String {
    let judged = reports.iter().filter(|report| report.no_server().is_none());
    let red = judged.flat_map(|report| report.cases.iter().map(move |case| (report, case)));
    let red = red.filter(|(_, case)| matches!(case.outcome, Outcome::Failed { .. } | Outcome::Errored { .. }));
    let list: String = red.enumerate().map(|(at, (report, case))| failure(report, case, at < OPEN)).collect();
    if list.is_empty() {
        return list;
    }
    let lead = "What was checked, what came, and the last calls with the time of the store.";
    let none = "<p class=\"empty\" data-none hidden>No failure has these words.</p>\n";
    section("failures", "Failures", lead, &format!("<div>{list}{none}</div>"))
}

fn failure(report: &Report, case: &CaseReport, open: bool) -> String {
    let look = look(&case.outcome);
    let (id, body) = match &case.outcome {
        Outcome::Failed { failure, .. } => (failure.requirement.as_str(), failed(failure)),
        Outcome::Errored { reason } => {
            ("", format!("<div class=\"side\"><b>reason</b><pre>{}</pre></div>\n", Text(reason)))
        }
        _ => ("", String::new()),
    };
    let again = format!("{} --case {}", report.run.reproduce, case.case);
    let words = format!("{} {} {id}", case.case, report.profile.id).to_lowercase();
    let rule = if id.is_empty() { String::new() } else { format!("<a href=\"#{0}\">{0}</a>", Text(id)) };
    format!(
        "<details class=\"failure {tone}\" id=\"{place}\" data-outcomes=\"{outcome}\" data-text=\"{words}\"{open}><summary><span class=\"pill {tone}\">{word}</span> <code>{case}</code> <span class=\"soft\">on {profile}</span> {rule}</summary>\n\
         <div class=\"body\">{body}{calls}<div class=\"again\"><span class=\"soft\">again</span><code>{again}</code><button type=\"button\" class=\"copy\" hidden>copy</button></div></div></details>\n",
        tone = look.0,
        word = look.2,
        place = place(report, &case.case),
        outcome = case.outcome.as_str(),
        words = Text(&words),
        open = if open { " open" } else { "" },
        case = Text(&case.case),
        profile = Text(&report.profile.id),
        calls = calls(&case.operations),
        again = Text(&again),
    )
}

fn failed(failure: &Failure) -> String {
    let rule = Requirement::find(&failure.requirement).map_or("", |requirement| requirement.text);
    let (expected, got) = differing(&failure.expectation, &failure.got);
    format!(
        "<p class=\"rule\">{}</p>\n<div class=\"sides\"><div class=\"side\"><b>checked, {}</b><code>{}</code></div><div class=\"side\"><b>expected</b><code>{expected}</code></div><div class=\"side\"><b>got</b><code>{got}</code></div></div>\n",
        prose(rule),
        Text(failure.place.as_str()),
        Text(&failure.subject),
    )
}

/// Both texts with what differs marked, where enough is alike for that to say something.
fn differing(expected: &str, got: &str) -> (String, String) {
    let (left, right): (Vec<_>, Vec<_>) = (expected.chars().collect(), got.chars().collect());
    let shorter = left.len().min(right.len());
    let begin = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    let end = left.iter().rev().zip(right.iter().rev()).take_while(|(a, b)| a == b).count().min(shorter - begin);
    let alike = begin + end;
    let marked = |text: &[char]| {
        let part = |range: &[char]| Text(&range.iter().collect::<String>()).to_string();
        let (head, rest) = text.split_at(begin);
        let (middle, tail) = rest.split_at(rest.len() - end);
        match middle {
            [] => part(text),
            middle => format!("{}<mark>{}</mark>{}", part(head), part(middle), part(tail)),
        }
    };
    if alike * 3 < shorter {
        (Text(expected).to_string(), Text(got).to_string())
    } else {
        (marked(&left), marked(&right))
    }
}

fn calls(calls: &[Call]) -> String {
    if calls.is_empty() {
        return String::new();
    }
    let origin = calls.iter().find_map(|call| call.at_ms);
    let rows: String = calls.iter().enumerate().map(|(at, call)| row(at + 1, call, origin)).collect();
    format!(
        "<div class=\"scroll calls\" role=\"region\" aria-label=\"Calls\" tabindex=\"0\"><table class=\"stack\"><thead><tr><th scope=\"col\">#</th><th scope=\"col\">store time</th><th scope=\"col\">client</th><th scope=\"col\">call</th><th scope=\"col\">answer</th></tr></thead><tbody>{rows}</tbody></table></div>\n"
    )
}

fn row(number: usize, call: &Call, origin: Option<i64>) -> String {
    let (when, exact) = match (call.at_ms, origin) {
        (Some(at), Some(origin)) => (offset(at - origin), format!("{at} ms since 1970")),
        _ => ("not known".to_owned(), "the suite does not hold this store's clock".to_owned()),
    };
    format!(
        "<tr><td class=\"nr\" data-label=\"call\">{number}</td><td class=\"when\" data-label=\"store time\" title=\"{exact}\">{when}</td><td data-label=\"client\"><span><span class=\"client\">{}</span></span></td><td class=\"said\" data-label=\"\"><code>{}</code></td><td class=\"said\" data-label=\"answer\"><code>{}</code></td></tr>\n",
        Text(&call.client),
        Text(&call.call),
        Text(call.answer.as_deref().unwrap_or("(no answer)")),
    )
}

/// An instant as the time since the first call that is shown.
fn offset(ms: i64) -> String {
    let sign = if ms < 0 { "−" } else { "+" };
    let ms = ms.unsigned_abs();
    let (seconds, rest) = (ms / 1000, ms % 1000);
    if seconds == 0 { format!("{sign}{rest} ms") } else { format!("{sign}{seconds}.{rest:03} s") }
}

#[cfg(test)]
mod tests {
    use super::{differing, offset};

    #[test]
    fn what_differs_is_marked() {
        let (expected, got) = differing("Ok(Lease { epoch: 2 })", "Ok(Lease { epoch: 17 })");
        assert_eq!(expected, "Ok(Lease { epoch: <mark>2</mark> })");
        assert_eq!(got, "Ok(Lease { epoch: <mark>17</mark> })");
        assert_eq!(differing("is refused", "Ok(())"), ("is refused".to_owned(), "Ok(())".to_owned()));
        assert_eq!(differing("a<b", "a<b"), ("a&lt;b".to_owned(), "a&lt;b".to_owned()));
    }

    #[test]
    fn times_are_told_from_the_first_call() {
        assert_eq!([0, 30, -2_001, 61_500].map(offset), ["+0 ms", "+30 ms", "−2.001 s", "+61.500 s"]);
    }
}
