//! What a suspension is, how it begins and how it ends.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::WaitpointToken;
use crate::{
    BlockingReason, ConditionLeaf, EngineError, ExecutionId, Handle, Limits, PublicState, ResumeCondition,
    SuspensionId, TimestampMs, ValidationKind, WaitpointId,
    state::words,
    text::{check_name, check_text},
    time::checked_ms,
};

words! {
    /// What a suspended execution waits for, for a reader.
    SuspensionReasonCode {
        /// A signal.
        WaitingForSignal = "waiting_for_signal",
        /// An approval.
        WaitingForApproval = "waiting_for_approval",
        /// A callback.
        WaitingForCallback = "waiting_for_callback",
        /// The result of a tool.
        WaitingForToolResult = "waiting_for_tool_result",
        /// The review of an operator.
        WaitingForOperatorReview = "waiting_for_operator_review",
        /// A policy paused it.
        PausedByPolicy = "paused_by_policy",
        /// A budget paused it.
        PausedByBudget = "paused_by_budget",
        /// It stops between two steps.
        StepBoundary = "step_boundary",
        /// Somebody paused it by hand.
        ManualPause = "manual_pause",
    }

    /// Who asked for a suspension.
    SuspensionRequester {
        /// The worker.
        Worker = "worker",
        /// An operator.
        Operator = "operator",
        /// A policy.
        Policy = "policy",
        /// A time limit of the system.
        SystemTimeoutPolicy = "system_timeout_policy",
    }

    /// What the time-out of a suspension does.
    #[derive(Default)]
    TimeoutBehavior {
        /// The execution fails for good; retries are not looked at.
        #[default]
        Fail = "fail",
        /// The execution is cancelled.
        Cancel = "cancel",
        /// The execution expires.
        Expire = "expire",
        /// The execution resumes, and its worker sees a signal called `timeout`.
        AutoResumeWithTimeoutSignal = "auto_resume_with_timeout_signal",
        /// The execution stays suspended, without a time-out, for an operator; signals can still resume it.
        Escalate = "escalate",
    }

    /// Where a resumed execution goes.
    ResumeTarget {
        /// It waits for a worker.
        Runnable = "runnable",
    }

    /// How a suspension ended.
    SuspensionEnd {
        /// Signals fulfilled its condition.
        Resumed = "resumed",
        /// An operator resumed it.
        OperatorResumed = "operator_resumed",
        /// Its time-out resumed it.
        TimedOutAutoResume = "timed_out_auto_resume",
        /// Its time-out failed the execution.
        TimedOutFail = "timed_out_fail",
        /// Its time-out cancelled the execution.
        TimedOutCancel = "timed_out_cancel",
        /// Its time-out expired the execution.
        TimedOutExpire = "timed_out_expire",
        /// The execution was cancelled.
        Cancelled = "cancelled",
        /// The deadline of the execution came.
        ExecutionDeadline = "execution_deadline",
    }
}

impl SuspensionReasonCode {
    /// What readers of the execution see as its blocking reason.
    #[must_use]
    pub const fn blocking_reason(self) -> BlockingReason {
        match self {
            Self::WaitingForSignal | Self::StepBoundary => BlockingReason::WaitingForSignal,
            Self::WaitingForApproval => BlockingReason::WaitingForApproval,
            Self::WaitingForCallback => BlockingReason::WaitingForCallback,
            Self::WaitingForToolResult => BlockingReason::WaitingForToolResult,
            Self::WaitingForOperatorReview | Self::ManualPause => BlockingReason::PausedByOperator,
            Self::PausedByPolicy => BlockingReason::PausedByPolicy,
            Self::PausedByBudget => BlockingReason::WaitingForBudget,
        }
    }
}

/// The waitpoint of a suspension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitpointBinding {
    /// A new one.
    Fresh {
        /// Its id, minted by the caller; never used before in the execution.
        waitpoint_id: WaitpointId,
        /// The name that conditions call it by: 1 to 256 bytes without U+0000.
        waitpoint_key: String,
    },
    /// One that [`crate::Waitpoints::create_waitpoint`] opened and that no suspension has taken up; it keeps its token and
    /// its signals count.
    UsePending {
        /// Its id.
        waitpoint_id: WaitpointId,
    },
}

impl WaitpointBinding {
    /// A new waitpoint with a key that no other has.
    #[must_use]
    pub fn fresh() -> Self {
        let waitpoint_id = WaitpointId::new();
        Self::Fresh { waitpoint_id, waitpoint_key: format!("wpk:{waitpoint_id}") }
    }

    /// A new waitpoint called `key`.
    pub fn fresh_with_key(key: impl Into<String>) -> Self {
        Self::Fresh { waitpoint_id: WaitpointId::new(), waitpoint_key: key.into() }
    }

    /// A pending waitpoint.
    #[must_use]
    pub const fn pending(waitpoint_id: WaitpointId) -> Self {
        Self::UsePending { waitpoint_id }
    }

    /// The id.
    #[must_use]
    pub const fn waitpoint_id(&self) -> WaitpointId {
        match self {
            Self::Fresh { waitpoint_id, .. } | Self::UsePending { waitpoint_id } => *waitpoint_id,
        }
    }

    /// The key of a new one; that of a pending one is the store's to know.
    #[must_use]
    pub fn waitpoint_key(&self) -> Option<&str> {
        match self {
            Self::Fresh { waitpoint_key, .. } => Some(waitpoint_key),
            Self::UsePending { .. } => None,
        }
    }
}

/// What happens when a condition is fulfilled.
///
/// The three flags are accepted at their defaults only: signals stay readable by `observe_signals` until the next
/// suspension, and waitpoints close when the execution resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResumePolicy {
    /// Where the execution goes.
    pub resume_target: ResumeTarget,
    /// True: signals that counted are not kept for a later suspension.
    pub consume_matched_signals: bool,
    /// False: signals are not kept for the sake of a buffer.
    pub retain_signal_buffer_until_closed: bool,
    /// True: every waitpoint of the suspension closes.
    pub close_waitpoint_on_resume: bool,
    /// How long after the signal the execution can be claimed, unless the signal says otherwise.
    pub resume_delay: Option<Duration>,
}

impl Default for ResumePolicy {
    fn default() -> Self {
        Self {
            resume_target: ResumeTarget::Runnable,
            consume_matched_signals: true,
            retain_signal_buffer_until_closed: false,
            close_waitpoint_on_resume: true,
            resume_delay: None,
        }
    }
}

impl ResumePolicy {
    /// The usual policy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a delay between the signal and the next claim.
    #[must_use]
    pub const fn resume_delay(mut self, delay: Duration) -> Self {
        self.resume_delay = Some(delay);
        self
    }

    fn check(&self) -> Result<(), EngineError> {
        let usual = Self::default();
        for (flag, given, only) in [
            ("consume_matched_signals", self.consume_matched_signals, usual.consume_matched_signals),
            (
                "retain_signal_buffer_until_closed",
                self.retain_signal_buffer_until_closed,
                usual.retain_signal_buffer_until_closed,
            ),
            ("close_waitpoint_on_resume", self.close_waitpoint_on_resume, usual.close_waitpoint_on_resume),
        ] {
            if given != only {
                let rule = format!("resume_policy.{flag}: only {only} is possible");
                return Err(EngineError::validation(ValidationKind::InvalidPolicyJson, rule));
            }
        }
        self.resume_delay.map_or(Ok(()), |delay| checked_ms(delay, "resume_policy.resume_delay", 0).map(drop))
    }
}

/// A suspension to be begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SuspendArgs {
    /// The suspension, minted by the caller: it makes the suspend repeatable.
    pub suspension_id: SuspensionId,
    /// Where signals are delivered to; the first is the primary one, and only it may be a pending one.
    pub waitpoints: Vec<WaitpointBinding>,
    /// When the execution resumes.
    pub resume_condition: ResumeCondition,
    /// What happens then.
    pub resume_policy: ResumePolicy,
    /// What it waits for, for a reader.
    pub reason_code: SuspensionReasonCode,
    /// Who asked for it.
    pub requested_by: SuspensionRequester,
    /// When the suspension times out; without it, as the execution's policy says, else never.
    pub timeout_at: Option<TimestampMs>,
    /// What the time-out does; without it, as the execution's policy says, else it fails the execution.
    pub timeout_behavior: Option<TimeoutBehavior>,
    /// Where the worker left what it needs to go on, for the worker; at most 4 KiB.
    pub continuation_metadata_pointer: Option<String>,
    /// Within the execution, another suspend with the same key is a repeat of the first; the empty key is none.
    pub idempotency_key: Option<String>,
}

impl SuspendArgs {
    /// A suspension of a worker without a time-out of its own.
    #[must_use]
    pub fn new(
        suspension_id: SuspensionId,
        waitpoints: Vec<WaitpointBinding>,
        resume_condition: ResumeCondition,
        reason_code: SuspensionReasonCode,
    ) -> Self {
        Self {
            suspension_id,
            waitpoints,
            resume_condition,
            resume_policy: ResumePolicy::default(),
            reason_code,
            requested_by: SuspensionRequester::Worker,
            timeout_at: None,
            timeout_behavior: None,
            continuation_metadata_pointer: None,
            idempotency_key: None,
        }
    }

    /// The same with another policy.
    #[must_use]
    pub const fn resume_policy(mut self, policy: ResumePolicy) -> Self {
        self.resume_policy = policy;
        self
    }

    /// The same for somebody else.
    #[must_use]
    pub const fn requested_by(mut self, requester: SuspensionRequester) -> Self {
        self.requested_by = requester;
        self
    }

    /// The same with a time-out.
    #[must_use]
    pub const fn timeout(mut self, at: TimestampMs, behavior: TimeoutBehavior) -> Self {
        self.timeout_at = Some(at);
        self.timeout_behavior = Some(behavior);
        self
    }

    /// The same with what the worker needs to go on.
    #[must_use]
    pub fn continuation_metadata_pointer(mut self, pointer: impl Into<String>) -> Self {
        self.continuation_metadata_pointer = Some(pointer.into());
        self
    }

    /// The same with an idempotency key; the empty key is none.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into()).filter(|key| !key.is_empty());
        self
    }

    /// Refuses what no backend accepts; the key that a pending primary waitpoint must have, if the condition asks for it.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` with the rule, `Validation(InvalidWaitpointKey)`, `Validation(InvalidPolicyJson)` for a
    /// flag of the resume policy that is not at its default.
    pub fn check(&self) -> Result<Option<String>, EngineError> {
        let broken = |rule: String| Err(EngineError::invalid_input(rule));
        if self.waitpoints.is_empty() {
            return broken("waitpoints_empty".to_owned());
        }
        if self.waitpoints.len() > Limits::WAITPOINTS {
            return broken(format!("waitpoints: {}, at most {}", self.waitpoints.len(), Limits::WAITPOINTS));
        }
        let expected = self.check_bindings()?;
        if self.resume_condition.needs_timeout() && self.timeout_at.is_none() {
            return broken("timeout_only_without_deadline".to_owned());
        }
        self.resume_condition.check()?;
        self.resume_policy.check()?;
        self.timeout_at.map_or(Ok(()), |at| at.check("timeout_at").map(drop))?;
        let pointer = self.continuation_metadata_pointer.as_deref().unwrap_or_default();
        check_text(pointer, "continuation_metadata_pointer", Limits::REASON_BYTES)?;
        self.idempotency_key.as_ref().map_or(Ok(()), |key| check_name(key, "idempotency_key"))?;
        Ok(expected)
    }

    fn check_bindings(&self) -> Result<Option<String>, EngineError> {
        let broken = |rule: String| Err(EngineError::invalid_input(rule));
        let (primary, extras) = (&self.waitpoints[0], &self.waitpoints[1..]);
        if let Some(key) = primary.waitpoint_key() {
            check_waitpoint_key(key)?;
        }
        if let (Some(key), ResumeCondition::Single { waitpoint_key, .. }) =
            (primary.waitpoint_key(), &self.resume_condition)
            && key != waitpoint_key
        {
            return broken(Self::KEY_MISMATCH.to_owned());
        }
        for (at, extra) in extras.iter().enumerate() {
            match extra.waitpoint_key() {
                None => return broken(format!("additional_waitpoint_binding_must_be_fresh: waitpoints[{}]", at + 1)),
                Some("") => return broken(format!("additional_waitpoint_binding_empty_key: waitpoints[{}]", at + 1)),
                Some(key) => check_waitpoint_key(key)?,
            }
        }
        let mut bound: Vec<&str> = Vec::new();
        for (at, binding) in self.waitpoints.iter().enumerate() {
            if self.waitpoints[..at].iter().any(|other| other.waitpoint_id() == binding.waitpoint_id()) {
                return broken(format!("waitpoint_bound_twice: waitpoints[{at}]"));
            }
            let Some(key) = binding.waitpoint_key() else { continue };
            if bound.contains(&key) {
                return broken(format!("waitpoint_key_bound_twice: {key}"));
            }
            bound.push(key);
        }
        self.check_references(&bound)
    }

    /// Compares the keys that are bound with those that the condition names.
    fn check_references(&self, bound: &[&str]) -> Result<Option<String>, EngineError> {
        let broken = |rule: String| Err(EngineError::invalid_input(rule));
        let referenced = self.resume_condition.waitpoint_keys();
        for key in &referenced {
            if key.is_empty() {
                return broken("referenced_waitpoint_key_empty".to_owned());
            }
            check_waitpoint_key(key)?;
        }
        let pending = self.waitpoints[0].waitpoint_key().is_none();
        let mut missing = referenced.iter().filter(|key| !bound.contains(&key.as_str()));
        let expected = if pending { missing.next().cloned() } else { None };
        if let Some(key) = missing.next() {
            return broken(format!("referenced_waitpoint_key_missing_binding: {key}"));
        }
        if self.waitpoints.len() > 1 {
            if let Some(key) = bound.iter().find(|key| !referenced.iter().any(|other| other == *key)) {
                return broken(format!("extra_binding_not_referenced_by_condition: {key}"));
            }
            if pending && expected.is_none() {
                return broken("extra_binding_not_referenced_by_condition: waitpoints[0]".to_owned());
            }
        }
        Ok(expected)
    }

    const KEY_MISMATCH: &str = "waitpoint_key_mismatch";

    /// The refusal of a pending waitpoint whose key is not the one that [`SuspendArgs::check`] told.
    #[must_use]
    pub fn key_mismatch() -> EngineError {
        EngineError::invalid_input(Self::KEY_MISMATCH)
    }

    /// Refuses a time-out that came more than [`Limits::TIMEOUT_TOLERANCE_MS`] ago.
    ///
    /// # Errors
    /// `Validation(InvalidInput)`.
    pub fn check_timeout(timeout_at: Option<TimestampMs>, now: TimestampMs) -> Result<(), EngineError> {
        let tolerance = Duration::from_millis(Limits::TIMEOUT_TOLERANCE_MS);
        if timeout_at.is_some_and(|at| at.plus(tolerance) < now) {
            return Err(Self::timeout_past());
        }
        Ok(())
    }

    /// The refusal of a time-out that came too long ago.
    #[must_use]
    pub fn timeout_past() -> EngineError {
        EngineError::invalid_input("timeout_at_in_past")
    }

    /// The refusal of a handle whose attempt index is not that of its lease.
    #[must_use]
    pub fn other_attempt_index() -> EngineError {
        EngineError::validation(ValidationKind::InvalidLeaseForSuspend, "the handle is of another attempt")
    }

    /// How long the idempotency key is remembered: a minute longer than the suspension can last, 7 days at most.
    #[must_use]
    pub fn key_life_ms(timeout_at: Option<TimestampMs>, now: TimestampMs) -> u64 {
        let Some(timeout_at) = timeout_at else { return Limits::SUSPEND_KEY_MS };
        let left = u64::try_from(timeout_at.as_ms().saturating_sub(now.as_ms())).unwrap_or_default();
        left.saturating_add(60_000).min(Limits::SUSPEND_KEY_MS)
    }

    /// The parts of the condition, as stores keep them.
    #[must_use]
    pub fn leaves(&self) -> Vec<ConditionLeaf> {
        self.resume_condition.leaves()
    }
}

/// Refuses a waitpoint key that is empty, too long or has a U+0000.
///
/// # Errors
/// `Validation(InvalidWaitpointKey)`.
pub(super) fn check_waitpoint_key(key: &str) -> Result<(), EngineError> {
    check_name(key, "waitpoint_key").map_err(|error| match error {
        EngineError::Validation { detail, .. } => EngineError::validation(ValidationKind::InvalidWaitpointKey, detail),
        other => other,
    })
}

/// One more waitpoint of a suspension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdditionalWaitpoint {
    /// Its id.
    pub waitpoint_id: WaitpointId,
    /// Its key.
    pub waitpoint_key: String,
    /// Its token.
    pub waitpoint_token: WaitpointToken,
}

/// What a suspension consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendOutcomeDetails {
    /// The suspension.
    pub suspension_id: SuspensionId,
    /// The primary waitpoint.
    pub waitpoint_id: WaitpointId,
    /// Its key.
    pub waitpoint_key: String,
    /// Its token.
    pub waitpoint_token: WaitpointToken,
    /// The others, in the order of their bindings.
    pub additional_waitpoints: Vec<AdditionalWaitpoint>,
}

/// What a suspend led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspendOutcome {
    /// The execution is suspended and its lease given back.
    Suspended {
        /// The suspension.
        details: SuspendOutcomeDetails,
        /// A receipt of kind `Suspended`, with which [`crate::Waitpoints::observe_signals`] can be asked; it holds no lease.
        handle: Handle,
    },
    /// Signals that were kept at the pending waitpoint fulfil the condition: nothing is suspended and the lease goes on.
    AlreadySatisfied {
        /// The suspension that was not needed; its waitpoints are closed.
        details: SuspendOutcomeDetails,
    },
}

/// A waitpoint that no suspension has taken up yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingWaitpoint {
    /// Its id.
    pub waitpoint_id: WaitpointId,
    /// Its token, which stays the same when a suspension takes it up.
    pub hmac_token: WaitpointToken,
    /// When it closes unless a suspension has taken it up, by the store's clock.
    pub expires_at: TimestampMs,
}

/// The end of a suspension from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResumeExecutionArgs {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Why, for a reader; at most 4 KiB.
    pub reason: String,
    /// How long until the execution can be claimed; without it at once, whatever its resume policy says.
    pub resume_delay: Option<Duration>,
}

impl ResumeExecutionArgs {
    /// Resumes `execution_id` for `reason`.
    pub fn new(execution_id: ExecutionId, reason: impl Into<String>) -> Self {
        Self { execution_id, reason: reason.into(), resume_delay: None }
    }

    /// The same after a delay.
    #[must_use]
    pub const fn resume_delay(mut self, delay: Duration) -> Self {
        self.resume_delay = Some(delay);
        self
    }

    /// Refuses what no backend accepts; the delay in milliseconds.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for a reason above 4 KiB, a delay above 100 years or an id of a partition that the store
    /// lacks.
    pub fn check(&self, limits: &Limits) -> Result<u64, EngineError> {
        self.execution_id.check_partition(limits.partitions)?;
        Limits::check_reason(&self.reason)?;
        self.resume_delay.map_or(Ok(0), |delay| checked_ms(delay, "resume_delay", 0))
    }
}

/// What a resume did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResumeExecutionResult {
    /// The suspension is over.
    Resumed {
        /// `Waiting`, or `Delayed` until the delay is over.
        public_state: PublicState,
    },
}
