//! Bursts of a run, on all backends at once.

use std::{path::Path, time::Duration};

use ff_conformance::{BurstPlan, Races, Weather, races, report::burst_files};

use super::{
    args::{Arguments, Backend},
    drive::Column,
};

/// Bursts of a backend without another number.
const BURSTS: u64 = 200;
/// Stores of a backend on which bursts are played at once, at most.
const MOST_JOBS: usize = 4;

/// The bursts of every backend, in the order of `columns`; none where they were not asked for or no store is to be had.
pub(super) async fn many(columns: &[Column], arguments: &Arguments) -> Vec<Vec<Races>> {
    futures::future::join_all(columns.iter().map(|column| one(column, arguments))).await
}

async fn one(column: &Column, arguments: &Arguments) -> Vec<Races> {
    let wanted = [(Weather::Clear, arguments.races), (Weather::Rough, arguments.faults)];
    let wanted: Vec<_> = wanted.into_iter().filter(|(_, wanted)| *wanted && column.has_server()).collect();
    let share = arguments.hours.map(|hours| Duration::from_secs_f64(hours * 3600.0) / wanted.len().max(1) as u32);
    let mut runs = Vec::new();
    for (weather, _) in wanted {
        let bursts = arguments.bursts.unwrap_or(if share.is_some() { u64::MAX } else { BURSTS });
        let jobs = arguments.jobs(column.concurrency().min(MOST_JOBS));
        let plan = BurstPlan { bursts, seed: arguments.seed.unwrap_or(1), jobs, weather, at_most: share };
        runs.push(races(&*column.harness, &plan).await);
    }
    runs
}

/// Writes the bursts that broke a rule, each as JSON and as a page, and says where and how to see it again.
pub(super) fn write(backend: Backend, profile: &str, runs: &[Races], folder: &Path) -> Result<(), String> {
    for run in runs {
        for (name, text) in burst_files(profile, run) {
            super::write_file(&folder.join(name), &text)?;
        }
        if !run.violations.is_empty() {
            let (flag, bursts, seed) = (flag(run.weather), run.bursts, run.seed);
            println!("again: ./dev run --backend {backend} --{flag} --bursts {bursts} --seed {seed}");
        }
    }
    Ok(())
}

const fn flag(weather: Weather) -> &'static str {
    match weather {
        Weather::Clear => "races",
        Weather::Rough => "faults",
    }
}
