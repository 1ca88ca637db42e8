//! Everything that one store keeps: plain data that only `apply` changes.

mod events;
mod index;
mod mailbox;
mod shared;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::{self, Write},
    sync::Arc,
};

use ff_core::{
    AttemptId, AttemptIndex, AttemptInfo, AttemptPhase, AttemptType, CapabilitySet, CompletionEvent, EngineError,
    ExecutionId, ExecutionRecord, Keyring, LaneId, LeaseEpoch, LeaseHistoryEvent, LeaseId, Limits, Namespace,
    Operation, OperatorEvent, RetryRule, ScanPlace, SignalDeliveryEvent, TimestampMs, WorkerId, WorkerInstanceId,
};

use crate::capabilities::LABEL;

pub(crate) use events::{CompletionEntry, Events, LeaseEntry, Log};
pub use index::Place;
pub(crate) use index::{Index, Rank};
pub use mailbox::{FirstSuspension, Mailbox, SignalRecord};
pub(crate) use shared::Shared;

/// One execution with everything that belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredExecution {
    /// The facts that readers see.
    pub record: ExecutionRecord,
    /// Its namespace, shared with its events.
    pub namespace: Arc<Namespace>,
    /// The input.
    pub input_payload: Vec<u8>,
    /// How the input is encoded.
    pub payload_encoding: Option<String>,
    /// Its labels.
    pub tags: BTreeMap<String, String>,
    /// The result, once it has completed with one.
    pub result: Option<Vec<u8>>,
    /// What a worker must offer.
    pub required: CapabilitySet,
    /// When a failed attempt is retried.
    pub retry_rule: Option<RetryRule>,
    /// How often another worker may take over.
    pub max_reclaims: u32,
    /// How often it may run again after its end.
    pub max_replays: u32,
    /// How long an attempt may take.
    pub attempt_timeout_ms: Option<u64>,
    /// When the attempt of the latest lease runs out of time; the lease never outlives it.
    pub attempt_timeout_at: Option<TimestampMs>,
    /// The deadline, counted from creation and replay, unless it is absolute.
    pub deadline_after_ms: Option<u64>,
    /// The holder operation that ended the latest lease; a repeat of it is recognised.
    pub ended_by: Option<Operation>,
    /// The idempotency key that it was created under.
    pub idempotency_key: Option<String>,
    /// Where it stands in the indexes of the store.
    pub place: Place,
    /// Its attempts, by index.
    pub attempts: Vec<AttemptRecord>,
    /// What was delivered to it, and where.
    pub mailbox: Mailbox,
}

/// One attempt of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Its id.
    pub attempt_id: AttemptId,
    /// Its index, from 0.
    pub attempt_index: AttemptIndex,
    /// Why it exists.
    pub attempt_type: AttemptType,
    /// Where it stands.
    pub phase: AttemptPhase,
    /// The lease that it runs or ran under.
    pub lease_id: LeaseId,
    /// The epoch of that lease.
    pub lease_epoch: LeaseEpoch,
    /// The worker.
    pub worker_id: WorkerId,
    /// The process of the worker.
    pub worker_instance_id: Arc<WorkerInstanceId>,
    /// When it started.
    pub started_at: TimestampMs,
    /// When it was last taken up again.
    pub resumed_at: Option<TimestampMs>,
    /// When its end was written.
    pub ended_at: Option<TimestampMs>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// The category of its failure.
    pub failure_category: Option<String>,
}

impl From<AttemptRecord> for AttemptInfo {
    fn from(record: AttemptRecord) -> Self {
        Self {
            attempt_id: record.attempt_id,
            attempt_index: record.attempt_index,
            attempt_type: record.attempt_type,
            phase: record.phase,
            lease_id: record.lease_id,
            lease_epoch: record.lease_epoch,
            worker_id: record.worker_id,
            worker_instance_id: Arc::unwrap_or_clone(record.worker_instance_id),
            started_at: record.started_at,
            resumed_at: record.resumed_at,
            ended_at: record.ended_at,
            failure_reason: record.failure_reason,
            failure_category: record.failure_category,
        }
    }
}

/// What an idempotency key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The execution that was created under it.
    pub execution_id: ExecutionId,
    /// When it lapses.
    pub expires_at: TimestampMs,
}

impl StoredExecution {
    /// True if no further worker may take over.
    pub(crate) const fn is_out_of_reclaims(&self) -> bool {
        self.record.lease_reclaim_count >= self.max_reclaims
    }

    /// Ends the open attempt, if there is one.
    pub(crate) fn close_attempt(&mut self, phase: AttemptPhase, failure: Option<(&str, &str)>, now: TimestampMs) {
        let is_open = |phase| matches!(phase, AttemptPhase::Started | AttemptPhase::Suspended);
        let Some(attempt) = self.attempts.last_mut().filter(|attempt| is_open(attempt.phase)) else { return };
        attempt.phase = phase;
        attempt.ended_at = Some(now);
        attempt.failure_reason = failure.map(|(reason, _)| reason.to_owned());
        attempt.failure_category = failure.map(|(_, category)| category.to_owned());
    }
}

/// One store; its clones share what none of them has changed since.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The label of the backend whose handles and cursors it knows.
    pub(crate) label: &'static str,
    pub(crate) limits: Shared<Limits>,
    pub(crate) executions: HashMap<ExecutionId, Shared<StoredExecution>>,
    pub(crate) index: Shared<Index>,
    pub(crate) keys: Shared<BTreeMap<Namespace, BTreeMap<String, KeyRecord>>>,
    pub(crate) events: Shared<Events>,
    pub(crate) keyring: Shared<Keyring>,
    /// How many ids were minted that nobody has seen when they were.
    pub(crate) unseen: u64,
    /// What the next claim passes over.
    pub(crate) passed: Vec<ExecutionId>,
    /// What the next claim leaves as it is, although its time has come.
    pub(crate) left: Vec<ExecutionId>,
    #[cfg(feature = "flaws")]
    pub(crate) flaw: Option<crate::Flaw>,
}

impl State {
    /// An empty store of the backend called `memory`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::of_backend(LABEL, limits)
    }

    /// An empty store of the backend called `label`, whose handles and scan cursors it gives and takes.
    #[must_use]
    pub fn of_backend(label: &'static str, limits: Limits) -> Self {
        Self {
            label,
            limits: Shared::new(limits),
            executions: HashMap::new(),
            index: Shared::default(),
            keys: Shared::default(),
            events: Shared::default(),
            keyring: Shared::default(),
            unseen: 0,
            passed: Vec::new(),
            left: Vec::new(),
            #[cfg(feature = "flaws")]
            flaw: None,
        }
    }

    /// The same with a planted fault.
    #[cfg(feature = "flaws")]
    #[must_use]
    pub fn with_flaw(mut self, flaw: Option<crate::Flaw>) -> Self {
        self.flaw = flaw;
        self
    }

    /// The same state, of which the next claim passes over some executions, and leaves some as they are.
    pub(crate) fn passing(&self, passed: &[ExecutionId], left: &[ExecutionId]) -> Self {
        Self { passed: passed.to_vec(), left: left.to_vec(), ..self.clone() }
    }

    /// The limits that it keeps.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// All executions, by id.
    pub fn executions(&self) -> impl Iterator<Item = &StoredExecution> {
        self.index.ids().filter_map(|id| self.execution(id))
    }

    /// One execution.
    #[must_use]
    pub fn execution(&self, id: &ExecutionId) -> Option<&StoredExecution> {
        self.executions.get(id).map(|row| &**row)
    }

    /// All lanes that an execution was ever created in, by name.
    pub fn lanes(&self) -> impl Iterator<Item = &LaneId> {
        self.index.lanes()
    }

    /// All idempotency keys, by namespace and key, lapsed ones included.
    pub fn idempotency_keys(&self) -> impl Iterator<Item = (&Namespace, &str, &KeyRecord)> {
        self.keys
            .iter()
            .flat_map(|(namespace, keys)| keys.iter().map(move |(key, record)| (namespace, key.as_str(), record)))
    }

    /// The lease history of all executions, in the order in which it was written.
    pub fn lease_events(&self) -> impl Iterator<Item = LeaseHistoryEvent> {
        self.events.lease_history()
    }

    /// The completions of all executions, in the order in which they were written.
    pub fn completion_events(&self) -> impl Iterator<Item = CompletionEvent> {
        self.events.completions()
    }

    /// What operators did to all executions, in the order in which it was written.
    pub fn operator_events(&self) -> impl Iterator<Item = OperatorEvent> {
        self.events.operator_events()
    }

    /// What was delivered to waitpoints of all executions, in the order in which it was written.
    pub fn signal_events(&self) -> impl Iterator<Item = SignalDeliveryEvent> {
        self.events.signal_deliveries()
    }

    /// The keys that sign the tokens of waitpoints.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Everything as text: equal texts mean equal states.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_dump(&mut out);
        out
    }

    fn write_dump(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "signing {:?}", self.keyring)?;
        for lane in self.lanes() {
            writeln!(out, "lane {lane:?}")?;
        }
        for (namespace, key, record) in self.idempotency_keys() {
            writeln!(out, "key {namespace:?} {key:?} {record:?}")?;
        }
        for row in self.executions() {
            let id = row.record.execution_id;
            writeln!(out, "execution {id} {:?}", row.record)?;
            writeln!(out, "input {id} {:?} \"{}\"", row.payload_encoding, row.input_payload.escape_ascii())?;
            if let Some(result) = &row.result {
                writeln!(out, "result {id} \"{}\"", result.escape_ascii())?;
            }
            writeln!(out, "tags {id} {:?}", row.tags)?;
            writeln!(
                out,
                "rules {id} {:?} {:?} {} {}",
                row.required, row.retry_rule, row.max_reclaims, row.max_replays
            )?;
            let limits = (row.attempt_timeout_ms, row.attempt_timeout_at, row.deadline_after_ms);
            writeln!(out, "times {id} {limits:?}")?;
            writeln!(out, "place {id} {:?} {:?}", row.place, row.ended_by)?;
            for attempt in &row.attempts {
                writeln!(out, "attempt {id} {attempt:?}")?;
            }
            row.mailbox.write_dump(out, &id)?;
        }
        for event in self.lease_events() {
            writeln!(out, "lease_event {event:?}")?;
        }
        for event in self.completion_events() {
            writeln!(out, "completion_event {event:?}")?;
        }
        for event in self.operator_events() {
            writeln!(out, "operator_event {event:?}")?;
        }
        for event in self.signal_events() {
            writeln!(out, "signal_event {event:?}")?;
        }
        Ok(())
    }

    /// The row of an execution that a write names.
    pub(crate) fn row(&self, id: &ExecutionId) -> Result<&StoredExecution, EngineError> {
        self.execution(id).ok_or_else(EngineError::execution_not_found)
    }

    /// The row of an execution that a write names, to be changed with its indexes and events.
    pub(crate) fn parts(
        &mut self,
        id: &ExecutionId,
    ) -> Result<(&mut StoredExecution, &mut Index, &mut Events), EngineError> {
        let row = self.executions.get_mut(id).ok_or_else(EngineError::execution_not_found)?;
        Ok((row, &mut self.index, &mut self.events))
    }

    /// Forgets an execution with everything that belongs to it but its events.
    pub(crate) fn remove(&mut self, id: &ExecutionId) {
        let Some(mut row) = self.executions.remove(id) else { return };
        self.index.remove(&mut row);
        if let Some(key) = row.idempotency_key.as_ref() {
            let is_its_own = |record: &KeyRecord| record.execution_id == *id;
            if self.keys.get(&*row.namespace).and_then(|keys| keys.get(key)).is_some_and(is_its_own) {
                self.remove_key(&row.namespace, key);
            }
        }
    }

    /// Forgets an idempotency key.
    pub(crate) fn remove_key(&mut self, namespace: &Namespace, key: &str) {
        let Some(keys) = self.keys.get_mut(namespace) else { return };
        keys.remove(key);
        if keys.is_empty() {
            self.keys.remove(namespace);
        }
    }

    /// The first `most` idempotency keys behind a place that have lapsed, by instant, namespace and key.
    pub(crate) fn lapsed_keys_behind(
        &self,
        behind: Option<&ScanPlace>,
        now: TimestampMs,
        most: usize,
    ) -> Vec<ScanPlace> {
        let behind = match behind {
            Some(ScanPlace::Key { expires_at, namespace, key }) => Some((*expires_at, namespace, key.as_str())),
            _ => None,
        };
        let lapsed = self.idempotency_keys().map(|(namespace, key, record)| (record.expires_at, namespace, key));
        let mut lapsed: Vec<_> =
            lapsed.filter(|place| place.0.has_come(now) && behind.is_none_or(|behind| *place > behind)).collect();
        lapsed.sort_unstable();
        let place = |(expires_at, namespace, key): (_, &Namespace, &str)| ScanPlace::Key {
            expires_at,
            namespace: namespace.clone(),
            key: key.to_owned(),
        };
        lapsed.into_iter().take(most).map(place).collect()
    }

    /// The row of an execution that a write names, to be changed.
    pub(crate) fn row_mut(&mut self, id: &ExecutionId) -> Result<&mut StoredExecution, EngineError> {
        self.parts(id).map(|(row, _, _)| row)
    }
}
