//! The open loop: arrivals keep to their schedule whatever the store does, and waiting counts from the intended instant.

mod ground;
mod jobs;
mod pace;
mod page;
mod plot;
mod stall;

use std::{collections::BTreeMap, error::Error, path::Path, time::Duration};

use serde::Serialize;

pub use ground::Ground;
pub use jobs::{Ledger, Phase};
pub use pace::{Paced, Summary, highest, paced};
pub use plot::{document, plot};
pub use stall::check;

use crate::report;

/// Why nothing could be measured.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The longest response that a sustained rate may have at p99.
pub const SLO: Duration = Duration::from_millis(100);

/// For how long one rate is tried.
pub const TRIAL: Duration = Duration::from_secs(3);

/// For how long a rate that is told is measured.
const STEADY: Duration = Duration::from_secs(10);

/// The rate of the first trial.
const GUESS: f64 = 500.0;

/// Clients of a store at once, as far as it has connections.
const WORKERS: usize = 32;

/// What was measured on one store.
#[derive(Serialize)]
struct Figures {
    store: String,
    /// Claims in a second that are sustained: p99 within the limit, achieved within 1 %, no growing lag.
    sustained: f64,
    highest: Summary,
    /// At 70 % of that.
    steady: Summary,
    /// Executions that were created, claimed and completed, phase by phase.
    phases: Vec<Phase>,
    ledger: Ledger,
}

#[derive(Serialize)]
struct Published {
    cores: usize,
    settings: BTreeMap<String, BTreeMap<String, String>>,
    /// What the planted stall looked like: p99 of responses, in milliseconds.
    stall_p99_ms: f64,
    stores: Vec<Figures>,
}

/// Measures every store and writes `load.json`, `load.md` and `load.html` into `folder`, if the loop has seen the stall
/// that was planted first. Returns the tables.
///
/// # Errors
/// If the stall did not show, a store failed, or a job was lost or done twice; the files of the last are written.
pub async fn measure(grounds: &[Ground], folder: &Path) -> Result<String, Failure> {
    let stall_p99_ms = check().await?;
    eprintln!("the planted stall shows: p99 {stall_p99_ms:.0} ms");
    let (mut stores, mut settings) = (Vec::new(), BTreeMap::new());
    for ground in grounds {
        stores.push(of_store(ground).await?);
        settings.insert(ground.to_string(), ground.settings().clone());
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let published = Published { cores, settings, stall_p99_ms, stores };
    let markdown = page::markdown(&published);
    report::write_file(&folder.join("load.json"), &(serde_json::to_string_pretty(&published)? + "\n"))?;
    report::write_file(&folder.join("load.md"), &markdown)?;
    report::write_file(&folder.join("load.html"), &page::html(&published))?;
    match published.stores.iter().find(|figures| !figures.ledger.is_clean()) {
        Some(figures) => {
            Err(format!("{markdown}\n{}: jobs were lost or done twice, which voids the run", figures.store).into())
        }
        None => Ok(markdown),
    }
}

async fn of_store(ground: &Ground) -> Result<Figures, Failure> {
    let trial = async |rate: f64| {
        let paced = claims(ground, rate, TRIAL).await?;
        eprintln!("{ground} at {rate:.0}/s: p99 {:.1} ms", paced.summary().p99_ms());
        Ok(paced)
    };
    let sustained = highest(GUESS, SLO, trial).await?;
    let highest = claims(ground, sustained, STEADY).await?.summary();
    let steady = claims(ground, 0.7 * sustained, STEADY).await?.summary();
    // Each job is a create, a claim and a completion, with workers who look for it.
    let (phases, ledger) = jobs::measure(ground, 0.2 * sustained).await?;
    Ok(Figures { store: ground.to_string(), sustained, highest, steady, phases, ledger })
}

/// Claims at a rate, on a store with enough rows.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of rows")]
async fn claims(ground: &Ground, rate: f64, time: Duration) -> Result<Paced, Failure> {
    let worker = ground.worker(None, WORKERS).await?;
    let rows = (rate * time.as_secs_f64()) as u64 + 1_000;
    worker.create_many(rows).await?;
    ground.analyze().await?;
    // Connections are made and statements prepared by then.
    let warm = (0..4 * WORKERS).map(|_| worker.claim());
    for claimed in futures::future::join_all(warm).await {
        claimed?;
    }
    let call = || {
        let worker = worker.clone();
        async move { matches!(worker.claim().await, Ok(Some(_))) }
    };
    paced(call, rate, time).await
}
