//! Bursts of a run, on all backends at once.

use std::path::Path;

use ff_conformance::{BurstPlan, Control, Races, Weather, races, report::burst_files};

use super::{
    args::{Arguments, Backend},
    drive::Column,
};

/// Bursts of a backend in each weather without another number.
const BURSTS: u64 = 200;
/// Stores of a backend on which bursts are played at once, at most.
const MOST_JOBS: usize = 4;

/// The bursts of every backend, in the order of `columns`; none where they were not asked for or no store is to be had.
pub(super) async fn many(columns: &[Column], arguments: &Arguments) -> Vec<Vec<Races>> {
    futures::future::join_all(columns.iter().map(|column| one(column, arguments))).await
}

async fn one(column: &Column, arguments: &Arguments) -> Vec<Races> {
    if !column.has_server() {
        return Vec::new();
    }
    let has_sessions = column.harness.environment().topology.can_have(Control::Sessions);
    let faults: &[Weather] = match (arguments.faults, has_sessions) {
        (false, _) => &[],
        (true, false) => &[Weather::Rough],
        (true, true) => &[Weather::Rough, Weather::Storm],
    };
    let clear: &[Weather] = if arguments.races { &[Weather::Clear] } else { &[] };
    let mut runs = Vec::new();
    for (weathers, share) in [(clear, 1), (faults, u32::try_from(faults.len()).unwrap_or(1).max(1))] {
        let at_most = arguments.share().map(|time| time / share);
        for &weather in weathers {
            let bursts = arguments.bursts.unwrap_or(if at_most.is_some() { u64::MAX } else { BURSTS });
            let jobs = arguments.jobs(column.concurrency().min(MOST_JOBS));
            let plan = BurstPlan { bursts, seed: arguments.seed_of_plays(), jobs, weather, at_most };
            runs.push(races(&*column.harness, &plan).await);
        }
    }
    runs
}

/// Writes the bursts that broke a rule, each as JSON and as a page, and says where and how to see it again.
pub(super) fn write(backend: Backend, profile: &str, runs: &[Races], folder: &Path) -> Result<(), String> {
    for run in runs {
        for (name, text) in burst_files(profile, run) {
            super::write_file(&folder.join(name), &text)?;
        }
        for broken in &run.violations {
            let (flag, bursts, store) = (flag(run.weather), broken.place + 1, broken.store);
            println!("again: ./dev run --backend {backend} --{flag} --jobs 1 --bursts {bursts} --seed {store}");
        }
    }
    Ok(())
}

const fn flag(weather: Weather) -> &'static str {
    match weather {
        Weather::Clear => "races",
        Weather::Rough | Weather::Storm => "faults",
    }
}
