//! The lines of the targets, each by one command: what is promised, and what was measured.

mod costs;
mod idle;
mod others;
mod steady;
mod tail;

use std::fmt;

use ff_conformance::report;
use serde::Serialize;

use crate::{
    Failure,
    arm::Side,
    drive::{Load, Shape},
    stage::{Settings, Stage, Store},
    stats, table,
};

/// Runs of each side for one line.
const RUNS: usize = 7;

/// Runs of each side in a quick look.
const QUICK_RUNS: usize = 5;

/// The lines of a quick look.
const QUICK: [&str; 3] = ["1", "3", "7"];

/// All lines, in order.
const ALL: [&str; 16] = ["1", "2", "3", "4", "5", "6", "6b", "7", "8", "9", "10", "11", "12", "14", "15", "16"];

/// What is asked for.
pub(crate) struct Lines {
    numbers: Vec<String>,
    runs: usize,
}

/// What the arguments ask for: `line <n>…`, `line all`, or `quick`; nothing if they are others.
pub(crate) fn asked(arguments: &[String]) -> Result<Option<Lines>, Failure> {
    let known = ALL.join(", ");
    match arguments {
        [quick] if quick == "quick" => Ok(Some(Lines { numbers: QUICK.map(str::to_owned).to_vec(), runs: QUICK_RUNS })),
        [line, all] if line == "line" && all == "all" => {
            Ok(Some(Lines { numbers: ALL.map(str::to_owned).to_vec(), runs: RUNS }))
        }
        [line] if line == "line" => Err(format!("which line? {known} or all").into()),
        [line, numbers @ ..] if line == "line" => match numbers.iter().find(|number| !ALL.contains(&number.as_str())) {
            Some(number) => Err(format!("no command measures line {number}; there are {known}").into()),
            None => Ok(Some(Lines { numbers: numbers.to_vec(), runs: RUNS })),
        },
        _ => Ok(None),
    }
}

/// What a figure has to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => f.pad(&format!(">= {least}")),
            Self::AtMost(most) => f.pad(&format!("<= {most}")),
        }
    }
}

/// One figure of a line.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    line: String,
    what: String,
    value: f64,
    /// Of a ratio: where it lies in 95 of 100 draws of the runs.
    interval: Option<[f64; 2]>,
    target: Target,
    is_met: bool,
    /// The figures that it was computed from.
    from: Vec<Vec<f64>>,
}

impl Told {
    pub(crate) fn figure(line: &str, what: impl Into<String>, value: f64, target: Target) -> Self {
        let is_met = target.is_met(value);
        Self { line: line.to_owned(), what: what.into(), value, interval: None, target, is_met, from: Vec::new() }
    }

    /// The ratio of the rates of two sides.
    pub(crate) fn ratio(line: &str, what: impl Into<String>, [ours, other]: [Vec<f64>; 2], target: Target) -> Self {
        let (value, interval) = stats::ratio(&ours, &other);
        Self { interval: Some(interval), from: vec![ours, other], ..Self::figure(line, what, value, target) }
    }
}

#[derive(Serialize)]
struct Figures {
    cores: usize,
    runs: usize,
    settings: Settings,
    figures: Vec<Told>,
}

/// Measures the lines, prints what came of them and writes it to `ff-bench/lines.json` in Cargo's target.
pub(crate) async fn measure(stage: &Stage, lines: &Lines) -> Result<(), Failure> {
    let mut figures = Vec::new();
    for number in &lines.numbers {
        eprintln!("claims: line {number}");
        for told in line(stage, number, lines.runs).await? {
            show(&told);
            figures.push(told);
        }
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let figures = Figures { cores, runs: lines.runs, settings: stage.settings(), figures };
    println!();
    table::show_settings(&figures.settings);
    println!("{cores} cores for clients and servers; {} runs of each side by turns", figures.runs);
    let file = table::folder().join(format!("lines-{}.json", lines.numbers.join("-")));
    report::write_file(&file, &(serde_json::to_string_pretty(&figures)? + "\n"))?;
    println!("wrote {}", file.display());
    Ok(())
}

fn show(told: &Told) {
    let Told { line, what, value, interval, target, is_met, .. } = told;
    let interval = interval.map_or_else(String::new, |[least, most]| format!("{least:.2}-{most:.2}"));
    let met = if *is_met { "met" } else { "missed" };
    println!("{line:<4}{what:<58}{value:>12.2}  {interval:<12}{target:<12}{met}");
}

async fn line(stage: &Stage, number: &str, runs: usize) -> Result<Vec<Told>, Failure> {
    let ours_and_raw = |store, shape, target| {
        let what = move |workers: usize| format!("{store} {shape}, {workers} workers, ours / raw");
        sides(stage, number, store, [(Side::Ours, shape), (Side::Raw, shape)], what, target, runs)
    };
    Ok(match number {
        "1" => ours_and_raw(Store::Postgres, Shape::Claim, Target::AtLeast(0.85)).await?,
        "2" => ours_and_raw(Store::Postgres, Shape::ClaimMany(100), Target::AtLeast(0.8)).await?,
        "3" => {
            let mut told = ours_and_raw(Store::Postgres, Shape::ClaimComplete, Target::AtLeast(0.85)).await?;
            let fused = [(Side::Ours, Shape::CompleteAndClaim), (Side::Ours, Shape::ClaimComplete)];
            let what = |workers| format!("postgres complete_and_claim, {workers} workers, fused / two calls");
            told.extend(sides(stage, number, Store::Postgres, fused, what, Target::AtLeast(1.4), runs).await?);
            told
        }
        "4" => steady::aged(stage).await?,
        "5" => steady::held_back(stage).await?,
        "6" => vec![others::beside(stage, runs).await?],
        "6b" => {
            let mut told = others::behind(stage, runs).await?;
            told.extend(others::due_at_once(stage, runs).await?);
            told
        }
        "7" => ours_and_raw(Store::Valkey, Shape::Claim, Target::AtLeast(0.85)).await?,
        "8" => {
            let mut told = ours_and_raw(Store::Valkey, Shape::ClaimMany(100), Target::AtLeast(0.8)).await?;
            told.extend(ours_and_raw(Store::Valkey, Shape::ClaimComplete, Target::AtLeast(0.8)).await?);
            told
        }
        "9" => tail::p99(stage).await?,
        "10" => idle::latency(stage).await?,
        "11" => idle::questions(stage).await?,
        "12" => crowds(stage, runs).await?,
        "14" => vec![costs::log(stage).await?],
        "15" => vec![costs::memory(stage).await?],
        _ => vec![alone(stage, runs).await?],
    })
}

/// The ratio of two loads of one store, for each number of workers of the targets.
async fn sides(
    stage: &Stage,
    line: &str,
    store: Store,
    sides: [(Side, Shape); 2],
    what: impl Fn(usize) -> String,
    target: Target,
    runs: usize,
) -> Result<Vec<Told>, Failure> {
    let mut told = Vec::new();
    for workers in [1, 16, 64] {
        let load = |(side, shape)| (store, side, Load::new(shape, workers, store.count(workers)));
        let rates = table::by_turns(stage, &sides.map(load), runs).await?;
        let [ours, other] = <[Vec<f64>; 2]>::try_from(rates).map_err(|_| "two sides have two rates")?;
        told.push(Told::ratio(line, what(workers), [ours, other], target));
    }
    Ok(told)
}

/// Whether throughput falls with many workers: the slowest of 64 and more beside the fastest of all.
async fn crowds(stage: &Stage, runs: usize) -> Result<Vec<Told>, Failure> {
    let mut told = Vec::new();
    for store in [Store::Postgres, Store::Valkey] {
        let load = |workers| (store, Side::Ours, Load::new(Shape::Claim, workers, 4 * store.count(workers)));
        let rates = table::by_turns(stage, &[16, 64, 256, 1_024].map(load), runs).await?;
        let medians: Vec<_> = rates.iter().map(|rates| stats::median(rates)).collect();
        let peak = medians.iter().copied().fold(0.0, f64::max);
        let least = medians.iter().skip(1).copied().fold(f64::INFINITY, f64::min);
        let what = format!("{store} claim, slowest of 64, 256, 1,024 workers / peak");
        told.push(Told { from: rates, ..Told::figure("12", what, least / peak, Target::AtLeast(0.8)) });
    }
    Ok(told)
}

/// The memory backend on one thread.
async fn alone(stage: &Stage, runs: usize) -> Result<Told, Failure> {
    let load = (Store::Memory, Side::Ours, Load::new(Shape::ClaimComplete, 1, 100_000));
    let rates = table::by_turns(stage, &[load], runs).await?;
    let rate = rates.first().map_or(f64::NAN, |rates| stats::median(rates));
    let what = "memory claim and complete, 1 worker, pairs in a second";
    Ok(Told { from: rates, ..Told::figure("16", what, rate, Target::AtLeast(300_000.0)) })
}
