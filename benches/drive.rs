//! The load: workers that start together, and the time from the first start to the last end.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Barrier, task::JoinSet};

use crate::Failure;

/// Untimed operations of each worker before the start: connections are made and statements prepared by then.
const WARM: u64 = 4;

/// Rows beyond those that are taken, so that no worker races for the last one.
const SPARE: u64 = 4;

/// Looks without work until the run is given up.
const LOOKS: u32 = 10_000;

/// What each worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Claims.
    Claim,
    /// Claims, then completes what it has claimed.
    ClaimComplete,
}

impl Shape {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Claim, Self::ClaimComplete];
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Claim => "claim",
            Self::ClaimComplete => "claim_complete",
        })
    }
}

/// How much is done, and by how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// What each worker does.
    pub(crate) shape: Shape,
    /// How many work at once.
    pub(crate) workers: usize,
    /// How many executions they take together.
    pub(crate) count: u64,
}

impl Load {
    /// The ready rows that a run needs.
    pub(crate) fn rows(self) -> u64 {
        self.count + self.workers as u64 * (WARM + SPARE)
    }
}

/// A filled store; each worker has its own clone.
pub(crate) trait Run: Clone + Send + Sync + 'static {
    /// What a claim hands out.
    type Work: Send;

    /// Takes the next execution.
    fn claim(&self) -> impl Future<Output = Result<Option<Self::Work>, Failure>> + Send;

    /// Ends one that was taken.
    fn complete(&self, work: Self::Work) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Wall time from the common start until the last worker has nothing left to do.
pub(crate) async fn run(run: impl Run, load: Load) -> Result<Duration, Failure> {
    let gate = Arc::new(Barrier::new(load.workers));
    let left = Arc::new(AtomicU64::new(load.count));
    let mut workers = JoinSet::new();
    for _ in 0..load.workers {
        workers.spawn(work(run.clone(), load.shape, Arc::clone(&gate), Arc::clone(&left)));
    }
    let mut span: Option<(Instant, Instant)> = None;
    while let Some(worker) = workers.join_next().await {
        let (begun, ended) = worker??;
        span = Some(span.map_or((begun, ended), |(first, last)| (first.min(begun), last.max(ended))));
    }
    let (first, last) = span.ok_or("no worker has run")?;
    Ok(last - first)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
async fn work(
    run: impl Run,
    shape: Shape,
    gate: Arc<Barrier>,
    left: Arc<AtomicU64>,
) -> Result<(Instant, Instant), Failure> {
    let mut warm = Ok(());
    for _ in 0..WARM {
        if warm.is_ok() {
            warm = step(&run, shape).await;
        }
    }
    // Also a worker that failed comes here, or the others would wait for it.
    gate.wait().await;
    warm?;
    let begun = Instant::now();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        step(&run, shape).await?;
    }
    Ok((begun, Instant::now()))
}

async fn step(run: &impl Run, shape: Shape) -> Result<(), Failure> {
    for _ in 0..LOOKS {
        // A claim may lose every race that it enters; there is a row for each.
        if let Some(work) = run.claim().await? {
            return match shape {
                Shape::Claim => Ok(()),
                Shape::ClaimComplete => run.complete(work).await,
            };
        }
    }
    Err("the lane ran dry".into())
}
