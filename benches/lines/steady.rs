//! Whether claims stay as fast as they began, while executions come and go, and while an old snapshot is held open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Barrier, task::JoinSet};

use super::{Target, Told};
use crate::{Failure, drive::Create, engine::Engine, raw::RawPostgres, stage::Stage, stats};

const WORKERS: usize = 16;

/// Ready executions that are there all the time.
const BACKLOG: u64 = 200_000;

/// For how long each side works before the other one does.
const WINDOW: Duration = Duration::from_secs(30);

/// Windows of the first and of the last minute.
const MINUTE: usize = 2;

/// Windows of eleven minutes.
const STEADY: usize = 22;

/// Windows of a minute and of the five that a snapshot is open.
const UNDER_SNAPSHOT: usize = 12;

/// The last of eleven minutes beside the first.
pub(super) async fn aged(stage: &Stage) -> Result<Vec<Told>, Failure> {
    let rates = windows(stage, STEADY, false).await?;
    Ok(told("4", "the 11th minute / the 1st", rates, 0.95))
}

/// The last of five minutes with an old snapshot beside the minute before.
pub(super) async fn held_back(stage: &Stage) -> Result<Vec<Told>, Failure> {
    let rates = windows(stage, UNDER_SNAPSHOT, true).await?;
    Ok(told("5", "the 5th minute of an old snapshot / the one before", rates, 0.9))
}

fn told(line: &str, what: &str, [ours, raw]: [Vec<f64>; 2], least: f64) -> Vec<Told> {
    let ends = |rates: &[f64]| {
        let last = rates.len().saturating_sub(MINUTE);
        stats::median(rates.get(last..).unwrap_or_default()) / stats::median(rates.get(..MINUTE).unwrap_or_default())
    };
    let side = |name: &str, rates: Vec<f64>| {
        let what = format!("postgres {name}, {what}");
        Told { from: vec![rates.clone()], ..Told::figure(line, what, ends(&rates), Target::AtLeast(least)) }
    };
    vec![side("engine", ours), side("by hand", raw)]
}

/// Executions a second, created, claimed and completed, window by window; both sides alternate, each in its own tables.
async fn windows(stage: &Stage, count: usize, snapshot: bool) -> Result<[Vec<f64>; 2], Failure> {
    let postgres = stage.postgres().await?;
    let ours = Engine::postgres(Arc::clone(&postgres), WORKERS).await?.fill(BACKLOG).await?;
    let raw = RawPostgres::open(&postgres, WORKERS)?.fill(BACKLOG).await?;
    let mut rates = [Vec::with_capacity(count), Vec::with_capacity(count)];
    let mut old = None;
    for window in 0..count {
        if snapshot && window == MINUTE {
            old = Some(postgres.old_snapshot().await?);
        }
        rates[0].push(turnover(ours.clone()).await?);
        rates[1].push(turnover(raw.clone()).await?);
        eprintln!("claims: window {window}: {:.0}/s, by hand {:.0}/s", rates[0][window], rates[1][window]);
    }
    if let Some(old) = old {
        old.rollback().await?;
    }
    postgres.empty().await?;
    Ok(rates)
}

/// What all workers turn over in one window.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
async fn turnover(run: impl Create) -> Result<f64, Failure> {
    let (gate, over, done) =
        (Arc::new(Barrier::new(WORKERS + 1)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (run, gate, over, done) = (run.clone(), Arc::clone(&gate), Arc::clone(&over), Arc::clone(&done));
        workers.spawn(async move {
            gate.wait().await;
            while !over.load(Ordering::Relaxed) {
                run.create().await?;
                if let Some(work) = run.claim().await? {
                    run.complete(work).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok::<_, Failure>(())
        });
    }
    gate.wait().await;
    let begun = Instant::now();
    tokio::time::sleep(WINDOW).await;
    over.store(true, Ordering::Relaxed);
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}
