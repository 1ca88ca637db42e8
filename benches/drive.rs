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

/// Rows beyond those that are taken, so that no worker races for the last one.
const SPARE: u64 = 4;

/// How often an execution is resumed in the mean: each worker ends what it holds every so many steps, and takes new work.
const RESUMES: u64 = 16;

/// Looks without work until the run is given up.
const LOOKS: u32 = 10_000;

/// What each worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Claims.
    Claim,
    /// Claims, then completes what it has claimed.
    ClaimComplete,
    /// Completes what it holds and claims the next in one call.
    CompleteAndClaim,
    /// Suspends what it holds, delivers the signal that this waits for, and claims what can go on.
    Resume,
    /// Claims so many at once.
    ClaimMany(u16),
    /// Completes so many at once, which it had claimed before.
    CompleteMany(u16),
}

impl Shape {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Claim,
        Self::ClaimComplete,
        Self::CompleteAndClaim,
        Self::Resume,
        Self::ClaimMany(10),
        Self::ClaimMany(100),
        Self::CompleteMany(10),
        Self::CompleteMany(100),
    ];

    /// Executions in one step of a worker.
    pub(crate) const fn batch(self) -> u16 {
        match self {
            Self::Claim | Self::ClaimComplete | Self::CompleteAndClaim | Self::Resume => 1,
            Self::ClaimMany(many) | Self::CompleteMany(many) => many,
        }
    }

    /// Untimed steps of each worker before the start: connections are made and statements prepared by then.
    const fn warm(self) -> u64 {
        if self.batch() == 1 { 4 } else { 1 }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim => f.pad("claim"),
            Self::ClaimComplete => f.pad("claim_complete"),
            Self::CompleteAndClaim => f.pad("complete_and_claim"),
            Self::Resume => f.pad("resume"),
            Self::ClaimMany(many) => f.pad(&format!("claim_many_{many}")),
            Self::CompleteMany(many) => f.pad(&format!("complete_many_{many}")),
        }
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
    /// A load of about `count` executions: whole batches, and some for each worker.
    pub(crate) fn new(shape: Shape, workers: usize, count: u64) -> Self {
        let batch = u64::from(shape.batch());
        let each = batch * workers as u64;
        Self { shape, workers, count: count.max(4 * each).next_multiple_of(each) }
    }

    /// The ready rows that a run needs.
    pub(crate) fn rows(self) -> u64 {
        // What is resumed is taken again.
        let taken = if self.shape == Shape::Resume { self.count.div_ceil(RESUMES) } else { self.count };
        taken + self.workers as u64 * (self.shape.warm() + SPARE) * u64::from(self.shape.batch())
    }

    /// Steps of all workers together.
    fn steps(self) -> u64 {
        self.count / u64::from(self.shape.batch())
    }
}

/// A filled store; each worker has its own clone.
pub(crate) trait Run: Clone + Send + Sync + 'static {
    /// What a claim hands out.
    type Work: Send + Sync;

    /// Takes the next execution.
    fn claim(&self) -> impl Future<Output = Result<Option<Self::Work>, Failure>> + Send;

    /// The same where what was resumed goes ahead, which keeps its attempt.
    fn claim_resumed(&self) -> impl Future<Output = Result<Option<Self::Work>, Failure>> + Send {
        self.claim()
    }

    /// Ends one that was taken.
    fn complete(&self, work: Self::Work) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Ends one that was taken and takes the next.
    fn complete_and_claim(&self, work: Self::Work) -> impl Future<Output = Result<Option<Self::Work>, Failure>> + Send;

    /// Suspends one that was taken, for a signal, and delivers that: it can be taken again.
    fn suspend_and_signal(&self, work: Self::Work) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Takes the next ones.
    fn claim_many(&self, most: u16) -> impl Future<Output = Result<Vec<Self::Work>, Failure>> + Send;

    /// Ends some that were taken.
    fn complete_many(&self, work: Vec<Self::Work>) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A store that new executions come to while others are done.
pub(crate) trait Create: Run {
    /// One more ready execution.
    fn create(&self) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Wall time from the common start until the last worker has nothing left to do.
pub(crate) async fn run(run: impl Run, load: Load) -> Result<Duration, Failure> {
    let gate = Arc::new(Barrier::new(load.workers));
    let left = Arc::new(AtomicU64::new(load.steps()));
    let mut workers = JoinSet::new();
    for _ in 0..load.workers {
        workers.spawn(work(run.clone(), load, Arc::clone(&gate), Arc::clone(&left)));
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
    load: Load,
    gate: Arc<Barrier>,
    left: Arc<AtomicU64>,
) -> Result<(Instant, Instant), Failure> {
    let mut worker = Worker { run, shape: load.shape, held: Vec::new(), resumes: 0 };
    let warm = worker.prepare(load.steps() / load.workers as u64).await;
    // Also a worker that failed comes here, or the others would wait for it.
    gate.wait().await;
    warm?;
    let begun = Instant::now();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        worker.step().await?;
        if matches!(load.shape, Shape::CompleteMany(_)) && worker.held.is_empty() {
            break;
        }
    }
    Ok((begun, Instant::now()))
}

/// One worker and what it holds.
struct Worker<R: Run> {
    run: R,
    shape: Shape,
    held: Vec<Vec<R::Work>>,
    /// How often it has taken what was resumed since it took new work.
    resumes: u64,
}

impl<R: Run> Worker<R> {
    /// What comes before the start; `steps` is its share of them.
    async fn prepare(&mut self, steps: u64) -> Result<(), Failure> {
        match self.shape {
            Shape::CompleteMany(many) => {
                for _ in 0..steps + self.shape.warm() {
                    let work = self.take_many(many).await?;
                    self.held.push(work);
                }
            }
            Shape::CompleteAndClaim | Shape::Resume => {
                let work = self.take().await?;
                self.held.push(vec![work]);
            }
            Shape::Claim | Shape::ClaimComplete | Shape::ClaimMany(_) => {}
        }
        for _ in 0..self.shape.warm() {
            self.step().await?;
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), Failure> {
        match self.shape {
            Shape::Claim => self.take().await.map(drop),
            Shape::ClaimComplete => {
                let work = self.take().await?;
                self.run.complete(work).await
            }
            Shape::CompleteAndClaim => {
                let held = self.release()?;
                let next = match self.run.complete_and_claim(held).await? {
                    Some(next) => next,
                    None => self.take().await?,
                };
                self.held.push(vec![next]);
                Ok(())
            }
            Shape::Resume => {
                let held = self.release()?;
                let held = if self.resumes == RESUMES { self.end_and_take(held).await? } else { held };
                self.resumes += 1;
                self.run.suspend_and_signal(held).await?;
                for _ in 0..LOOKS {
                    if let Some(next) = self.run.claim_resumed().await? {
                        self.held.push(vec![next]);
                        return Ok(());
                    }
                }
                Err("nothing was resumed".into())
            }
            Shape::ClaimMany(many) => self.take_many(many).await.map(drop),
            Shape::CompleteMany(_) => {
                let held = self.held.pop().ok_or("nothing is held")?;
                self.run.complete_many(held).await
            }
        }
    }

    /// Ends what it holds and takes what comes next.
    async fn end_and_take(&mut self, held: R::Work) -> Result<R::Work, Failure> {
        self.resumes = 0;
        self.run.complete(held).await?;
        self.take().await
    }

    /// The one thing that it holds.
    fn release(&mut self) -> Result<R::Work, Failure> {
        Ok(self.held.pop().and_then(|mut held| held.pop()).ok_or("nothing is held")?)
    }

    /// A claim may lose every race that it enters; there is a row for each.
    async fn take(&self) -> Result<R::Work, Failure> {
        for _ in 0..LOOKS {
            if let Some(work) = self.run.claim().await? {
                return Ok(work);
            }
        }
        Err("the lane ran dry".into())
    }

    /// A whole batch, in as many claims as it takes.
    async fn take_many(&self, many: u16) -> Result<Vec<R::Work>, Failure> {
        let mut taken = Vec::with_capacity(usize::from(many));
        for _ in 0..LOOKS {
            let missing = many - u16::try_from(taken.len())?;
            if missing == 0 {
                return Ok(taken);
            }
            taken.extend(self.run.claim_many(missing).await?);
        }
        Err("the lane ran dry".into())
    }
}
