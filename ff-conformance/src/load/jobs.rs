//! Executions that are created on schedule and done by workers, phase by phase, and a ledger of every one of them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ff_core::{ExecutionId, Handle, HandlePayload, PublicState};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    Failure,
    ground::{Ground, Worker},
    pace,
};
use crate::Proxy;

const WORKERS: usize = 16;

/// Short, so that what was in flight at a break is taken over within a phase.
const TTL: Duration = Duration::from_secs(2);

/// For how long connections are refused.
const OUTAGE: Duration = Duration::from_secs(1);

/// How long the last jobs may take.
const DRAIN: Duration = Duration::from_secs(60);

/// What happens in each phase, for how long, and how many times the rate arrives.
const PHASES: [(&str, u64, f64); 5] =
    [("warm", 3, 1.0), ("steady", 15, 1.0), ("burst", 5, 2.0), ("outage", 8, 1.0), (SNAPSHOT, 10, 1.0)];

/// The phase of stores that know old snapshots.
const SNAPSHOT: &str = "old snapshot";

/// The jobs that arrived in one phase.
#[derive(Serialize)]
pub struct Phase {
    pub(super) name: String,
    pub(super) created: usize,
    /// From the intended instant of the create until its completion.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) lost: usize,
    pub(super) duplicated: usize,
    /// By the second of the arrival, counted from the first phase: p50 and p99 in milliseconds.
    pub(super) seconds: Vec<(u64, f64, f64)>,
}

/// What became of all jobs.
#[derive(Serialize)]
pub struct Ledger {
    pub(super) created: usize,
    pub(super) completed: usize,
    pub(super) lost: usize,
    pub(super) duplicated: usize,
    /// Creates without an answer.
    pub(super) unanswered: u64,
    /// From the last arrival until every job was done.
    pub(super) drain_ms: f64,
}

impl Ledger {
    /// Nothing lost, nothing done twice.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0
    }
}

/// One job.
struct Job {
    phase: usize,
    intended: Instant,
    /// Completions that were acknowledged, and how long the first took.
    completions: u32,
    took: Option<Duration>,
    /// Whether the store says that it is done, for one whose last answer was lost.
    is_done: bool,
}

impl Job {
    const fn is_lost(&self) -> bool {
        self.completions == 0 && !self.is_done
    }
}

#[derive(Default)]
struct Book {
    jobs: HashMap<ExecutionId, Job>,
    /// Completions that came before the answer to the create.
    early: HashMap<ExecutionId, Vec<Instant>>,
    unanswered: u64,
}

impl Book {
    fn completed(&mut self, id: ExecutionId, at: Instant) {
        match self.jobs.get_mut(&id) {
            Some(job) => {
                job.completions += 1;
                job.took.get_or_insert(at.saturating_duration_since(job.intended));
            }
            None => self.early.entry(id).or_default().push(at),
        }
    }

    fn created(&mut self, id: ExecutionId, phase: usize, intended: Instant) {
        self.jobs.insert(id, Job { phase, intended, completions: 0, took: None, is_done: false });
        for at in self.early.remove(&id).unwrap_or_default() {
            self.completed(id, at);
        }
    }

    /// The store says so; the worker may still hear of it.
    fn found_done(&mut self, id: &ExecutionId, at: Instant) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.is_done = true;
            job.took.get_or_insert(at.saturating_duration_since(job.intended));
        }
    }
}

type Shared = Arc<Mutex<Book>>;

fn open(book: &Shared) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All phases at a rate of jobs.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
pub(super) async fn measure(ground: &Ground, rate: f64) -> Result<(Vec<Phase>, Ledger), Failure> {
    let proxy = Arc::new(Proxy::start(ground.address()?.parse()?)?);
    let mut worker = ground.worker(Some(proxy.address()), WORKERS).await?;
    worker.policy.lease_ttl = TTL;
    worker.policy.max_wait = Some(Duration::from_millis(500));
    let (book, over) = (Shared::default(), Arc::new(AtomicBool::new(false)));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(work(worker.clone(), Arc::clone(&book), Arc::clone(&over)));
    }
    let begun = Instant::now();
    let mut names = Vec::new();
    for (name, seconds, times) in PHASES {
        let snapshot = if name == SNAPSHOT { ground.old_snapshot().await? } else { None };
        if name == SNAPSHOT && snapshot.is_none() {
            continue;
        }
        let number = names.len();
        names.push(name);
        let trouble = tokio::spawn(trouble(name, Duration::from_secs(seconds), Arc::clone(&proxy)));
        create(&worker, number, rate * times, Duration::from_secs(seconds), &book).await?;
        trouble.await??;
        if let Some(snapshot) = snapshot {
            snapshot.rollback().await?;
        }
    }
    let drained = drain(&worker, &book).await?;
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = workers.join_next().await {
        ended?;
    }
    let book = open(&book);
    let phases: Result<_, Failure> =
        names.iter().enumerate().map(|(number, name)| of_phase(&book, number, name, begun)).collect();
    let jobs = || book.jobs.values();
    let ledger = Ledger {
        created: book.jobs.len(),
        completed: jobs().filter(|job| !job.is_lost()).count(),
        lost: jobs().filter(|job| job.is_lost()).count(),
        duplicated: jobs().filter(|job| job.completions > 1).count(),
        unanswered: book.unanswered,
        drain_ms: drained.as_secs_f64() * 1e3,
    };
    Ok((phases?, ledger))
}

/// What goes wrong in a phase: in the outage every connection breaks, and for a while there are no new ones.
async fn trouble(name: &str, phase: Duration, proxy: Arc<Proxy>) -> Result<(), Failure> {
    if name == "outage" {
        tokio::time::sleep(phase / 4).await;
        proxy.refuse().await;
        proxy.sever();
        tokio::time::sleep(OUTAGE).await;
        proxy.accept()?;
    }
    Ok(())
}

/// Creates on schedule; none waits for those before it.
async fn create(worker: &Worker, phase: usize, rate: f64, time: Duration, book: &Shared) -> Result<(), Failure> {
    let job = |intended, _share| {
        let (worker, book) = (worker.clone(), Arc::clone(book));
        async move {
            match worker.create_one().await {
                Ok(id) => open(&book).created(id, phase, intended),
                // It may have been stored or not; nobody was promised anything.
                Err(_) => open(&book).unanswered += 1,
            }
        }
    };
    pace::on_schedule(rate, time, job).await.map(drop)
}

/// Claims and completes until it is over; what fails on the way is taken over when its lease has lapsed.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
async fn work(worker: Worker, book: Shared, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        let claimed = worker.backend.claim(&worker.lane, &worker.capabilities, worker.policy.clone()).await;
        match claimed {
            Ok(Some(handle)) => {
                if worker.backend.complete(&handle, None).await.is_ok()
                    && let Ok(payload) = opened(&handle)
                {
                    open(&book).completed(payload.execution_id, Instant::now());
                }
            }
            Ok(None) => {}
            // The store is away: it is asked again in a while.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn opened(handle: &Handle) -> Result<HandlePayload, Failure> {
    Ok(handle.decode(handle.backend().as_str())?)
}

/// Waits until every job that was acknowledged is done, as its worker or the store says.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
async fn drain(worker: &Worker, book: &Shared) -> Result<Duration, Failure> {
    let begun = Instant::now();
    loop {
        let missing: Vec<_> = open(book).jobs.iter().filter(|(_, job)| job.is_lost()).map(|(id, _)| *id).collect();
        let mut left = 0;
        for id in missing {
            if worker.backend.read_execution_state(&id).await? == Some(PublicState::Completed) {
                open(book).found_done(&id, Instant::now());
            } else {
                left += 1;
            }
        }
        if left == 0 || begun.elapsed() > DRAIN {
            return Ok(begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn of_phase(book: &Book, number: usize, name: &str, begun: Instant) -> Result<Phase, Failure> {
    let (mut all, mut by_second) = (pace::histogram()?, HashMap::<u64, Histogram<u64>>::new());
    let jobs: Vec<_> = book.jobs.values().filter(|job| job.phase == number).collect();
    for job in &jobs {
        let Some(took) = job.took else { continue };
        let second = job.intended.saturating_duration_since(begun).as_secs();
        pace::note(&mut all, took);
        let histogram = match by_second.entry(second) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(pace::histogram()?),
        };
        pace::note(histogram, took);
    }
    let mut seconds: Vec<_> = by_second
        .iter()
        .map(|(second, histogram)| (*second, pace::ms(histogram, 0.5), pace::ms(histogram, 0.99)))
        .collect();
    seconds.sort_by_key(|(second, ..)| *second);
    Ok(Phase {
        name: name.to_owned(),
        created: jobs.len(),
        p50_ms: pace::ms(&all, 0.5),
        p99_ms: pace::ms(&all, 0.99),
        lost: jobs.iter().filter(|job| job.is_lost()).count(),
        duplicated: jobs.iter().filter(|job| job.completions > 1).count(),
        seconds,
    })
}
