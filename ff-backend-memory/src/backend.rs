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
    Applied, Background, Capabilities, EngineBackend, EngineError, Limits, PartitionConfig, PrepareOutcome,
    RetentionConfig, ScannerConfig, TransportKind,
};

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
        MemoryBackend::of(Arc::new(Store { parts, clock: self.clock, limits, retention: self.retention }))
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
    closed: AtomicBool,
    background: OnceLock<Background>,
}

struct Store {
    parts: Mutex<Parts>,
    clock: Clock,
    limits: Limits,
    retention: RetentionConfig,
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

    const fn of(store: Arc<Store>) -> Self {
        Self { store, closed: AtomicBool::new(false), background: OnceLock::new() }
    }

    /// Starts the background loops of this client, which end with it; a runtime must be there.
    ///
    /// False, and nothing is started, if the `Arc` has clones or the loops run already.
    pub fn with_scanners(self: &mut Arc<Self>, config: ScannerConfig) -> bool {
        Arc::get_mut(self).is_some() && self.background.set(Background::start(&Arc::downgrade(self), &config)).is_ok()
    }

    /// Shows the whole state to `look`, between two steps.
    ///
    /// The store stands still meanwhile; `look` must not call a client of it.
    pub fn inspect<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.store.parts.lock().unwrap_or_else(PoisonError::into_inner).state)
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
        step(state, now, mint.as_mut())
    }

    pub(crate) fn retention(&self) -> RetentionConfig {
        self.store.retention
    }

    fn hold(&self) -> Result<MutexGuard<'_, Parts>, EngineError> {
        if self.closed.load(Ordering::Acquire) {
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
        capabilities(&self.store.limits)
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.hold().map(drop)
    }

    async fn prepare(&self) -> Result<PrepareOutcome, EngineError> {
        self.hold().map(|_| PrepareOutcome::NoOp)
    }

    async fn shutdown_prepare(&self, grace: Duration) -> Result<(), EngineError> {
        self.closed.store(true, Ordering::Release);
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
