//! What a store keeps of an execution, and what readers see of it at an instant.

mod suspensions;

use std::collections::BTreeMap;

pub use suspensions::{SuspensionRecord, WaitpointRecord};

use crate::{
    AttemptId, AttemptIndex, AttemptInfo, AttemptState, AttemptSummary, BlockingReason, CapabilitySet, ContentionKind,
    EligibilityState, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot, GrantKey, LaneId, LeaseEpoch,
    LeaseFence, LeaseId, LeaseStatus, LeaseSummary, LifecyclePhase, Namespace, OwnershipState, Progress, PublicState,
    StateKind, StateVector, TerminalOutcome, TimestampMs, UnclaimedReason, WorkerId, WorkerInstanceId,
};

/// The lease columns of an execution; they stay after the lease has ended, until the next acquisition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The lease.
    pub lease_id: LeaseId,
    /// The attempt under it.
    pub attempt_id: AttemptId,
    /// The index of that attempt.
    pub attempt_index: AttemptIndex,
    /// The process that holds or held it.
    pub worker_instance_id: WorkerInstanceId,
    /// When it was acquired.
    pub acquired_at: TimestampMs,
    /// When it lapses or lapsed.
    pub expires_at: TimestampMs,
    /// When it was last renewed.
    pub last_renewed_at: Option<TimestampMs>,
}

/// The latest grant of an execution; it stays until another grant or acquisition replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// What redeems it.
    pub grant_key: GrantKey,
    /// The worker it names.
    pub worker_id: WorkerId,
    /// The process of that worker.
    pub worker_instance_id: WorkerInstanceId,
    /// When it lapses or lapsed.
    pub expires_at: TimestampMs,
    /// True once the latest lease came from it.
    pub redeemed: bool,
}

/// What redeeming a grant would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeeming {
    /// Hand out a lease.
    First,
    /// Return the lease that it handed out and that is live.
    Repeated,
}

/// One execution as a store keeps it.
///
/// Stored state only moves when something is written; what time alone changes (a due delay, a lapsed lease, a
/// deadline) is read by comparison, here and nowhere else.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionRecord {
    /// The id.
    pub execution_id: ExecutionId,
    /// The namespace.
    pub namespace: Namespace,
    /// The lane.
    pub lane_id: LaneId,
    /// What kind of work it is.
    pub execution_kind: String,
    /// Who created it.
    pub creator_identity: Option<String>,
    /// The effective priority.
    pub priority: i32,
    /// The state as written.
    pub state: StateVector,
    /// The due instant of a delay or back-off; kept until the next acquisition.
    pub delay_until: Option<TimestampMs>,
    /// The wall deadline of the whole execution.
    pub execution_deadline_at: Option<TimestampMs>,
    /// The latest lease.
    pub lease: Option<LeaseRecord>,
    /// The latest grant.
    pub grant: Option<GrantRecord>,
    /// The latest suspension.
    pub suspension: Option<SuspensionRecord>,
    /// How many leases there have been.
    pub lease_epoch: LeaseEpoch,
    /// How many attempts there have been.
    pub total_attempt_count: u32,
    /// Retries scheduled so far.
    pub retry_count: u32,
    /// Take-overs so far.
    pub lease_reclaim_count: u32,
    /// Replays so far.
    pub replay_count: u32,
    /// When it was created.
    pub created_at: TimestampMs,
    /// When it was first claimed.
    pub started_at: Option<TimestampMs>,
    /// When it ended.
    pub completed_at: Option<TimestampMs>,
    /// When its state last changed.
    pub last_transition_at: TimestampMs,
    /// When anything about it was last written.
    pub last_mutation_at: TimestampMs,
    /// The message of the last failure.
    pub failure_reason: Option<String>,
    /// The category of the last failure.
    pub failure_category: Option<String>,
    /// Why it was cancelled.
    pub cancellation_reason: Option<String>,
    /// Who cancelled it.
    pub cancelled_by: Option<String>,
    /// How far the work is.
    pub progress: Option<Progress>,
}

impl ExecutionRecord {
    /// True if the deadline of the whole execution has come before anything else ended it.
    #[must_use]
    pub fn is_past_deadline(&self, now: TimestampMs) -> bool {
        self.state.lifecycle_phase != LifecyclePhase::Terminal
            && self.execution_deadline_at.is_some_and(|deadline| deadline.has_come(now))
            && self.ended_by_suspension(now).is_none()
    }

    /// True if the lease was not given back and has run out.
    #[must_use]
    pub fn has_lapsed_lease(&self, now: TimestampMs) -> bool {
        self.state.ownership_state == OwnershipState::Leased
            && self.lease.as_ref().is_some_and(|lease| lease.expires_at.has_come(now))
    }

    /// The state that holds at `now`.
    #[must_use]
    pub fn state_at(&self, now: TimestampMs) -> StateVector {
        if self.is_past_deadline(now) {
            let attempt =
                if self.total_attempt_count == 0 { AttemptState::None } else { AttemptState::AttemptTerminal };
            return StateVector::terminal(TerminalOutcome::Expired, attempt);
        }
        if self.has_lapsed_lease(now) {
            return StateVector::lapsed();
        }
        if self.open_suspension().is_some() {
            return self.suspended_at(now);
        }
        let waits = self.state.eligibility_state == EligibilityState::NotEligibleUntilTime;
        if waits && self.delay_until.is_none_or(|due| due.has_come(now)) {
            return StateVector::eligible(self.state.attempt_state);
        }
        self.state
    }

    /// The instant of the terminal transition that holds at `now`: a deadline takes effect when it comes, not when
    /// somebody writes it down.
    #[must_use]
    pub fn completed_at(&self, now: TimestampMs) -> Option<TimestampMs> {
        if self.is_past_deadline(now) {
            self.execution_deadline_at.max(Some(self.created_at))
        } else {
            self.ended_by_suspension(now).map(|(_, at)| at).or(self.completed_at)
        }
    }

    /// The fence of the latest lease.
    #[must_use]
    pub fn fence(&self) -> Option<LeaseFence> {
        self.lease.as_ref().map(|lease| LeaseFence {
            lease_id: lease.lease_id,
            lease_epoch: self.lease_epoch,
            attempt_id: lease.attempt_id,
        })
    }

    /// The fence of every holder operation, after replays were recognised: active, not revoked, not lapsed, same
    /// lease, epoch and attempt, in this order.
    ///
    /// # Errors
    /// `Contention(ExecutionNotActive)`, `State(LeaseRevoked)`, `State(LeaseExpired)`, `State(StaleLease)`.
    pub fn check_fence(&self, fence: &LeaseFence, now: TimestampMs) -> Result<(), EngineError> {
        match self.check_active(now)? {
            OwnershipState::LeaseRevoked => Err(EngineError::State(StateKind::LeaseRevoked)),
            OwnershipState::LeaseExpiredReclaimable => Err(EngineError::State(StateKind::LeaseExpired)),
            OwnershipState::Unowned | OwnershipState::Leased if self.fence().as_ref() == Some(fence) => Ok(()),
            OwnershipState::Unowned | OwnershipState::Leased => Err(EngineError::State(StateKind::StaleLease)),
        }
    }

    /// Who may act on the execution at `now`, if it is active.
    ///
    /// # Errors
    /// `Contention(ExecutionNotActive)`.
    pub fn check_active(&self, now: TimestampMs) -> Result<OwnershipState, EngineError> {
        let state = self.state_at(now);
        if state.lifecycle_phase == LifecyclePhase::Active {
            return Ok(state.ownership_state);
        }
        Err(EngineError::Contention(ContentionKind::ExecutionNotActive {
            terminal_outcome: state.terminal_outcome,
            lease_epoch: self.lease_epoch,
            lifecycle_phase: state.lifecycle_phase,
            attempt_id: self.lease.as_ref().map(|lease| lease.attempt_id),
        }))
    }

    /// What `read_execution_state` answers at `now`.
    #[must_use]
    pub fn public_state(&self, now: TimestampMs) -> PublicState {
        self.state_at(now).public_state()
    }

    /// What `describe_execution` answers at `now`.
    #[must_use]
    pub fn snapshot(self, tags: BTreeMap<String, String>, now: TimestampMs) -> ExecutionSnapshot {
        let state = self.state_at(now);
        let is_suspended = state.lifecycle_phase == LifecyclePhase::Suspended;
        let current_waitpoint =
            self.suspension.as_ref().filter(|_| is_suspended).map(|suspension| suspension.waitpoint_id);
        let lease_status = match state.ownership_state {
            OwnershipState::Unowned => LeaseStatus::None,
            OwnershipState::Leased => LeaseStatus::Live,
            OwnershipState::LeaseExpiredReclaimable => LeaseStatus::Expired,
            OwnershipState::LeaseRevoked => LeaseStatus::Revoked,
        };
        let current_attempt = self.current_attempt(state);
        let current_lease = self.lease.filter(|_| lease_status == LeaseStatus::Live).map(|lease| LeaseSummary {
            lease_id: lease.lease_id,
            lease_epoch: self.lease_epoch,
            attempt_index: lease.attempt_index,
            worker_instance_id: lease.worker_instance_id,
            acquired_at: lease.acquired_at,
            expires_at: lease.expires_at,
            last_renewed_at: lease.last_renewed_at,
        });
        ExecutionSnapshot {
            execution_id: self.execution_id,
            lane_id: self.lane_id,
            namespace: self.namespace,
            public_state: state.public_state(),
            blocking_reason: Some(state.blocking_reason).filter(|reason| *reason != BlockingReason::None),
            current_attempt,
            current_lease,
            lease_status,
            current_waitpoint,
            created_at: self.created_at,
            last_mutation_at: self.last_mutation_at,
            total_attempt_count: self.total_attempt_count,
            tags,
        }
    }

    /// What `read_execution_info` answers at `now`.
    #[must_use]
    pub fn info(self, input_payload: Vec<u8>, payload_encoding: Option<String>, now: TimestampMs) -> ExecutionInfo {
        let state = self.state_at(now);
        let completed_at = self.completed_at(now);
        let current_attempt = self.current_attempt(state);
        let this = self.settled(now);
        let waits = state.eligibility_state == EligibilityState::NotEligibleUntilTime;
        ExecutionInfo {
            completed_at,
            current_attempt,
            execution_id: this.execution_id,
            namespace: this.namespace,
            lane_id: this.lane_id,
            priority: this.priority,
            execution_kind: this.execution_kind,
            creator_identity: this.creator_identity,
            input_payload,
            payload_encoding,
            state,
            public_state: state.public_state(),
            delay_until: this.delay_until.filter(|_| waits),
            execution_deadline_at: this.execution_deadline_at,
            created_at: this.created_at,
            started_at: this.started_at,
            last_transition_at: this.last_transition_at,
            last_mutation_at: this.last_mutation_at,
            current_lease_epoch: this.lease_epoch,
            total_attempt_count: this.total_attempt_count,
            retry_count: this.retry_count,
            lease_reclaim_count: this.lease_reclaim_count,
            replay_count: this.replay_count,
            failure_reason: this.failure_reason,
            failure_category: this.failure_category,
            cancellation_reason: this.cancellation_reason,
            cancelled_by: this.cancelled_by,
            progress: this.progress,
        }
    }

    /// The grant that reserves the execution at `now`.
    #[must_use]
    pub fn live_grant(&self, now: TimestampMs) -> Option<&GrantRecord> {
        self.grant.as_ref().filter(|grant| !grant.redeemed && !grant.expires_at.has_come(now))
    }

    /// Whether `claim_execution` may redeem a grant at `now`, in the order of its errors.
    ///
    /// # Errors
    /// `Contention` with `ExecutionNotLeaseable`, `LeaseConflict`, `InvalidClaimGrant` or `ClaimGrantExpired`.
    pub fn check_grant(
        &self,
        grant_key: &GrantKey,
        worker: (&WorkerId, &WorkerInstanceId),
        now: TimestampMs,
    ) -> Result<Redeeming, EngineError> {
        let state = self.state_at(now);
        let named = self
            .grant
            .as_ref()
            .filter(|grant| grant.grant_key == *grant_key && (&grant.worker_id, &grant.worker_instance_id) == worker);
        let leased = state.ownership_state == OwnershipState::Leased;
        if leased && named.is_some_and(|grant| grant.redeemed) {
            return Ok(Redeeming::Repeated);
        }
        let active = state.lifecycle_phase == LifecyclePhase::Active;
        let refusal = if !active && state.eligibility_state != EligibilityState::EligibleNow {
            ContentionKind::ExecutionNotLeaseable
        } else if leased {
            ContentionKind::LeaseConflict
        } else {
            match named.filter(|grant| !grant.redeemed) {
                None => ContentionKind::InvalidClaimGrant,
                Some(grant) if grant.expires_at.has_come(now) => ContentionKind::ClaimGrantExpired,
                Some(_) => return Ok(Redeeming::First),
            }
        };
        Err(EngineError::Contention(refusal))
    }

    /// What `explain_unclaimed` answers at `now` about a worker that offers `offered`.
    #[must_use]
    pub fn unclaimed_reason(
        &self,
        required: &CapabilitySet,
        offered: &CapabilitySet,
        now: TimestampMs,
    ) -> UnclaimedReason {
        let state = self.state_at(now);
        let reason = state.blocking_reason;
        match (state.lifecycle_phase, &self.lease) {
            (LifecyclePhase::Terminal, _) => return UnclaimedReason::Ended { outcome: state.terminal_outcome },
            (LifecyclePhase::Suspended, _) => return UnclaimedReason::Suspended,
            (_, Some(lease)) if state.ownership_state == OwnershipState::Leased => {
                return UnclaimedReason::Leased {
                    lease_epoch: self.lease_epoch,
                    worker_instance_id: lease.worker_instance_id.clone(),
                    expires_at: lease.expires_at,
                };
            }
            _ => {}
        }
        match (state.eligibility_state, self.delay_until) {
            (EligibilityState::NotEligibleUntilTime, Some(due_at)) => {
                return UnclaimedReason::Delayed { due_at, reason };
            }
            (EligibilityState::EligibleNow | EligibilityState::NotApplicable, _) => {}
            _ => return UnclaimedReason::Blocked { reason },
        }
        let missing = offered.missing(required);
        if !missing.is_empty() {
            return UnclaimedReason::MissingCapabilities { missing };
        }
        match self.live_grant(now) {
            Some(grant) => UnclaimedReason::Reserved {
                worker_instance_id: grant.worker_instance_id.clone(),
                expires_at: grant.expires_at,
            },
            None => UnclaimedReason::Claimable,
        }
    }

    /// An attempt as readers see it at `now`: a deadline that has come has ended the open one.
    #[must_use]
    pub fn attempt_at(&self, attempt: AttemptInfo, now: TimestampMs) -> AttemptInfo {
        let ended_at = self.completed_at(now).filter(|_| self.is_past_deadline(now));
        self.ended_with_suspension(attempt.ended_by_deadline(ended_at), now)
    }

    /// The latest attempt; none before the first claim and while a retry or a replay waits for its own.
    fn current_attempt(&self, state: StateVector) -> Option<AttemptSummary> {
        let pending =
            matches!(state.attempt_state, AttemptState::PendingRetryAttempt | AttemptState::PendingReplayAttempt);
        self.lease
            .as_ref()
            .filter(|_| !pending)
            .map(|lease| AttemptSummary { attempt_id: lease.attempt_id, attempt_index: lease.attempt_index })
    }
}
