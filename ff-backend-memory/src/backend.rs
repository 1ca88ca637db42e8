//! One store in this process and the clients that share it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ff_core::{
    Applied, Background, Capabilities, EngineBackend, EngineError, LaneId, Limits, PartitionConfig, PrepareOutcome,
    RetentionConfig, ScannerConfig, TransportKind,
};
use tokio::sync::Notify;

#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{
    Clock, Mint, Op, Outcome, RandomMint, State, apply,
    capabilities::{LABEL, capabilities},
};

/// What a new store is made of.
pub struct MemoryConfig {
    clock: Clock,
    mint: Box<dyn Mint>,
    partitions: PartitionConfig,
    retention: RetentionConfig,
    #[cfg(feature = "flaws")]
    flaw: Option<crate::Flaw>,
}

impl MemoryConfig {
    /// The process clock, random ids and one partition.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: Clock::process(),
            mint: Box::new(RandomMint::new()),
            partitions: PartitionConfig::default(),
            retention: RetentionConfig::default(),
            #[cfg(feature = "flaws")]
            flaw: None,
        }
    }

    /// The same with another clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The same with another source of ids and draws.
    #[must_use]
    pub fn mint(mut self, mint: impl Mint + 'static) -> Self {
        self.mint = Box::new(mint);
        self
    }

    /// The same with another number of partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: PartitionConfig) -> Self {
        self.partitions = partitions;
        self
    }

    /// The same with another retention.
    #[must_use]
    pub const fn retention(mut self, retention: RetentionConfig) -> Self {
        self.retention = retention;
        self
    }

    /// The same with a planted fault.
    #[cfg(feature = "flaws")]
    #[must_use]
    pub fn flaw(mut self, flaw: crate::Flaw) -> Self {
        self.flaw = Some(flaw);
        self
    }

    /// A client of a new, empty store.
    #[must_use]
    pub fn open(self) -> MemoryBackend {
        let state = State::new(Limits::of_partitions(self.partitions.count().get()));
        #[cfg(feature = "flaws")]
        let state = state.with_flaw(self.flaw);
        let limits = state.limits().clone();
        let parts = Mutex::new(Parts { state, mint: self.mint });
        MemoryBackend::of(Arc::new(Store {
            parts,
            clock: self.clock,
            limits,
            retention: self.retention,
            told: Notify::new(),
            called: Notify::new(),
        }))
    }
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// A client of a store that lives in this process and ends with its last client.
///
/// Every call is one step of [`apply`] under the store's mutex, at the instant that its clock shows then.
pub struct MemoryBackend {
    store: Arc<Store>,
    /// Shared with the streams of this client.
    closed: Arc<AtomicBool>,
    background: OnceLock<Background>,
}

struct Store {
    parts: Mutex<Parts>,
    clock: Clock,
    limits: Limits,
    retention: RetentionConfig,
    /// Wakes those who wait for an event, or for the end of their client.
    told: Notify,
    /// Wakes claims that wait.
    called: Notify,
}

struct Parts {
    state: State,
    mint: Box<dyn Mint>,
}

impl MemoryBackend {
    /// A client of a new, empty store with the process clock and random ids.
    #[must_use]
    pub fn new() -> Self {
        MemoryConfig::new().open()
    }

    /// A client of a new, empty store with the time of `clock`.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        MemoryConfig::new().clock(clock).open()
    }

    /// A client of a new, empty store with a planted fault.
    #[cfg(feature = "flaws")]
    #[must_use]
    pub fn with_flaw(flaw: crate::Flaw) -> Self {
        MemoryConfig::new().flaw(flaw).open()
    }

    /// Another client of the same store; shutting down one leaves the other open.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self::of(Arc::clone(&self.store))
    }

    fn of(store: Arc<Store>) -> Self {
        Self { store, closed: Arc::default(), background: OnceLock::new() }
    }

    /// This client once more, for a stream; shutting down the one shuts down the other.
    pub(crate) fn handle(&self) -> Self {
        Self { store: Arc::clone(&self.store), closed: Arc::clone(&self.closed), background: OnceLock::new() }
    }

    /// Starts the background loops of this client, which end with it; a runtime must be there.
    ///
    /// False, and nothing is started, if the `Arc` has clones or the loops run already.
    pub fn with_scanners(self: &mut Arc<Self>, config: ScannerConfig) -> bool {
        #[cfg(feature = "flaws")]
        let config = flaw::intervals(self, &config);
        Arc::get_mut(self).is_some() && self.background.set(Background::start(&Arc::downgrade(self), &config)).is_ok()
    }

    /// Shows the whole state to `look`, between two steps.
    ///
    /// The store stands still meanwhile; `look` must not call a client of it.
    pub fn inspect<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.store.parts.lock().unwrap_or_else(PoisonError::into_inner).state)
    }

    /// True if that fault is planted in the store.
    #[cfg(feature = "flaws")]
    pub(crate) fn has(&self, flaw: crate::Flaw) -> bool {
        self.inspect(|state| state.flaw == Some(flaw))
    }

    /// How many streams of this client are open.
    #[cfg(feature = "flaws")]
    pub(crate) fn streams(&self) -> usize {
        Arc::strong_count(&self.closed) - 1
    }

    /// One step at the store's now, after the store is held.
    pub(crate) fn step(&self, op: &Op) -> Outcome {
        self.with_parts(|state, now, mint| apply(state, op, now, mint))
    }

    pub(crate) fn with_parts<R>(
        &self,
        step: impl FnOnce(&mut State, ff_core::TimestampMs, &mut dyn Mint) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let mut parts = self.hold()?;
        let now = self.store.clock.now();
        let Parts { state, mint } = &mut *parts;
        let (written, calls) = (state.events.written(), state.index.calls());
        let done = step(state, now, mint.as_mut());
        if state.events.written() != written {
            self.store.told.notify_waiters();
        }
        let wakes = state.index.calls() != calls;
        #[cfg(feature = "flaws")]
        let wakes = wakes && flaw::wakes(state);
        if wakes {
            self.store.called.notify_waiters();
        }
        done
    }

    /// Looks at the state between two steps.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&State) -> Result<R, EngineError>) -> Result<R, EngineError> {
        look(&self.hold()?.state)
    }

    /// Wakes claims that wait.
    pub(crate) fn called(&self) -> &Notify {
        &self.store.called
    }

    /// How long it takes, by the store's clock, until time changes a row of the lane.
    pub(crate) fn until_due(&self, lane: &LaneId) -> Result<Option<Duration>, EngineError> {
        let now = self.store.clock.now();
        let due = self.look(|state| Ok(state.index.next_due(lane)))?;
        Ok(due.map(|due| Duration::from_millis(u64::try_from(due.as_ms() - now.as_ms()).unwrap_or_default())))
    }

    /// Wakes those who wait for an event, or for the end of their client.
    pub(crate) fn told(&self) -> &Notify {
        &self.store.told
    }

    pub(crate) fn retention(&self) -> RetentionConfig {
        self.store.retention
    }

    fn hold(&self) -> Result<MutexGuard<'_, Parts>, EngineError> {
        let closed = self.closed.load(Ordering::Acquire);
        #[cfg(feature = "flaws")]
        let closed = flaw::closed(self, closed);
        if closed {
            return Err(EngineError::transport(LABEL, TransportKind::Closed, Applied::No, "the backend was shut down"));
        }
        // A step that panicked may have stopped half-way.
        self.store.parts.lock().map_err(|_| EngineError::corrupt("a step on this store panicked"))
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend")
            .field("clock", &self.store.clock)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MemoryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConfig")
            .field("clock", &self.clock)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl EngineBackend for MemoryBackend {
    fn backend_label(&self) -> &'static str {
        LABEL
    }

    fn capabilities(&self) -> Capabilities {
        let declared = capabilities(&self.store.limits);
        #[cfg(feature = "flaws")]
        let declared = flaw::declared(self, self.closed.load(Ordering::Acquire), declared);
        declared
    }

    async fn ping(&self) -> Result<(), EngineError> {
        #[cfg(feature = "flaws")]
        flaw::pinged(&mut self.hold()?.state);
        self.hold().map(drop)
    }

    async fn prepare(&self) -> Result<PrepareOutcome, EngineError> {
        #[cfg(feature = "flaws")]
        return self.hold().map(|parts| flaw::prepared(&parts.state));
        #[cfg(not(feature = "flaws"))]
        self.hold().map(|_| PrepareOutcome::NoOp)
    }

    async fn shutdown_prepare(&self, grace: Duration) -> Result<(), EngineError> {
        #[cfg(feature = "flaws")]
        flaw::shut(self, self.closed.load(Ordering::Acquire))?;
        self.closed.store(true, Ordering::Release);
        self.store.told.notify_waiters();
        self.store.called.notify_waiters();
        #[cfg(feature = "flaws")]
        if flaw::survives(self) {
            return Ok(());
        }
        if let Some(background) = self.background.get() {
            let _drained = tokio::time::timeout(grace, background.drain()).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ff_core::{CapabilitySet, ClaimPolicy, Claims, LaneId, WorkerId, WorkerInstanceId};

    use super::*;

    #[tokio::test]
    async fn shutting_down_one_client_leaves_its_sibling_open() {
        let first = MemoryBackend::new();
        let second = first.sibling();
        first.shutdown_prepare(Duration::ZERO).await.unwrap();
        first.shutdown_prepare(Duration::ZERO).await.unwrap();
        assert_eq!(first.ping().await.unwrap_err().code(), "Transport(Closed, No)");
        assert_eq!(first.prepare().await.unwrap_err().code(), "Transport(Closed, No)");
        second.ping().await.unwrap();
    }

    #[tokio::test]
    async fn a_waiting_claim_ends_when_its_client_is_shut_down() {
        let backend = MemoryBackend::new();
        let lane = LaneId::try_new("mail").unwrap();
        let policy = ClaimPolicy::new(
            WorkerId::try_new("w").unwrap(),
            WorkerInstanceId::try_new("w-1").unwrap(),
            Duration::from_secs(1),
        );
        let none = CapabilitySet::default();
        let waiting = backend.claim(&lane, &none, policy.max_wait(Duration::from_secs(3600)));
        let (answer, closed) = tokio::join!(waiting, backend.shutdown_prepare(Duration::ZERO));
        assert_eq!(answer.unwrap_err().code(), "Transport(Closed, No)");
        closed.unwrap();
    }
}
