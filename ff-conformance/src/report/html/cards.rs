//! The verdict of each profile, with the facts that it rests on.

use super::{Text, parts, pill, section, tone};
use crate::report::{Conclusion, Report};

/// Goals that a card shows.
const MOST_GOALS: usize = 6;

/// The section of the verdicts.
pub(super) fn verdicts(reports: &[Report]) -> String {
    let cards: String = reports.iter().map(card).collect();
    let lead = "<b>certified</b>: everything that can exist there ran and held. <b>partial</b>: nothing is broken, and something did not run. <b>failed</b>: a case failed or could not be judged.";
    section("verdicts", "Verdicts", lead, &format!("<div class=\"cards\">\n{cards}</div>\n"))
}

fn card(report: &Report) -> String {
    let verdict = report.footer.verdict;
    let word = report.no_server().map_or_else(|| verdict.to_string(), |_| "no server".to_owned());
    let sign = match verdict {
        Conclusion::Certified => "✓",
        Conclusion::Partial => "○",
        Conclusion::Failed => "✕",
    };
    let counts = &report.footer.counts;
    let there = || parts(counts).into_iter().filter(|(_, count)| *count > 0);
    let strip: String =
        there().map(|((tone, ..), count)| format!("<i class=\"{tone}\" style=\"flex:{count}\"></i>")).collect();
    let list: String =
        there().map(|((tone, _, word), count)| format!("<li class=\"{tone}\"><b>{count}</b> {word}</li>")).collect();
    format!(
        "<article class=\"card {tone}\" aria-label=\"{id}: {word}\">\n<div class=\"card-head\"><h3>{id}</h3>{verdict}</div>\n\
         <div class=\"soft\">{server}</div>\n<div class=\"strip\" aria-hidden=\"true\">{strip}</div>\n<ul class=\"counts\">{list}</ul>\n{why}{facts}</article>\n",
        tone = tone(verdict),
        id = Text(&report.profile.id),
        verdict = pill((tone(verdict), sign, ""), &Text(&word).to_string(), None).replace("pill", "pill verdict"),
        server = Text(&server(report)),
        why = why(report),
        facts = facts(report),
    )
}

fn server(report: &Report) -> String {
    match report.profile.server.as_str() {
        _ if report.no_server().is_some() => "nothing was judged".to_owned(),
        "none" | "unknown" => report.profile.source.clone(),
        server => format!("{server}, by {}", report.profile.source),
    }
}

/// Why the verdict is not the best one, as far as no case says so.
fn why(report: &Report) -> String {
    if let Some(reason) = report.no_server() {
        return format!("<div class=\"why\"><pre>{}</pre></div>\n", Text(reason));
    }
    let goals = &report.coverage.goals_unmet;
    if goals.is_empty() {
        return String::new();
    }
    let list: String = goals.iter().take(MOST_GOALS).map(|goal| format!("<li>{}</li>", Text(goal))).collect();
    let more = goals.len().saturating_sub(MOST_GOALS);
    let more = if more > 0 { format!("<li>and {more} more</li>") } else { String::new() };
    format!("<div class=\"why\">Goals that the run did not meet:<ul>{list}{more}</ul></div>\n")
}

fn facts(report: &Report) -> String {
    let (profile, run) = (&report.profile, &report.run);
    let dirty = if run.dirty { ", with changes" } else { "" };
    let controls: Vec<_> = profile.controls.iter().map(|control| control.as_str()).collect();
    let seeds: Vec<_> = run.seeds.iter().map(u64::to_string).collect();
    let settings: Vec<_> = profile.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let rows = [
        ("backend", format!("{} {}", report.identity.name, report.identity.version)),
        ("read on", report.identity.url.clone()),
        ("image", profile.image.clone().unwrap_or_default()),
        ("topology", format!("{:?}", profile.topology).to_lowercase().replace("inprocess", "in process")),
        ("controls", controls.join(", ")),
        ("settings", settings.join(", ")),
        ("run", format!("{}, {}.{:03} s", run.started, run.duration_ms / 1000, run.duration_ms % 1000)),
        ("commit", run.commit.as_ref().map(|commit| format!("{commit:.12}{dirty}")).unwrap_or_default()),
        ("seeds", seeds.join(", ")),
        ("machine", format!("{}, {} processors", run.host.os, run.host.cpus)),
        ("again", run.reproduce.clone()),
    ];
    let rows: String = rows
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", Text(value)))
        .collect();
    format!("<details><summary>Server, settings, run</summary><dl>{rows}</dl></details>\n")
}
