//! Bursts on the page: how they went in each weather, and which broke a rule.

use super::{Text, head, pill, scrolling, section};
use crate::{
    BrokenBurst, Races, Weather,
    report::{Report, races},
};

/// The section; nothing if no report has bursts.
pub(super) fn races(reports: &[Report]) -> String {
    if reports.iter().all(|report| report.races.is_empty()) {
        return String::new();
    }
    let weathers = [Weather::Clear, Weather::Rough, Weather::Storm];
    let rows: String = weathers
        .iter()
        .filter(|weather| reports.iter().any(|report| run_in(report, **weather).is_some()))
        .map(|weather| row(reports, *weather))
        .collect();
    let table = scrolling("Races", "matrix", &format!("{}<tbody>\n{rows}</tbody>\n", head(&[""], reports)));
    let broken: String = reports.iter().flat_map(of_report).collect();
    let lead = "Clients that call at the same time: one order of all calls has to explain what each of them saw. In rough weather calls and replies get lost on their way; in stormy weather the server ends all sessions as well.";
    section("races", "Races", lead, &(table + &broken))
}

fn run_in(report: &Report, weather: Weather) -> Option<&Races> {
    report.races.iter().find(|run| run.weather == weather)
}

fn row(reports: &[Report], weather: Weather) -> String {
    let cells: String = reports
        .iter()
        .map(|report| match run_in(report, weather) {
            Some(run) => format!("<td>{}</td>", cell(run)),
            None => format!("<td>{}</td>", pill(("none", "–", "cannot meet it, or was not asked for"), "", None)),
        })
        .collect();
    format!("<tr><th scope=\"row\">{} weather</th>{cells}</tr>\n", races::weather(weather))
}

fn cell(run: &Races) -> String {
    let (look, outcome) = if run.violated > 0 {
        (("bad", "✕", "violated"), format!("{} of {} violated", run.violated, run.bursts))
    } else if let Some(reason) = &run.errored {
        (("bad", "!", "could not be judged"), reason.clone())
    } else if let Some(reason) = &run.not_run {
        (("open", "○", "not run"), reason.clone())
    } else {
        (("good", "✓", "in order"), format!("{} bursts in order", run.ok))
    };
    let unknown = if run.unknown > 0 { format!(" · {} without a verdict", run.unknown) } else { String::new() };
    format!(
        "{}<br><span class=\"soft\">{} calls · {} without an answer{unknown} · seed <code>{}</code></span>",
        pill(look, &Text(&outcome).to_string(), None),
        run.calls,
        run.lost,
        run.seed
    )
}

fn of_report(report: &Report) -> impl Iterator<Item = String> {
    report.races.iter().flat_map(|run| &run.violations).map(|broken| told(report, broken))
}

fn told(report: &Report, broken: &BrokenBurst) -> String {
    let file = races::file(&report.profile.id, broken.seed);
    format!(
        "<details class=\"failure bad\" open><summary><span class=\"pill bad\">violated</span> <code>{}</code> <span class=\"soft\">on {}, found by {}</span></summary>\n\
         <div class=\"body\"><pre>{}</pre><p><a href=\"{file}.html\">timeline</a> · <a href=\"{file}.json\">burst</a></p></div></details>\n",
        Text(&broken.violation.requirement),
        Text(&report.profile.id),
        Text(&broken.violation.checker),
        Text(&broken.violation.text),
    )
}
