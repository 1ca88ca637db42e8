//! Tapes beside the executable specification: how far they came, and where a store parted from it.

use super::{Text, head, pill, scrolling, section};
use crate::{
    lockstep::{Lockstep, LockstepFailure},
    report::{Report, lockstep::outcome},
};

/// The section of the tapes; nothing if no run played any.
pub(super) fn lockstep(reports: &[Report]) -> String {
    if reports.iter().all(|report| report.lockstep.is_none()) {
        return String::new();
    }
    let row = |title: &str, cell: &dyn Fn(&Lockstep) -> String| {
        let cells: String = reports
            .iter()
            .map(|report| match &report.lockstep {
                Some(run) => format!("<td>{}</td>", cell(run)),
                None => format!("<td>{}</td>", pill(("none", "–", "not asked for"), "", None)),
            })
            .collect();
        format!("<tr><th scope=\"row\">{title}</th>{cells}</tr>\n")
    };
    let rows = [
        row("tapes", &|run| run.tapes.to_string()),
        row("of the corpus", &|run| run.corpus.to_string()),
        row("steps", &|run| run.steps.to_string()),
        row("signatures", &|run| run.signatures.to_string()),
        row("nothing new at the end", &|run| if run.plateau { "yes" } else { "no" }.to_owned()),
        row("seed", &|run| format!("<code>{}</code>", run.seed)),
        row("goals not reached", &goals),
        row("outcome", &|run| pill(look(run), &outcome(run), None)),
    ]
    .concat();
    let table = scrolling("Lock-step", "matrix", &format!("{}<tbody>\n{rows}</tbody>\n", head(&[""], reports)));
    let failures: String = reports.iter().flat_map(of_report).collect();
    let lead = "Sequences of calls that are drawn from the state, played beside the executable specification: every answer, read and log has to be one that it allows. A signature is an operation, its end and the state that it met.";
    section("lockstep", "Lock-step", lead, &(table + &failures))
}

fn look(run: &Lockstep) -> (&'static str, &'static str, &'static str) {
    if run.failures.is_empty() && run.errored.is_empty() { ("good", "✓", "agrees") } else { ("bad", "✕", "failed") }
}

fn goals(run: &Lockstep) -> String {
    if run.goals_unmet.is_empty() {
        return "none".to_owned();
    }
    let list: Vec<_> = run.goals_unmet.iter().map(|goal| Text(goal).to_string()).collect();
    format!("<details class=\"more\"><summary>{}</summary>{}</details>", list.len(), list.join("<br>"))
}

fn of_report(report: &Report) -> Vec<String> {
    let Some(run) = &report.lockstep else { return Vec::new() };
    let errored = run
        .errored
        .iter()
        .map(|reason| format!("<p class=\"why bad\">{}: {}</p>\n", Text(&report.profile.id), Text(reason)));
    run.failures.iter().map(|failure| told(report, failure)).chain(errored).collect()
}

fn told(report: &Report, failure: &LockstepFailure) -> String {
    let place = failure.step.map_or("after the last step".to_owned(), |step| format!("at step {step}"));
    let side = |title: &str, text: &str| format!("<div class=\"side\"><b>{title}</b><pre>{}</pre></div>", Text(text));
    format!(
        "<details class=\"failure bad\" open><summary><span class=\"pill bad\">parted</span> <code>{subject}</code> <span class=\"soft\">{place} on {profile}, from {from}</span></summary>\n\
         <div class=\"body\"><div class=\"sides\">{call}{expected}{got}</div>{steps}\
         <details class=\"more\"><summary>the tape</summary><pre>{tape}</pre></details>\
         <details class=\"more\"><summary>a case that plays it</summary><pre>{case}</pre></details>\
         <div class=\"again\"><span class=\"soft\">again</span><code>{again}</code><button type=\"button\" class=\"copy\" hidden>copy</button></div></div></details>\n",
        subject = Text(&failure.subject),
        profile = Text(&report.profile.id),
        from = Text(&failure.from),
        call = side("call", &failure.call),
        expected = side("the specification allows", &failure.expected),
        got = side("the store says", &failure.got),
        steps = side("steps", &failure.listing()),
        tape = Text(&failure.tape),
        case = Text(&failure.case),
        again = Text(&failure.reproduce),
    )
}
