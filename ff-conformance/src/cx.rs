//! What a case works with: its own store, clients, time and a look at everything.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use ff_core::{
    CapabilitySet, ClaimPolicy, CreateExecutionArgs, CreateExecutionResult, EngineBackend, ExecutionId, ExecutionInfo,
    Handle, HandlePayload, LaneId, Namespace, PartitionConfig, TimestampMs, WorkerId, WorkerInstanceId,
};

use crate::{
    Client, Control, Controls, Diagnosis, Dump, Environment, Expect, HarnessError, Recorder, Stop, Store, expect,
    harness::can_have,
};

/// A held lease, as a case sees it.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The handle.
    pub handle: Handle,
    /// What the handle says.
    pub payload: HandlePayload,
}

/// What a case works with.
pub struct Cx {
    store: Box<dyn Store>,
    controls: Controls,
    environment: Environment,
    recorder: Arc<Recorder>,
    clients: Mutex<Vec<(String, Arc<dyn EngineBackend>)>>,
    /// What the harness handed out, without the recorder.
    handed_out: Mutex<Vec<Arc<dyn EngineBackend>>>,
    /// Where the store's clock stands, as far as the case knows.
    stands_at: Mutex<Option<TimestampMs>>,
    measurements: Mutex<BTreeMap<String, u64>>,
    /// Where the store\'s clock stood at most.
    latest_ms: AtomicI64,
    stepped_back_ms: AtomicI64,
    removed_until_ms: AtomicI64,
}

/// The client that looks at a store before and after its case.
pub(crate) const OBSERVER: &str = "invariants";

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of a lease unless a case says otherwise.
pub const TTL: Duration = Duration::from_secs(30);

impl Cx {
    /// A context over an empty store that is one server.
    #[must_use]
    pub fn new(store: Box<dyn Store>, recorder: Arc<Recorder>) -> Self {
        let controls = store.controls();
        Self {
            store,
            controls,
            environment: Environment::unknown(""),
            recorder,
            clients: Mutex::default(),
            handed_out: Mutex::default(),
            stands_at: Mutex::default(),
            measurements: Mutex::default(),
            latest_ms: AtomicI64::new(i64::MIN),
            stepped_back_ms: AtomicI64::new(0),
            removed_until_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// The same over a store that lives elsewhere; it decides which absent controls could have been there.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// The client called `name`: one backend with its own connections, the same at each call.
    ///
    /// # Errors
    /// If the harness cannot connect.
    pub async fn client(&self, name: &str) -> Result<Arc<dyn EngineBackend>, Stop> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        self.connect(Client::new(name)).await
    }

    /// A client with these properties, behind the recorder like all of them.
    ///
    /// # Errors
    /// If the harness cannot connect, or hands out a client that another name has already.
    pub async fn connect(&self, client: Client) -> Result<Arc<dyn EngineBackend>, Stop> {
        let name = client.name.clone();
        let backend = self.obtain(client).await?;
        Ok(self.record(&name, backend))
    }

    /// The client called `invariants`, without the recorder.
    ///
    /// # Errors
    /// If the harness cannot connect.
    pub(crate) async fn observer(&self) -> Result<Arc<dyn EngineBackend>, Stop> {
        let backend = self.obtain(Client::new(OBSERVER)).await?;
        self.record(OBSERVER, Arc::clone(&backend));
        Ok(backend)
    }

    async fn obtain(&self, client: Client) -> Result<Arc<dyn EngineBackend>, Stop> {
        let backend = self.store.connect(client).await?;
        let mut known = locked(&self.handed_out);
        if known.iter().any(|known| Arc::ptr_eq(known, &backend)) {
            return Err(Diagnosis::SharedClient.into());
        }
        known.push(Arc::clone(&backend));
        Ok(backend)
    }

    fn record(&self, name: &str, backend: Arc<dyn EngineBackend>) -> Arc<dyn EngineBackend> {
        let recorded = self.recorder.wrap(name, backend);
        locked(&self.clients).push((name.to_owned(), Arc::clone(&recorded)));
        recorded
    }

    fn known(&self, name: &str) -> Option<Arc<dyn EngineBackend>> {
        locked(&self.clients).iter().find(|(known, _)| known == name).map(|(_, backend)| Arc::clone(backend))
    }

    /// The controls of the store.
    #[must_use]
    pub const fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Why a case ends that needs a control which is not there.
    ///
    /// A store in the process of the suite has no address, and nothing in it waits; a server has both.
    #[must_use]
    pub fn lacking(&self, control: Control) -> Stop {
        let reason = format!("no {} control", control.as_str());
        let could = can_have(self.environment.topology, &self.environment.source, control);
        if could { Stop::NotRun(reason) } else { Stop::Ineligible(reason) }
    }

    /// Gives the store back.
    ///
    /// # Errors
    /// If the harness cannot drop it.
    pub async fn close(self, failed: bool) -> Result<(), HarnessError> {
        // First the clients: background loops of theirs end with them.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.store.close(failed).await
    }

    /// Fails the case unless `got` is as expected; `check!` is its short form.
    ///
    /// # Errors
    /// `Stop::Failed`.
    #[track_caller]
    pub fn judge<T: Debug>(
        &self,
        requirement: &str,
        subject: &str,
        got: &T,
        expectation: &impl Expect<T>,
    ) -> Result<(), Stop> {
        self.recorder.checked(requirement);
        expect::judge(requirement, subject, got, expectation)
    }

    /// From now on no text of the case may show `secret`: what is called and answered, and what the store tells.
    pub(crate) fn keep_secret(&self, secret: &str) {
        self.recorder.keep_secret(secret);
    }

    /// True if `text` shows a secret of the case.
    pub(crate) fn shows_a_secret(&self, text: &str) -> bool {
        self.recorder.shows_a_secret(text)
    }

    /// Where a call showed a secret of the case, first.
    pub(crate) fn leak(&self) -> Option<String> {
        self.recorder.leak()
    }

    /// True if a client of the case has called `method`.
    pub(crate) fn has_called(&self, method: &str) -> bool {
        self.recorder.hits().contains_key(method)
    }

    /// Notes a number for the report, such as the round trips of an operation.
    pub fn measure(&self, what: impl Into<String>, value: u64) {
        locked(&self.measurements).insert(what.into(), value);
    }

    /// The numbers that the case noted.
    #[must_use]
    pub fn measurements(&self) -> BTreeMap<String, u64> {
        locked(&self.measurements).clone()
    }

    /// The lane of the case.
    ///
    /// # Errors
    /// None in practice: the name is fixed.
    pub fn lane(&self) -> Result<LaneId, Stop> {
        self.lane_called("lane")
    }

    /// Another lane of the case.
    ///
    /// # Errors
    /// If the name is not a lane id.
    pub fn lane_called(&self, name: &str) -> Result<LaneId, Stop> {
        LaneId::try_new(name).map_err(|error| Stop::Errored(format!("lane {name:?}: {error}")))
    }

    /// A namespace of the case.
    ///
    /// # Errors
    /// If the name is not a namespace.
    pub fn namespace(&self, name: &str) -> Result<Namespace, Stop> {
        Namespace::try_new(name).map_err(|error| Stop::Errored(format!("namespace {name:?}: {error}")))
    }

    /// A new execution in the lane of the case, with a fresh id.
    ///
    /// # Errors
    /// None in practice.
    pub fn execution(&self) -> Result<CreateExecutionArgs, Stop> {
        self.execution_in("lane")
    }

    /// A new execution in the lane called `lane`, with a fresh id.
    ///
    /// # Errors
    /// If the name is not a lane id.
    pub fn execution_in(&self, lane: &str) -> Result<CreateExecutionArgs, Stop> {
        let lane = self.lane_called(lane)?;
        let id = ExecutionId::solo(&lane, PartitionConfig::default());
        Ok(CreateExecutionArgs::new(id, self.namespace("suite")?, lane, "work"))
    }

    /// Creates `args` and returns its id.
    ///
    /// # Errors
    /// If the create is refused or a duplicate.
    #[track_caller]
    pub fn created(
        &self,
        client: &Arc<dyn EngineBackend>,
        args: CreateExecutionArgs,
    ) -> impl Future<Output = Result<ExecutionId, Stop>> + Send + use<> {
        let client = Arc::clone(client);
        async move {
            match client.create_execution(args).await? {
                CreateExecutionResult::Created { execution_id, .. } => Ok(execution_id),
                CreateExecutionResult::Duplicate { execution_id } => {
                    Err(Stop::Errored(format!("{execution_id} existed already")))
                }
            }
        }
    }

    /// Creates an execution without options.
    ///
    /// # Errors
    /// If the create is refused.
    pub async fn created_plain(&self, client: &Arc<dyn EngineBackend>) -> Result<ExecutionId, Stop> {
        self.created(client, self.execution()?).await
    }

    /// The claim policy of a worker process called `worker`, with a lease of `ttl`.
    ///
    /// # Errors
    /// If the name is not a worker id.
    pub fn worker(&self, worker: &str, ttl: Duration) -> Result<ClaimPolicy, Stop> {
        let bad = |error| Stop::Errored(format!("worker {worker:?}: {error}"));
        let id = WorkerId::try_new(worker).map_err(bad)?;
        Ok(ClaimPolicy::new(id, WorkerInstanceId::try_new(format!("{worker}-1")).map_err(bad)?, ttl))
    }

    /// Claims in the lane of the case as `worker`, with a lease of `ttl` and no worker capabilities.
    ///
    /// # Errors
    /// If the claim is refused or a handle does not decode.
    pub async fn try_claim(
        &self,
        client: &Arc<dyn EngineBackend>,
        worker: &str,
        ttl: Duration,
    ) -> Result<Option<Claimed>, Stop> {
        self.try_claim_offering(client, worker, ttl, &CapabilitySet::default()).await
    }

    /// Claims in the lane of the case as `worker`, offering `capabilities`.
    ///
    /// # Errors
    /// If the claim is refused or a handle does not decode.
    pub async fn try_claim_offering(
        &self,
        client: &Arc<dyn EngineBackend>,
        worker: &str,
        ttl: Duration,
        capabilities: &CapabilitySet,
    ) -> Result<Option<Claimed>, Stop> {
        let claimed = client.claim(&self.lane()?, capabilities, self.worker(worker, ttl)?).await?;
        claimed
            .map(|handle| {
                let payload = handle.decode(client.backend_label())?;
                Ok(Claimed { handle, payload })
            })
            .transpose()
    }

    /// Claims in the lane of the case for [`TTL`]; there must be work.
    ///
    /// # Errors
    /// If there is no work.
    pub async fn claimed(&self, client: &Arc<dyn EngineBackend>, worker: &str) -> Result<Claimed, Stop> {
        self.claimed_for(client, worker, TTL).await
    }

    /// Claims in the lane of the case for `ttl`; there must be work.
    ///
    /// # Errors
    /// If there is no work.
    pub async fn claimed_for(
        &self,
        client: &Arc<dyn EngineBackend>,
        worker: &str,
        ttl: Duration,
    ) -> Result<Claimed, Stop> {
        match self.try_claim(client, worker, ttl).await? {
            Some(claimed) => Ok(claimed),
            None => {
                expect::judge("FF-CLM-005", "claim", &"None", &expect::satisfies("takes work", |_: &&str| false))?;
                Err(Stop::Errored("no work".to_owned()))
            }
        }
    }

    /// Everything about an execution that must exist.
    ///
    /// # Errors
    /// If it does not, or the read is refused.
    pub async fn info(&self, client: &Arc<dyn EngineBackend>, id: &ExecutionId) -> Result<ExecutionInfo, Stop> {
        client
            .read_execution_info(id)
            .await?
            .ok_or_else(|| Stop::Refused(ff_core::EngineError::execution_not_found(), crate::Place::here()))
    }

    /// The store's now.
    ///
    /// # Errors
    /// `Stop::NotRun` without a clock control.
    pub async fn now(&self) -> Result<TimestampMs, Stop> {
        let now = self.clock()?.now().await?;
        self.recorder.store_time(now);
        Ok(now)
    }

    /// Sets the store's clock.
    ///
    /// # Errors
    /// `Stop::NotRun` without a clock control.
    pub async fn set_time(&self, now: TimestampMs) -> Result<(), Stop> {
        let clock = self.clock()?;
        let left = clock.now().await?.as_ms();
        let latest = self.latest_ms.fetch_max(left, Ordering::Relaxed).max(left);
        self.stepped_back_ms.fetch_max(latest - now.as_ms(), Ordering::Relaxed);
        // Until the control has answered, nobody knows.
        *locked(&self.stands_at) = None;
        clock.set(now).await?;
        *locked(&self.stands_at) = Some(now);
        self.recorder.store_time(now);
        Ok(())
    }

    /// Notes where the store's clock stands, if the suite can move it.
    pub(crate) async fn note_clock(&self) -> Result<(), Stop> {
        if let Some(clock) = &self.controls.clock {
            let now = clock.now().await?;
            *locked(&self.stands_at) = Some(now);
        }
        Ok(())
    }

    /// True if the store's clock does not stand where the case left it.
    pub(crate) async fn clock_was_moved(&self) -> bool {
        let Some(clock) = &self.controls.clock else { return false };
        let shown = clock.now().await.ok();
        let left = *locked(&self.stands_at);
        shown.zip(left).is_some_and(|(shown, left)| shown != left)
    }

    /// How far the store's clock has been behind where it had been: later instants may lie so far before earlier ones.
    #[must_use]
    pub fn stepped_back(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.stepped_back_ms.load(Ordering::Relaxed)).unwrap_or_default())
    }

    /// Says that executions, and events of executions, that were created until the store's now may be gone.
    ///
    /// # Errors
    /// `Stop::NotRun` without a clock control.
    pub async fn removed_until_now(&self) -> Result<(), Stop> {
        let now = self.now().await?;
        self.removed_until_ms.fetch_max(now.as_ms(), Ordering::Relaxed);
        Ok(())
    }

    /// Until when the case let what was created be removed.
    #[must_use]
    pub fn removed_until(&self) -> TimestampMs {
        TimestampMs::from_ms(self.removed_until_ms.load(Ordering::Relaxed))
    }

    /// The clock of the suite's process, which no backend may look at.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a case sets the store's clock apart from it")]
    pub fn process_clock(&self) -> TimestampMs {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        TimestampMs::from_ms(0).plus(since)
    }

    /// Moves the store's clock forward.
    ///
    /// # Errors
    /// `Stop::NotRun` without a clock control.
    pub async fn pass_time(&self, duration: Duration) -> Result<(), Stop> {
        let now = self.now().await?;
        self.set_time(now.plus(duration)).await
    }

    fn clock(&self) -> Result<&Arc<dyn crate::ClockControl>, Stop> {
        self.controls.clock.as_ref().ok_or_else(|| self.lacking(Control::Clock))
    }

    /// Everything that the store holds.
    ///
    /// # Errors
    /// `Stop::NotRun` without a dump control.
    pub async fn dump(&self) -> Result<Dump, Stop> {
        let control = self.controls.dump.as_ref().ok_or_else(|| self.lacking(Control::Dump))?;
        Ok(control.dump().await?)
    }

    /// The control that starts servers which may be killed.
    ///
    /// # Errors
    /// `Stop::NotRun` without one, `Stop::Ineligible` in process and beside somebody else's server.
    pub fn server(&self) -> Result<&Arc<dyn crate::ServerControl>, Stop> {
        self.controls.server.as_ref().ok_or_else(|| self.lacking(Control::Server))
    }

    /// The hold control.
    ///
    /// # Errors
    /// `Stop::NotRun` without one, `Stop::Ineligible` in process.
    pub fn hold(&self) -> Result<&Arc<dyn crate::HoldControl>, Stop> {
        self.controls.hold.as_ref().ok_or_else(|| self.lacking(Control::Hold))
    }

    /// Waits until `condition` answers true, at most `limit` of real time.
    ///
    /// # Errors
    /// `Stop::Errored` when the time is up, or what the condition answers.
    pub async fn eventually<F>(&self, what: &str, limit: Duration, mut condition: impl FnMut() -> F) -> Result<(), Stop>
    where
        F: Future<Output = Result<bool, Stop>>,
    {
        let looks = async {
            while !condition().await? {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        match tokio::time::timeout(limit, looks).await {
            Ok(done) => done,
            Err(_) => Err(Stop::Errored(format!("{what}: not within {limit:?}"))),
        }
    }
}
