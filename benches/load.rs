//! The open loop: arrivals keep to their schedule whatever the store does, and waiting counts from the intended instant.

mod jobs;
mod pace;
mod page;
mod stall;

use std::time::Duration;

use ff_conformance::report;
use serde::Serialize;

use crate::{
    Failure,
    arm::Side,
    drive::{Load, Run, Shape},
    engine::Engine,
    raw::{RawPostgres, RawValkey},
    stage::{Settings, Stage, Store},
    stats, table,
};

pub(crate) use jobs::{Ledger, Phase};
pub(crate) use pace::{Paced, Summary};

/// The longest response that a sustained rate may have at p99.
const SLO: Duration = Duration::from_millis(100);

/// For how long one rate is tried.
const TRIAL: Duration = Duration::from_secs(3);

/// For how long both sides are measured at the same rate, and how often.
const STEADY: Duration = Duration::from_secs(5);
const ROUNDS: usize = 5;

/// Halvings of the gap between a rate that was sustained and one that was not.
const HALVINGS: usize = 4;

/// What the open loop has measured on one store.
#[derive(Serialize)]
pub(crate) struct Figures {
    store: String,
    /// Claims in a second that are sustained: p99 within the limit, achieved within 1 %, no growing lag.
    sustained: f64,
    /// Both sides at 70 % of that.
    rate: f64,
    ours: Vec<Summary>,
    raw: Vec<Summary>,
    /// The ratio of the medians of p99, and where it lies in 95 of 100 draws.
    p99_ratio: f64,
    p99_interval: [f64; 2],
    /// Executions that were created, claimed and completed, phase by phase.
    phases: Vec<Phase>,
    ledger: Ledger,
}

#[derive(Serialize)]
pub(crate) struct Published {
    cores: usize,
    settings: Settings,
    /// What the planted stall looked like: p99 of responses, in milliseconds.
    stall_p99_ms: f64,
    stores: Vec<Figures>,
}

/// Measures every store and publishes, if the loop has seen the stall that was planted first.
pub(crate) async fn measure(stage: &Stage) -> Result<(), Failure> {
    let stall_p99_ms = stall::check().await?;
    eprintln!("claims: the planted stall shows: p99 {stall_p99_ms:.0} ms");
    let mut stores = Vec::new();
    for store in [Store::Postgres, Store::Valkey] {
        stores.push(of_store(stage, store).await?);
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let published = Published { cores, settings: stage.settings(), stall_p99_ms, stores };
    let folder = table::folder();
    let json = serde_json::to_string_pretty(&published)? + "\n";
    report::write_file(&folder.join("load.json"), &json)?;
    report::write_file(&folder.join("load.md"), &page::markdown(&published))?;
    report::write_file(&folder.join("load.html"), &page::html(&published))?;
    print!("{}", page::markdown(&published));
    println!("\nwrote load.json, load.md and load.html in {}", folder.display());
    match published.stores.iter().find(|figures| !figures.ledger.is_clean()) {
        Some(figures) => Err(format!("{}: jobs were lost or done twice, which voids the run", figures.store).into()),
        None => Ok(()),
    }
}

async fn of_store(stage: &Stage, store: Store) -> Result<Figures, Failure> {
    let closed = (store, Side::Ours, Load::new(Shape::Claim, 16, store.count(16)));
    let first = table::by_turns(stage, &[closed], 3).await?;
    let guess = first.first().map_or(100.0, |rates| stats::median(rates));
    let sustained = search(stage, store, guess).await?;
    let rate = 0.7 * sustained;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for turn in [round % 2, 1 - round % 2] {
            let side = if turn == 0 { Side::Ours } else { Side::Raw };
            let summary = paced(stage, store, side, rate, STEADY).await?.summary();
            if side == Side::Ours { ours.push(summary) } else { raw.push(summary) }
        }
    }
    let p99 = |summaries: &[Summary]| summaries.iter().map(Summary::p99_ms).collect::<Vec<_>>();
    let (p99_ratio, p99_interval) = stats::ratio(&p99(&ours), &p99(&raw));
    // Each job is a create, a claim and a completion.
    let (phases, ledger) = jobs::measure(stage, store, rate / 4.0).await?;
    let store = store.to_string();
    Ok(Figures { store, sustained, rate, ours, raw, p99_ratio, p99_interval, phases, ledger })
}

/// The highest rate that is sustained: doubled or halved until both kinds are known, then the gap is halved.
async fn search(stage: &Stage, store: Store, guess: f64) -> Result<f64, Failure> {
    let holds = async |rate: f64| {
        let paced = paced(stage, store, Side::Ours, rate, TRIAL).await?;
        eprintln!("claims: {store} at {rate:.0}/s: p99 {:.1} ms", paced.summary().p99_ms());
        Ok::<_, Failure>(paced.is_sustained(SLO))
    };
    let (mut held, mut broken) = (0.0, guess);
    while holds(broken).await? {
        held = broken;
        broken *= 1.5;
    }
    while held == 0.0 {
        let lower = broken / 1.5;
        if lower < 1.0 {
            return Err(format!("{store} sustains no rate at all").into());
        }
        if holds(lower).await? { held = lower } else { broken = lower }
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(held, broken);
        if holds(middle).await? { held = middle } else { broken = middle }
    }
    Ok(held)
}

/// Claims of one side at a rate, on a store with enough rows.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of rows")]
async fn paced(stage: &Stage, store: Store, side: Side, rate: f64, time: Duration) -> Result<Paced, Failure> {
    const WORKERS: usize = 64;
    let rows = (rate * time.as_secs_f64()) as u64 + 1_000;
    match (store, side) {
        (Store::Postgres, Side::Ours) => {
            let run = Engine::postgres(stage.postgres().await?, WORKERS).await?.fill(rows).await?;
            pace::claims(warm(run).await?, rate, time).await
        }
        (Store::Postgres, _) => {
            let run = RawPostgres::open(&*stage.postgres().await?, WORKERS)?.fill(rows).await?;
            pace::claims(warm(run).await?, rate, time).await
        }
        (_, Side::Ours) => {
            let run = Engine::valkey(stage.valkey().await?).await?.fill(rows).await?;
            pace::claims(warm(run).await?, rate, time).await
        }
        _ => {
            let run = RawValkey::open(stage.valkey().await?).await?.fill(rows).await?;
            pace::claims(warm(run).await?, rate, time).await
        }
    }
}

/// Connections are made and statements prepared.
async fn warm<R: Run>(run: R) -> Result<R, Failure> {
    let claims = (0..256).map(|_| run.claim());
    for claim in futures::future::join_all(claims).await {
        claim?;
    }
    Ok(run)
}
