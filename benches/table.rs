//! The ratio of both sides, from runs in which they alternate, as a table and as JSON.

use std::{path::PathBuf, time::Duration};

use ff_conformance::report;
use serde::Serialize;

use crate::{
    Failure, Row,
    arm::{Arm, Side},
    stage::{Settings, Stage},
};

/// Runs of each side.
const RUNS: usize = 7;

/// Everything that was measured.
#[derive(Serialize)]
struct Figures {
    cores: usize,
    runs: usize,
    settings: Settings,
    rows: Vec<Figure>,
}

/// One line.
#[derive(Serialize)]
struct Figure {
    group: String,
    store: String,
    workers: usize,
    count: u64,
    /// Executions in a second, each run.
    ours: Vec<f64>,
    raw: Vec<f64>,
    ours_median: f64,
    raw_median: f64,
    /// Of the medians.
    ratio: f64,
    /// The least and the greatest ratio of two runs that follow each other.
    ratio_range: [f64; 2],
}

/// Measures `rows` on both sides by turns, prints the table and writes it to `ff-bench/claims.json` in Cargo's target.
pub(crate) async fn print(stage: &Stage, rows: &[Row]) -> Result<(), Failure> {
    eprintln!("claims: the table, {RUNS} runs of each side by turns");
    let mut figures = Vec::with_capacity(rows.len());
    for row in rows {
        figures.push(compare(stage, *row).await?);
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let figures = Figures { cores, runs: RUNS, settings: stage.settings(), rows: figures };
    show(&figures);
    let file = folder().join("claims.json");
    report::write_file(&file, &(serde_json::to_string_pretty(&figures)? + "\n"))?;
    println!("\nwrote {}", file.display());
    Ok(())
}

async fn compare(stage: &Stage, row: Row) -> Result<Figure, Failure> {
    let arms = [open(stage, row, Side::Ours).await?, open(stage, row, Side::Raw).await?];
    let mut rates = [Vec::with_capacity(RUNS), Vec::with_capacity(RUNS)];
    for run in 0..RUNS {
        // A B, then B A: what grows with time meets both alike.
        for turn in [run % 2, 1 - run % 2] {
            let took = arms[turn].run(row.load).await?;
            rates[turn].push(rate(row.load.count, took));
        }
    }
    let [ours, raw] = rates;
    let (ours_median, raw_median) = (median(&ours), median(&raw));
    let pairs = || ours.iter().zip(&raw).map(|(ours, raw)| ours / raw);
    Ok(Figure {
        group: row.load.shape.to_string(),
        store: row.store.to_string(),
        workers: row.load.workers,
        count: row.load.count,
        ours_median,
        raw_median,
        ratio: ours_median / raw_median,
        ratio_range: [pairs().fold(f64::INFINITY, f64::min), pairs().fold(0.0, f64::max)],
        ours,
        raw,
    })
}

async fn open(stage: &Stage, row: Row, side: Side) -> Result<Arm, Failure> {
    Arm::open(stage, row.store, side, row.load.workers).await
}

#[expect(clippy::cast_precision_loss, reason = "a count below 2^53")]
fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn show(figures: &Figures) {
    for (store, settings) in &figures.settings {
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        println!("{store}: {}", settings.join(", "));
    }
    println!("{} cores for clients and servers; medians of {} runs by turns\n", figures.cores, figures.runs);
    println!(
        "{:<14}  {:<8}  {:>7}  {:>9}  {:>9}  {:>5}  range",
        "group", "store", "workers", "ours/s", "raw/s", "ratio"
    );
    for row in &figures.rows {
        let [least, most] = row.ratio_range;
        println!(
            "{:<14}  {:<8}  {:>7}  {:>9.0}  {:>9.0}  {:>5.2}  {least:.2}-{most:.2}",
            row.group, row.store, row.workers, row.ours_median, row.raw_median, row.ratio
        );
    }
}

/// `ff-bench` in Cargo's target folder, which holds this program.
fn folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.map_or_else(|| PathBuf::from("target"), PathBuf::from).join("ff-bench")
}
