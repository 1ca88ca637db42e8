//! `run --lockstep` and `run --tape`: tapes beside the executable specification.

use std::{fs, path::Path, process::ExitCode, time::Duration};

use ff_conformance::{
    Harness,
    lockstep::{self, Lockstep, Plan, Tape},
};

use super::{args::Arguments, drive::Column, progress::waiting};
use crate::command::complain;

/// Tapes from one seed where time says how many there are.
pub(super) const EACH_SEED: u64 = 20;
/// Tapes of a backend unless somebody says how many.
const TAPES: u64 = 200;

/// Plays the tapes that were asked for on every backend at once; nothing where none were, or there is no store.
pub(super) async fn many(columns: &[Column], arguments: &Arguments) -> Vec<Option<Lockstep>> {
    if !arguments.lockstep {
        return columns.iter().map(|_| None).collect();
    }
    let seed = arguments.seed_of_plays();
    let tapes = arguments.tapes.unwrap_or(TAPES);
    let progress = waiting("lock-step");
    let runs = columns.iter().map(|column| {
        let jobs = arguments.jobs(column.concurrency());
        let plan = Plan { jobs, until_plateau: arguments.tapes.is_none(), ..Plan::new(tapes, seed) };
        let bar = &progress;
        async move {
            if !column.has_server() {
                return None;
            }
            let tell = |run: &Lockstep| {
                bar.set_message(format!("lock-step on {}: {} of {tapes} tapes", column.backend, run.tapes));
            };
            Some(match arguments.share() {
                Some(time) => within(time, &*column.harness, &plan, tell).await,
                None => lockstep::lockstep(&*column.harness, &plan, tell).await,
            })
        }
    });
    let runs = futures::future::join_all(runs).await;
    progress.finish_and_clear();
    runs
}

/// Plays tapes until the time is over or one fails: so many from each seed, and then as many from the next.
async fn within(time: Duration, harness: &dyn Harness, plan: &Plan, mut tell: impl FnMut(&Lockstep)) -> Lockstep {
    let over = tokio::spawn(tokio::time::sleep(time));
    let mut all = Lockstep { seed: plan.seed, ..Lockstep::default() };
    for seed in plan.seed.. {
        let plan = Plan { tapes: EACH_SEED, seed, until_plateau: false, ..*plan };
        all.join(lockstep::lockstep(harness, &plan, |_| {}).await);
        tell(&all);
        if !all.failures.is_empty() || !all.errored.is_empty() || over.is_finished() {
            break;
        }
    }
    all
}

/// Plays one tape on every backend and says where it parts from the specification.
pub(super) async fn one(columns: &[Column], file: &Path) -> ExitCode {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return complain(&format!("{}: {error}", file.display())),
    };
    let tape = match Tape::read(&text) {
        Ok(tape) => tape,
        Err(error) => return complain(&format!("{}: {error}", file.display())),
    };
    let mut parted = false;
    for column in columns {
        match lockstep::replay(&*column.harness, tape.clone()).await {
            Ok(steps) => println!("{}: {steps} of {} steps, no disagreement", column.backend, tape.len()),
            Err(text) => {
                println!("{}: {text}", column.backend);
                parted = true;
            }
        }
    }
    if parted { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
