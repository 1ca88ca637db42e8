//! What a store keeps of suspensions and waitpoints, and what time makes of it.

use crate::{
    AttemptId, AttemptInfo, AttemptPhase, AttemptState, ConditionLeaf, ContentionKind, EngineError, ExecutionId,
    ExecutionRecord, FailureClass, Kid, LeaseEpoch, LifecyclePhase, PendingWaitpointInfo, StateKind, StateVector,
    SuspendArgs, SuspendedExecutionEntry, SuspensionEnd, SuspensionId, SuspensionReasonCode, SuspensionRequester,
    TerminalOutcome, TimeoutBehavior, TimestampMs, ValidationKind, WaitpointId, WaitpointState,
};

/// The latest suspension of an execution; the next one replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspensionRecord {
    /// Which suspension of the execution it is, from 1.
    pub number: u32,
    /// The suspension.
    pub suspension_id: SuspensionId,
    /// Its primary waitpoint.
    pub waitpoint_id: WaitpointId,
    /// The attempt that it interrupted.
    pub attempt_id: AttemptId,
    /// The epoch of the lease that was given back.
    pub lease_epoch: LeaseEpoch,
    /// When it began.
    pub suspended_at: TimestampMs,
    /// When it times out.
    pub timeout_at: Option<TimestampMs>,
    /// What that does.
    pub timeout_behavior: TimeoutBehavior,
    /// What it waits for.
    pub reason_code: SuspensionReasonCode,
    /// Who asked for it.
    pub requested_by: SuspensionRequester,
    /// Where the worker left what it needs to go on.
    pub continuation_metadata_pointer: Option<String>,
    /// The parts of its condition.
    pub leaves: Vec<ConditionLeaf>,
    /// The delay of its resume policy.
    pub resume_delay_ms: Option<u64>,
    /// True if it never began: signals that were kept fulfilled its condition.
    pub already_satisfied: bool,
    /// How it ended, and when; none while it is open.
    pub ended: Option<(SuspensionEnd, TimestampMs)>,
}

impl SuspensionRecord {
    /// The entry of a listing.
    #[must_use]
    pub fn entry(&self, execution_id: ExecutionId) -> SuspendedExecutionEntry {
        SuspendedExecutionEntry {
            execution_id,
            suspension_id: self.suspension_id,
            suspended_at: self.suspended_at,
            timeout_at: self.timeout_at,
            reason: self.reason_code,
            requested_by: self.requested_by,
            continuation_metadata_pointer: self.continuation_metadata_pointer.clone(),
        }
    }

    /// The failure or reason that a time-out leaves.
    #[must_use]
    pub fn timeout_reason(behavior: TimeoutBehavior) -> String {
        format!("suspension_timeout:{behavior}")
    }
}

/// How a suspension that timed out ended its execution.
struct TimedOut {
    behavior: TimeoutBehavior,
    /// The instant that it took effect.
    at: TimestampMs,
}

impl TimedOut {
    const fn outcome(&self) -> Option<TerminalOutcome> {
        match self.behavior {
            TimeoutBehavior::Fail => Some(TerminalOutcome::Failed),
            TimeoutBehavior::Cancel => Some(TerminalOutcome::Cancelled),
            TimeoutBehavior::Expire => Some(TerminalOutcome::Expired),
            TimeoutBehavior::AutoResumeWithTimeoutSignal | TimeoutBehavior::Escalate => None,
        }
    }
}

impl ExecutionRecord {
    /// The suspension, if it is open as written.
    #[must_use]
    pub fn open_suspension(&self) -> Option<&SuspensionRecord> {
        self.suspension
            .as_ref()
            .filter(|found| found.ended.is_none() && self.state.lifecycle_phase == LifecyclePhase::Suspended)
    }

    /// The time-out of the open suspension, if it came before the deadline of the execution.
    fn timed_out(&self, now: TimestampMs) -> Option<TimedOut> {
        let suspension = self.open_suspension()?;
        let timeout_at = suspension.timeout_at.filter(|at| at.has_come(now))?;
        if self.execution_deadline_at.is_some_and(|deadline| deadline <= timeout_at) {
            return None;
        }
        Some(TimedOut { behavior: suspension.timeout_behavior, at: timeout_at.max(suspension.suspended_at) })
    }

    /// True if the time-out of the open suspension has come and nothing of it is written down.
    #[must_use]
    pub fn is_suspension_due(&self, now: TimestampMs) -> bool {
        self.timed_out(now).is_some()
    }

    /// How and when the time-out of the suspension has ended the execution, if it has and that is not written down.
    pub(super) fn ended_by_suspension(&self, now: TimestampMs) -> Option<(TerminalOutcome, TimestampMs)> {
        let timed_out = self.timed_out(now)?;
        timed_out.outcome().map(|outcome| (outcome, timed_out.at))
    }

    /// The state that holds at `now` while its suspension is open as written.
    pub(super) fn suspended_at(&self, now: TimestampMs) -> StateVector {
        match self.timed_out(now) {
            None => self.state,
            Some(timed_out) => match timed_out.outcome() {
                Some(outcome) => StateVector::terminal(outcome, AttemptState::AttemptTerminal),
                None if timed_out.behavior == TimeoutBehavior::Escalate => {
                    StateVector::suspended(SuspensionReasonCode::WaitingForOperatorReview.blocking_reason())
                }
                None => StateVector::eligible(AttemptState::AttemptInterrupted),
            },
        }
    }

    /// Writes down what the time-out of the open suspension has done, if it has come: state, failure or cancellation, and
    /// the end of the suspension, with the instants at which they took effect. What it did, if it did something.
    ///
    /// The transition and mutation instants, the attempt, events and indexes are the store's.
    pub fn settle_suspension(&mut self, now: TimestampMs) -> Option<TimeoutBehavior> {
        let TimedOut { behavior, at } = self.timed_out(now)?;
        let reason = SuspensionRecord::timeout_reason(behavior);
        let end = match behavior {
            TimeoutBehavior::Fail | TimeoutBehavior::Expire => {
                self.failure_reason = Some(reason);
                self.failure_category = Some(FailureClass::Timeout.as_str().to_owned());
                let failed = behavior == TimeoutBehavior::Fail;
                if failed { SuspensionEnd::TimedOutFail } else { SuspensionEnd::TimedOutExpire }
            }
            TimeoutBehavior::Cancel => {
                self.cancellation_reason = Some(reason);
                self.cancelled_by = Some(crate::CancelSource::SystemTimeout.as_str().to_owned());
                SuspensionEnd::TimedOutCancel
            }
            TimeoutBehavior::AutoResumeWithTimeoutSignal => SuspensionEnd::TimedOutAutoResume,
            TimeoutBehavior::Escalate => {
                let escalated = SuspensionReasonCode::WaitingForOperatorReview;
                self.state = StateVector::suspended(escalated.blocking_reason());
                if let Some(suspension) = &mut self.suspension {
                    suspension.timeout_at = None;
                    suspension.reason_code = escalated;
                }
                return Some(behavior);
            }
        };
        if let Some(outcome) = (TimedOut { behavior, at }).outcome() {
            self.state = StateVector::terminal(outcome, AttemptState::AttemptTerminal);
            self.completed_at = Some(at);
        } else {
            self.state = StateVector::eligible(AttemptState::AttemptInterrupted);
        }
        if let Some(suspension) = &mut self.suspension {
            suspension.ended = Some((end, at));
        }
        Some(behavior)
    }

    /// The same as it would be if what time has done to its suspension were written down.
    #[must_use]
    pub fn settled(mut self, now: TimestampMs) -> Self {
        self.settle_suspension(now);
        self
    }

    /// An attempt that the time-out of the suspension has ended, as readers see it.
    pub(super) fn ended_with_suspension(&self, mut attempt: AttemptInfo, now: TimestampMs) -> AttemptInfo {
        let ended = self.timed_out(now).filter(|timed_out| timed_out.outcome().is_some());
        if let Some(TimedOut { behavior, at }) = ended.filter(|_| attempt.phase == AttemptPhase::Suspended) {
            attempt.ended_at = Some(at);
            if behavior == TimeoutBehavior::Cancel {
                attempt.phase = AttemptPhase::EndedCancelled;
            } else {
                attempt.phase = AttemptPhase::EndedFailure;
                attempt.failure_reason = Some(SuspensionRecord::timeout_reason(behavior));
                attempt.failure_category = Some(FailureClass::Timeout.as_str().to_owned());
            }
        }
        attempt
    }

    /// What `list_suspended` shows of the execution at `now`; `None` if it is not suspended then.
    #[must_use]
    pub fn suspended_entry(&self, now: TimestampMs) -> Option<SuspendedExecutionEntry> {
        if self.state_at(now).lifecycle_phase != LifecyclePhase::Suspended {
            return None;
        }
        let settled = self.clone().settled(now);
        settled.suspension.map(|suspension| suspension.entry(self.execution_id))
    }

    /// How the latest suspension ended for the attempt `attempt_id`, if it resumed that attempt: by what and when.
    #[must_use]
    pub fn resumed_by(&self, attempt_id: AttemptId, now: TimestampMs) -> Option<(SuspensionEnd, TimestampMs)> {
        let suspension = self.clone().settled(now).suspension.filter(|found| found.attempt_id == attempt_id)?;
        suspension.ended.filter(|(end, _)| matches!(end, SuspensionEnd::Resumed | SuspensionEnd::TimedOutAutoResume))
    }

    /// True if an operator resumed the latest suspension, and since then nobody has taken the execution and it has not been
    /// replayed.
    #[must_use]
    pub fn was_resumed_by_operator(&self) -> bool {
        self.suspension.as_ref().is_some_and(|suspension| {
            suspension.lease_epoch == self.lease_epoch
                && self.state.attempt_state == AttemptState::AttemptInterrupted
                && matches!(suspension.ended, Some((SuspensionEnd::OperatorResumed, _)))
        })
    }
}

/// A waitpoint as a store keeps it. Where it stands follows from the execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitpointRecord {
    /// Its id, used once in its execution.
    pub waitpoint_id: WaitpointId,
    /// Its key.
    pub waitpoint_key: String,
    /// The attempt that opened it.
    pub attempt_id: AttemptId,
    /// The number of the suspension that took it up.
    pub suspension_number: Option<u32>,
    /// When it was opened.
    pub created_at: TimestampMs,
    /// When a suspension took it up.
    pub activated_at: Option<TimestampMs>,
    /// When it closes unless a suspension has taken it up.
    pub expires_at: Option<TimestampMs>,
    /// The key that signed its token.
    pub token_kid: Kid,
    /// The first 16 digits of the digest of its token.
    pub token_fingerprint: String,
}

impl WaitpointRecord {
    /// Where it stands at `now`.
    #[must_use]
    pub fn state(&self, execution: &ExecutionRecord, now: TimestampMs) -> WaitpointState {
        let state = execution.state_at(now);
        match self.suspension_number {
            Some(own) => {
                let is_open = state.lifecycle_phase == LifecyclePhase::Suspended
                    && execution.suspension.as_ref().is_some_and(|suspension| suspension.number == own);
                if is_open { WaitpointState::Active } else { WaitpointState::Closed }
            }
            None => {
                let goes_on =
                    matches!(state.attempt_state, AttemptState::RunningAttempt | AttemptState::AttemptInterrupted)
                        && execution.lease.as_ref().is_some_and(|lease| lease.attempt_id == self.attempt_id);
                let is_over = self.expires_at.is_some_and(|end| end.has_come(now));
                if goes_on && !is_over { WaitpointState::Pending } else { WaitpointState::Closed }
            }
        }
    }

    /// Whether a suspension of the attempt `attempt_id` may take it up, under a condition that asks for the key `expected`.
    ///
    /// # Errors
    /// In this order: `State(WaitpointNotPending)`, `Validation(InvalidWaitpointForExecution)`,
    /// `State(PendingWaitpointExpired)`, `Validation(InvalidInput)` for another key.
    pub fn check_pending(
        &self,
        attempt_id: AttemptId,
        expected: Option<&str>,
        now: TimestampMs,
    ) -> Result<(), EngineError> {
        if self.suspension_number.is_some() {
            return Err(EngineError::State(StateKind::WaitpointNotPending));
        }
        if self.attempt_id != attempt_id {
            return Err(Self::of_another_attempt());
        }
        if self.expires_at.is_some_and(|end| end.has_come(now)) {
            return Err(EngineError::State(StateKind::PendingWaitpointExpired));
        }
        match expected {
            Some(key) if key != self.waitpoint_key => Err(SuspendArgs::key_mismatch()),
            _ => Ok(()),
        }
    }

    /// The refusal of a pending waitpoint that the execution does not have.
    #[must_use]
    pub const fn not_found() -> EngineError {
        EngineError::Contention(ContentionKind::WaitpointNotFound)
    }

    /// The refusal of a pending waitpoint that another attempt opened.
    #[must_use]
    pub fn of_another_attempt() -> EngineError {
        let kind = ValidationKind::InvalidWaitpointForExecution;
        EngineError::validation(kind, "the waitpoint is of another attempt")
    }

    /// What `list_pending_waitpoints` shows of it at `now`; `None` if it is closed.
    #[must_use]
    pub fn info(&self, execution: &ExecutionRecord, now: TimestampMs) -> Option<PendingWaitpointInfo> {
        let state = self.state(execution, now);
        let settled = execution.clone().settled(now);
        let suspension = settled.suspension.as_ref().filter(|_| state == WaitpointState::Active);
        let expires_at = match state {
            WaitpointState::Closed => return None,
            WaitpointState::Pending => self.expires_at,
            WaitpointState::Active => suspension.and_then(|suspension| suspension.timeout_at),
        };
        let names =
            |suspension: &SuspensionRecord| ConditionLeaf::required_names(&suspension.leaves, &self.waitpoint_key);
        Some(PendingWaitpointInfo {
            waitpoint_id: self.waitpoint_id,
            waitpoint_key: self.waitpoint_key.clone(),
            state,
            required_signal_names: suspension.map(names).unwrap_or_default(),
            created_at: self.created_at,
            activated_at: self.activated_at,
            expires_at,
            execution_id: execution.execution_id,
            token_kid: self.token_kid.clone(),
            token_fingerprint: self.token_fingerprint.clone(),
        })
    }
}
