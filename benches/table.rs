//! The ratio of both sides, from runs in which they alternate, as a table and as JSON.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use ff_conformance::{
    load::{document, plot},
    report,
};
use serde::Serialize;

use crate::{
    Failure, Row,
    arm::{Arm, Side},
    drive::Load,
    stage::{Settings, Stage, Store},
    stats::{self, median},
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
    /// The ceiling of the store, where it has one for such a load.
    bare_median: Option<f64>,
    /// Of the medians of ours and raw.
    ratio: f64,
    /// Where it lies in 95 of 100 draws of the runs.
    interval: [f64; 2],
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
    let folder = folder();
    report::write_file(&folder.join("claims.json"), &(serde_json::to_string_pretty(&figures)? + "\n"))?;
    report::write_file(&folder.join("claims.md"), &markdown(&figures))?;
    report::write_file(&folder.join("claims.html"), &html(&figures))?;
    println!("\nwrote claims.json, claims.md and claims.html in {}", folder.display());
    Ok(())
}

fn markdown(figures: &Figures) -> String {
    let mut text = String::from("# Closed loop\n\n");
    for (store, settings) in &figures.settings {
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let _ = writeln!(text, "{store}: {}\n", settings.join(", "));
    }
    let _ = writeln!(text, "{}\n", about(figures));
    text.push_str("| shape | store | workers | engine/s | by hand/s | bare/s | ratio | interval |\n");
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for row in &figures.rows {
        let bare = row.bare_median.map_or_else(|| "-".to_owned(), |bare| format!("{bare:.0}"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.0} | {:.0} | {bare} | {:.2} | {:.2}-{:.2} |",
            row.group,
            row.store,
            row.workers,
            row.ours_median,
            row.raw_median,
            row.ratio,
            row.interval[0],
            row.interval[1]
        );
    }
    text
}

fn about(figures: &Figures) -> String {
    format!("{} cores for clients and servers; medians of {} runs by turns.", figures.cores, figures.runs)
}

/// A plot of throughput by workers for each shape and store.
fn html(figures: &Figures) -> String {
    let mut body = String::new();
    let same = |one: &Figure, other: &Figure| one.group == other.group && one.store == other.store;
    for rows in figures.rows.chunk_by(same) {
        let Some(first) = rows.first() else { continue };
        let workers: Vec<_> = rows.iter().map(|row| row.workers.to_string()).collect();
        let workers: Vec<_> = workers.iter().map(String::as_str).collect();
        let line = |of: fn(&Figure) -> f64| rows.iter().map(of).collect::<Vec<_>>();
        let lines = [("engine", line(|row| row.ours_median)), ("by hand", line(|row| row.raw_median))];
        let title = format!("{} on {}: executions in a second by workers", first.group, first.store);
        body.push_str(&plot(&title, &workers, &lines));
    }
    document("Closed loop", &about(figures), &body)
}

async fn compare(stage: &Stage, row: Row) -> Result<Figure, Failure> {
    let loads: Vec<_> = Side::ALL.into_iter().filter(|side| side.has(row.store, row.load.shape)).collect();
    let rates =
        by_turns(stage, &loads.iter().map(|side| (row.store, *side, row.load)).collect::<Vec<_>>(), RUNS).await?;
    let mut rates = rates.into_iter();
    let (ours, raw) = (rates.next().unwrap_or_default(), rates.next().unwrap_or_default());
    let (ratio, interval) = stats::ratio(&ours, &raw);
    Ok(Figure {
        group: row.load.shape.to_string(),
        store: row.store.to_string(),
        workers: row.load.workers,
        count: row.load.count,
        ours_median: median(&ours),
        raw_median: median(&raw),
        bare_median: rates.next().map(|bare| median(&bare)),
        ratio,
        interval,
        ours,
        raw,
    })
}

/// Executions in a second, each run of each load; the loads alternate.
pub(crate) async fn by_turns(
    stage: &Stage,
    loads: &[(Store, Side, Load)],
    runs: usize,
) -> Result<Vec<Vec<f64>>, Failure> {
    let mut arms = Vec::new();
    for (store, side, load) in loads {
        arms.push(Arm::open(stage, *store, *side, load.workers).await?);
    }
    let mut rates = vec![Vec::with_capacity(runs); loads.len()];
    for run in 0..runs {
        for turn in 0..loads.len() {
            // A B, then B A: what grows with time meets all alike.
            let turn = if run % 2 == 0 { turn } else { loads.len() - 1 - turn };
            let (_, _, load) = loads[turn];
            rates[turn].push(rate(load.count, arms[turn].run(load).await?));
        }
    }
    Ok(rates)
}

#[expect(clippy::cast_precision_loss, reason = "a count below 2^53")]
fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// What the figures depend on.
pub(crate) fn show_settings(settings: &Settings) {
    for (store, settings) in settings {
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        println!("{store}: {}", settings.join(", "));
    }
}

fn show(figures: &Figures) {
    show_settings(&figures.settings);
    println!("{} cores for clients and servers; medians of {} runs by turns\n", figures.cores, figures.runs);
    println!(
        "{:<18}  {:<8}  {:>7}  {:>9}  {:>9}  {:>9}  {:>5}  interval",
        "group", "store", "workers", "ours/s", "raw/s", "bare/s", "ratio"
    );
    for row in &figures.rows {
        let [least, most] = row.interval;
        let bare = row.bare_median.map_or_else(|| "-".to_owned(), |bare| format!("{bare:.0}"));
        println!(
            "{:<18}  {:<8}  {:>7}  {:>9.0}  {:>9.0}  {bare:>9}  {:>5.2}  {least:.2}-{most:.2}",
            row.group, row.store, row.workers, row.ours_median, row.raw_median, row.ratio
        );
    }
}

/// `ff-bench` in Cargo's target folder, which holds this program.
pub(crate) fn folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.map_or_else(|| PathBuf::from("target"), PathBuf::from).join("ff-bench")
}
