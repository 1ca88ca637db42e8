//! Two builds on one machine: each measures the same load in a process of its own, by turns.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Failure,
    arm::Side,
    drive::{Load, Shape},
    stage::{Stage, Store},
    stats, table,
};

/// Runs of each build.
const RUNS: usize = 9;

/// A build is slower if its ratio lies below this in 99 of 100 draws.
const LEAST: f64 = 0.95;

/// What is compared.
const LOADS: [(Store, Shape, usize); 6] = [
    (Store::Postgres, Shape::Claim, 1),
    (Store::Postgres, Shape::Claim, 16),
    (Store::Postgres, Shape::ClaimComplete, 16),
    (Store::Valkey, Shape::Claim, 1),
    (Store::Valkey, Shape::Claim, 16),
    (Store::Valkey, Shape::ClaimComplete, 16),
];

/// One run of the load with this number, for another process: its rate on stdout.
pub(crate) async fn once(stage: &Stage, number: Option<&str>) -> Result<(), Failure> {
    let number: usize = number.ok_or("once takes the number of a load")?.parse()?;
    let (store, shape, workers) = *LOADS.get(number).ok_or("there is no such load")?;
    let load = (store, Side::Ours, Load::new(shape, workers, store.count(workers)));
    // The first run finds cold caches.
    let rates = table::by_turns(stage, &[load], 2).await?;
    println!("{}", rates.first().and_then(|rates| rates.last()).ok_or("nothing was measured")?);
    Ok(())
}

/// Compares this build with `base`, the same program of another one; an error if this one is slower.
pub(crate) fn with(base: Option<&str>) -> Result<(), Failure> {
    let base = PathBuf::from(base.ok_or("compare takes the program of another build")?);
    let ours = std::env::current_exe()?;
    println!(
        "{:<18}  {:<8}  {:>7}  {:>9}  {:>9}  {:>5}  interval",
        "group", "store", "workers", "new/s", "base/s", "ratio"
    );
    let mut slower = Vec::new();
    for (number, (store, shape, workers)) in LOADS.into_iter().enumerate() {
        let mut rates = [Vec::new(), Vec::new()];
        for run in 0..RUNS {
            for turn in [run % 2, 1 - run % 2] {
                rates[turn].push(rate(if turn == 0 { &ours } else { &base }, number)?);
            }
        }
        let [new, old] = &rates;
        let (ratio, [least, most]) = stats::ratio_within(new, old, 0.99);
        println!(
            "{:<18}  {:<8}  {workers:>7}  {:>9.0}  {:>9.0}  {ratio:>5.2}  {least:.2}-{most:.2}",
            shape.to_string(),
            store.to_string(),
            stats::median(new),
            stats::median(old)
        );
        if most < LEAST {
            slower.push(format!("{store} {shape}, {workers} workers"));
        }
    }
    if slower.is_empty() { Ok(()) } else { Err(format!("slower than the base: {}", slower.join("; ")).into()) }
}

fn rate(program: &Path, number: usize) -> Result<f64, Failure> {
    let done = Command::new(program).args(["once", &number.to_string()]).output()?;
    if !done.status.success() {
        return Err(format!("{}: {}", program.display(), String::from_utf8_lossy(&done.stderr).trim()).into());
    }
    Ok(String::from_utf8(done.stdout)?.trim().parse()?)
}
