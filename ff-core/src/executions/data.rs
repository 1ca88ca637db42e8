//! What executions are made of and what readers see of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    AttemptId, AttemptIndex, AttemptPhase, AttemptType, BlockingReason, CapabilitySet, EngineError, ExecutionId,
    ExecutionPolicy, FailureClass, LaneId, LeaseEpoch, LeaseId, Limits, Namespace, Progress, PublicState,
    ReleaseReason, StateVector, TimestampMs, WaitpointId, WorkerId, WorkerInstanceId,
    text::{check_name, check_payload, check_tags},
};

/// What a new execution is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CreateExecutionArgs {
    /// The id, minted by the caller: it makes the create repeatable.
    pub execution_id: ExecutionId,
    /// Whom it belongs to: the scope of the idempotency key and of filters.
    pub namespace: Namespace,
    /// The queue it waits in.
    pub lane_id: LaneId,
    /// What kind of work it is, for the worker. At most 256 bytes.
    pub execution_kind: String,
    /// The input, any bytes, at most 16 MiB.
    pub input_payload: Vec<u8>,
    /// How the input is encoded, for the worker.
    pub payload_encoding: Option<String>,
    /// Higher goes first; clamped to `0..=9000`. Wins over the policy.
    pub priority: Option<i32>,
    /// Who creates it.
    pub creator_identity: Option<String>,
    /// Within the namespace and for the policy's window, a second create with the same key is `Duplicate`.
    pub idempotency_key: Option<String>,
    /// Labels, at most 64, keys of the form `namespace.name`.
    pub tags: BTreeMap<String, String>,
    /// What its creator decides in advance.
    pub policy: ExecutionPolicy,
    /// The earliest instant of the first claim; one that has come means no delay. Wins over the policy.
    pub delay_until: Option<TimestampMs>,
    /// The instant at which the whole execution expires, whatever it is doing.
    pub execution_deadline_at: Option<TimestampMs>,
}

impl CreateExecutionArgs {
    /// An execution with an empty input and no options.
    #[must_use]
    pub fn new(
        execution_id: ExecutionId,
        namespace: Namespace,
        lane_id: LaneId,
        execution_kind: impl Into<String>,
    ) -> Self {
        Self {
            execution_id,
            namespace,
            lane_id,
            execution_kind: execution_kind.into(),
            input_payload: Vec::new(),
            payload_encoding: None,
            priority: None,
            creator_identity: None,
            idempotency_key: None,
            tags: BTreeMap::new(),
            policy: ExecutionPolicy::default(),
            delay_until: None,
            execution_deadline_at: None,
        }
    }

    /// The same with an input.
    #[must_use]
    pub fn input_payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.input_payload = payload.into();
        self
    }

    /// The same with a name for the input's encoding.
    #[must_use]
    pub fn payload_encoding(mut self, encoding: impl Into<String>) -> Self {
        self.payload_encoding = Some(encoding.into());
        self
    }

    /// The same with a priority.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// The same with a creator.
    #[must_use]
    pub fn creator_identity(mut self, creator: impl Into<String>) -> Self {
        self.creator_identity = Some(creator.into());
        self
    }

    /// The same with an idempotency key; the empty key is none.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into()).filter(|key| !key.is_empty());
        self
    }

    /// The same with one more tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// The same with a policy.
    #[must_use]
    pub fn policy(mut self, policy: ExecutionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The same with an earliest instant for the first claim.
    #[must_use]
    pub fn delay_until(mut self, due: TimestampMs) -> Self {
        self.delay_until = Some(due);
        self
    }

    /// The same with a deadline.
    #[must_use]
    pub fn execution_deadline_at(mut self, deadline: TimestampMs) -> Self {
        self.execution_deadline_at = Some(deadline);
        self
    }

    /// The priority that counts: the argument, else the policy's, clamped.
    #[must_use]
    pub fn effective_priority(&self) -> i32 {
        let asked = self.priority.or(self.policy.priority).unwrap_or_default();
        asked.clamp(*Limits::PRIORITY.start(), *Limits::PRIORITY.end())
    }

    /// The delay that counts: the argument, else the policy's.
    #[must_use]
    pub fn effective_delay_until(&self) -> Option<TimestampMs> {
        self.delay_until.or(self.policy.delay_until)
    }

    /// What a worker must offer.
    #[must_use]
    pub fn required_capabilities(&self) -> CapabilitySet {
        self.policy
            .routing_requirements
            .as_ref()
            .map(|routing| routing.required_capabilities.clone())
            .unwrap_or_default()
    }

    /// Refuses what no backend accepts.
    ///
    /// # Errors
    /// `Validation` with the kind that names the rule: `InvalidInput`, `PayloadTooLarge`, `InvalidTagKey`,
    /// `InvalidPolicyJson`.
    pub fn check(&self, limits: &Limits) -> Result<(), EngineError> {
        self.execution_id.check_partition(limits.partitions)?;
        check_name(&self.execution_kind, "execution_kind")?;
        check_payload(&self.input_payload, "input_payload", limits.payload_bytes)?;
        for (field, text) in [
            ("payload_encoding", &self.payload_encoding),
            ("creator_identity", &self.creator_identity),
            ("idempotency_key", &self.idempotency_key),
        ] {
            text.as_ref().map_or(Ok(()), |text| check_name(text, field))?;
        }
        check_tags(&self.tags)?;
        self.policy.check()?;
        self.delay_until.map_or(Ok(()), |due| due.check("delay_until").map(drop))?;
        self.execution_deadline_at.map_or(Ok(()), |deadline| deadline.check("execution_deadline_at").map(drop))
    }
}

/// What a create did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CreateExecutionResult {
    /// The execution exists now.
    Created {
        /// Its id.
        execution_id: ExecutionId,
        /// `Waiting`, or `Delayed` if its delay lies ahead.
        public_state: PublicState,
    },
    /// It existed already, by its id or by its idempotency key; nothing was compared and nothing changed.
    Duplicate {
        /// The id of the first.
        execution_id: ExecutionId,
    },
}

/// The latest attempt of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSummary {
    /// Its id.
    pub attempt_id: AttemptId,
    /// Its index, from 0.
    pub attempt_index: AttemptIndex,
}

/// A live lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseSummary {
    /// The lease.
    pub lease_id: LeaseId,
    /// Its epoch.
    pub lease_epoch: LeaseEpoch,
    /// The attempt under it.
    pub attempt_index: AttemptIndex,
    /// The process that holds it.
    pub worker_instance_id: WorkerInstanceId,
    /// When it was acquired.
    pub acquired_at: TimestampMs,
    /// When it lapses unless it is renewed.
    pub expires_at: TimestampMs,
    /// When it was last renewed.
    pub last_renewed_at: Option<TimestampMs>,
}

/// What became of the latest lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStatus {
    /// Nobody holds the execution.
    None,
    /// The lease is live.
    Live,
    /// The lease ran out and nobody has taken over.
    Expired,
    /// The lease was revoked and nobody has taken over.
    Revoked,
}

/// An execution at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionSnapshot {
    /// Its id.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its state.
    pub public_state: PublicState,
    /// What it waits for, if anything.
    pub blocking_reason: Option<BlockingReason>,
    /// The latest attempt; none before the first claim and while a retry or a replay waits for its own.
    pub current_attempt: Option<AttemptSummary>,
    /// The lease, if it is live at this instant.
    pub current_lease: Option<LeaseSummary>,
    /// What became of the latest lease.
    pub lease_status: LeaseStatus,
    /// The primary waitpoint, while it is suspended.
    pub current_waitpoint: Option<WaitpointId>,
    /// When it was created.
    pub created_at: TimestampMs,
    /// When anything about it was last written.
    pub last_mutation_at: TimestampMs,
    /// How many attempts there have been.
    pub total_attempt_count: u32,
    /// Its labels.
    pub tags: BTreeMap<String, String>,
}

/// Everything about an execution at one instant, its input included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutionInfo {
    /// Its id.
    pub execution_id: ExecutionId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its lane.
    pub lane_id: LaneId,
    /// Its effective priority.
    pub priority: i32,
    /// What kind of work it is.
    pub execution_kind: String,
    /// Who created it.
    pub creator_identity: Option<String>,
    /// The input, byte for byte.
    pub input_payload: Vec<u8>,
    /// How the input is encoded.
    pub payload_encoding: Option<String>,
    /// All dimensions of its state.
    pub state: StateVector,
    /// The state derived from them.
    pub public_state: PublicState,
    /// The due instant while it is delayed.
    pub delay_until: Option<TimestampMs>,
    /// The deadline of the whole execution.
    pub execution_deadline_at: Option<TimestampMs>,
    /// When it was created; it decides the order within a priority.
    pub created_at: TimestampMs,
    /// When it was first claimed.
    pub started_at: Option<TimestampMs>,
    /// When it ended.
    pub completed_at: Option<TimestampMs>,
    /// When its state last changed.
    pub last_transition_at: TimestampMs,
    /// When anything about it was last written.
    pub last_mutation_at: TimestampMs,
    /// The latest attempt; none before the first claim and while a retry or a replay waits for its own.
    pub current_attempt: Option<AttemptSummary>,
    /// How many leases there have been.
    pub current_lease_epoch: LeaseEpoch,
    /// How many attempts there have been.
    pub total_attempt_count: u32,
    /// Retries scheduled so far.
    pub retry_count: u32,
    /// Take-overs after a lease ended so far.
    pub lease_reclaim_count: u32,
    /// Replays so far.
    pub replay_count: u32,
    /// The message of the last failure.
    pub failure_reason: Option<String>,
    /// The category of the last failure, else its class.
    pub failure_category: Option<String>,
    /// Why it was cancelled.
    pub cancellation_reason: Option<String>,
    /// Who cancelled it.
    pub cancelled_by: Option<String>,
    /// How far the work is.
    pub progress: Option<Progress>,
}

/// One page of executions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListExecutionsPage {
    /// Ids in ascending order of their text.
    pub executions: Vec<ExecutionId>,
    /// Where the next page begins, if there is one: the last id of this page.
    pub next_cursor: Option<ExecutionId>,
}

/// One page of lanes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListLanesPage {
    /// Lanes in ascending order of their bytes.
    pub lanes: Vec<LaneId>,
    /// Where the next page begins, if there is one: the last lane of this page.
    pub next_cursor: Option<LaneId>,
}

/// One attempt of an execution at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptInfo {
    /// Its id.
    pub attempt_id: AttemptId,
    /// Its index, from 0.
    pub attempt_index: AttemptIndex,
    /// Why it exists.
    pub attempt_type: AttemptType,
    /// Where it stands.
    pub phase: AttemptPhase,
    /// The latest lease that it runs or ran under.
    pub lease_id: LeaseId,
    /// The epoch of that lease.
    pub lease_epoch: LeaseEpoch,
    /// The worker that holds or held that lease.
    pub worker_id: WorkerId,
    /// The process of that worker.
    pub worker_instance_id: WorkerInstanceId,
    /// When it first started.
    pub started_at: TimestampMs,
    /// When it was last taken up again after a delay or a wait.
    pub resumed_at: Option<TimestampMs>,
    /// When it ended.
    pub ended_at: Option<TimestampMs>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// The category of its failure.
    pub failure_category: Option<String>,
}

impl AttemptInfo {
    /// The same if the deadline of its execution came at `ended_at` while it was open; nobody has written that down.
    #[must_use]
    pub fn ended_by_deadline(mut self, ended_at: Option<TimestampMs>) -> Self {
        let open = matches!(self.phase, AttemptPhase::Started | AttemptPhase::Suspended);
        if open && ended_at.is_some() {
            self.phase = AttemptPhase::EndedFailure;
            self.ended_at = ended_at;
            self.failure_reason = Some(ReleaseReason::ExecutionDeadline.as_str().to_owned());
            self.failure_category = Some(FailureClass::Timeout.as_str().to_owned());
        }
        self
    }
}

/// One page of the attempts of an execution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAttemptsPage {
    /// Attempts in ascending order of their index.
    pub attempts: Vec<AttemptInfo>,
    /// Where the next page begins, if there is one: the last index of this page.
    pub next_cursor: Option<AttemptIndex>,
}
