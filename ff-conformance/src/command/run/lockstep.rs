//! `run --lockstep` and `run --tape`: tapes beside the executable specification.

use std::{fs, path::Path, process::ExitCode};

use ff_conformance::lockstep::{self, Lockstep, Plan, Tape};

use super::{args::Arguments, drive::Column, progress::waiting};
use crate::command::complain;

/// Tapes of a backend unless somebody says how many.
const TAPES: u64 = 200;

/// Plays the tapes that were asked for on every backend at once; nothing where none were, or there is no store.
pub(super) async fn many(columns: &[Column], arguments: &Arguments) -> Vec<Option<Lockstep>> {
    if !arguments.lockstep {
        return columns.iter().map(|_| None).collect();
    }
    let (seed, at_most) = (arguments.seed_of_plays(), arguments.share());
    let tapes = arguments.tapes.unwrap_or(if at_most.is_some() { u64::MAX } else { TAPES });
    let all = if tapes == u64::MAX { String::new() } else { format!(" of {tapes}") };
    let progress = waiting("lock-step");
    let runs = columns.iter().map(|column| {
        let jobs = arguments.jobs(column.concurrency());
        let plan = Plan {
            jobs,
            until_plateau: arguments.tapes.is_none() && at_most.is_none(),
            until_failure: at_most.is_some(),
            at_most,
            ..Plan::new(tapes, seed)
        };
        let (bar, all) = (&progress, &all);
        async move {
            if !column.has_server() {
                return None;
            }
            let tell = |run: &Lockstep| {
                bar.set_message(format!("lock-step on {}: {}{all} tapes", column.backend, run.tapes));
            };
            Some(lockstep::lockstep(&*column.harness, &plan, tell).await)
        }
    });
    let runs = futures::future::join_all(runs).await;
    progress.finish_and_clear();
    runs
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
