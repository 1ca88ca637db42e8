//! What a report says of bursts.

use std::collections::BTreeMap;

use super::{Conclusion, Status};
use crate::{Races, Weather};

/// What a weather is called.
pub(super) const fn weather(weather: Weather) -> &'static str {
    match weather {
        Weather::Clear => "clear",
        Weather::Rough => "rough",
        Weather::Storm => "stormy",
    }
}

/// One line.
pub(super) fn line(run: &Races) -> String {
    let Races { bursts, calls, lost, ok, violated, unknown, seed, .. } = run;
    let weather = weather(run.weather);
    format!(
        "Bursts in {weather} weather: {bursts} with {calls} calls, {lost} of them without an answer: {ok} ok, \
         {violated} violated, {unknown} unknown; seed {seed}"
    )
}

/// All of it.
pub(super) fn text(run: &Races) -> String {
    let mut lines = vec![line(run)];
    lines.extend(run.errored.iter().map(|reason| format!("  could not be judged: {reason}")));
    lines.extend(run.not_run.iter().map(|reason| format!("  not run: {reason}")));
    for broken in &run.violations {
        let violation = &broken.violation;
        lines.push(format!(
            "  {} is broken in the burst of seed {}, found by {}:",
            violation.requirement, broken.seed, violation.checker
        ));
        lines.extend(violation.text.lines().map(|line| format!("    {line}")));
    }
    lines.join("\n")
}

/// What follows from bursts.
pub(super) fn conclusion(runs: &[Races]) -> Conclusion {
    let worst = runs.iter().map(|run| {
        if run.violated > 0 || run.errored.is_some() {
            Conclusion::Failed
        } else if run.not_run.is_some() {
            Conclusion::Partial
        } else {
            Conclusion::Certified
        }
    });
    worst.max().unwrap_or(Conclusion::Certified)
}

/// The name of the files that hold a burst, without its ending.
pub(super) fn file(profile: &str, seed: u64) -> String {
    format!("{profile}.burst-{seed:016x}")
}

/// The statuses of rules, with those that a burst broke.
pub(super) fn with_violated(mut statuses: BTreeMap<String, Status>, runs: &[Races]) -> BTreeMap<String, Status> {
    for broken in runs.iter().flat_map(|run| &run.violations) {
        statuses.insert(broken.violation.requirement.clone(), Status::Violated);
    }
    statuses
}
