//! The state vector of an execution and the public state derived from it.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word that stores and serialisations use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::EngineError;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(crate::EngineError::corrupt(format!(concat!(stringify!($name), ": unknown word {:?}"), word))),
                }
            }
        }
    )* };
}

pub(crate) use words;

words! {
    /// Where an execution is in its life.
    LifecyclePhase {
        /// Waiting for a worker, a due instant or something that blocks it.
        Runnable = "runnable",
        /// Held by a worker, or by one whose lease ended and was not taken over yet.
        Active = "active",
        /// Waiting for signals, without a lease.
        Suspended = "suspended",
        /// Ended; only a replay leads out.
        Terminal = "terminal",
    }

    /// Who may act on an execution.
    OwnershipState {
        /// Nobody holds it.
        Unowned = "unowned",
        /// A live lease.
        Leased = "leased",
        /// The lease ran out; the next claim takes over.
        LeaseExpiredReclaimable = "lease_expired_reclaimable",
        /// An operator took the lease away; the next claim takes over.
        LeaseRevoked = "lease_revoked",
    }

    /// Whether a claim may take an execution.
    EligibilityState {
        /// A claim may take it.
        EligibleNow = "eligible_now",
        /// A due instant lies ahead.
        NotEligibleUntilTime = "not_eligible_until_time",
        /// Inbound edges are unresolved.
        BlockedByDependencies = "blocked_by_dependencies",
        /// A budget is exhausted.
        BlockedByBudget = "blocked_by_budget",
        /// A quota refuses it.
        BlockedByQuota = "blocked_by_quota",
        /// No worker with its capabilities is known.
        BlockedByRoute = "blocked_by_route",
        /// Its lane does not hand out work.
        BlockedByLaneState = "blocked_by_lane_state",
        /// An operator holds it back.
        BlockedByOperator = "blocked_by_operator",
        /// The question does not arise: it is active, suspended or terminal.
        NotApplicable = "not_applicable",
    }

    /// What an execution waits for.
    BlockingReason {
        /// Nothing.
        None = "none",
        /// A worker.
        WaitingForWorker = "waiting_for_worker",
        /// The back-off of a retry.
        WaitingForRetryBackoff = "waiting_for_retry_backoff",
        /// The delay after a resume.
        WaitingForResumeDelay = "waiting_for_resume_delay",
        /// A requested delay.
        WaitingForDelay = "waiting_for_delay",
        /// A signal.
        WaitingForSignal = "waiting_for_signal",
        /// An approval.
        WaitingForApproval = "waiting_for_approval",
        /// A callback.
        WaitingForCallback = "waiting_for_callback",
        /// The result of a tool.
        WaitingForToolResult = "waiting_for_tool_result",
        /// The executions that it has an inbound edge from.
        WaitingForChildren = "waiting_for_children",
        /// A budget.
        WaitingForBudget = "waiting_for_budget",
        /// A quota.
        WaitingForQuota = "waiting_for_quota",
        /// A worker with its capabilities.
        WaitingForCapableWorker = "waiting_for_capable_worker",
        /// A worker in the right place.
        WaitingForLocalityMatch = "waiting_for_locality_match",
        /// An operator paused it.
        PausedByOperator = "paused_by_operator",
        /// A policy paused it.
        PausedByPolicy = "paused_by_policy",
        /// The cancel of its flow paused it.
        PausedByFlowCancel = "paused_by_flow_cancel",
    }

    /// How an execution ended.
    TerminalOutcome {
        /// It has not.
        None = "none",
        /// Completed.
        Success = "success",
        /// Failed for good.
        Failed = "failed",
        /// Cancelled by its worker, an operator or its flow.
        Cancelled = "cancelled",
        /// Its time was up.
        Expired = "expired",
        /// It can never run: what it depends on went another way.
        Skipped = "skipped",
    }

    /// What the latest attempt is doing, as seen from the execution.
    AttemptState {
        /// There is none and none is due.
        None = "none",
        /// The first attempt starts with the next claim.
        PendingFirstAttempt = "pending_first_attempt",
        /// An attempt runs under a live lease.
        RunningAttempt = "running_attempt",
        /// An attempt waits for a worker to go on or to take over.
        AttemptInterrupted = "attempt_interrupted",
        /// A retry starts with the next claim.
        PendingRetryAttempt = "pending_retry_attempt",
        /// A replay starts with the next claim.
        PendingReplayAttempt = "pending_replay_attempt",
        /// The last attempt has ended with the execution.
        AttemptTerminal = "attempt_terminal",
    }

    /// The state that readers see, always derived.
    PublicState {
        /// A claim may take it.
        Waiting = "waiting",
        /// A due instant lies ahead.
        Delayed = "delayed",
        /// A budget or a quota holds it back.
        RateLimited = "rate_limited",
        /// Inbound edges are unresolved.
        WaitingChildren = "waiting_children",
        /// A worker holds it, or held it last.
        Active = "active",
        /// Waiting for signals.
        Suspended = "suspended",
        /// Ended with success.
        Completed = "completed",
        /// Ended with failure.
        Failed = "failed",
        /// Ended by a cancel.
        Cancelled = "cancelled",
        /// Ended because its time was up.
        Expired = "expired",
        /// Ended without a chance to run.
        Skipped = "skipped",
    }

    /// Why an attempt exists.
    AttemptType {
        /// The first of its execution.
        Initial = "initial",
        /// After a failure.
        Retry = "retry",
        /// After a lease that lapsed or was revoked.
        Reclaim = "reclaim",
        /// After a replay.
        Replay = "replay",
    }

    /// Where an attempt record stands.
    AttemptPhase {
        /// A worker runs it, or held it last.
        Started = "started",
        /// It waits to be resumed.
        Suspended = "suspended",
        /// It completed.
        EndedSuccess = "ended_success",
        /// It failed or ran out of time.
        EndedFailure = "ended_failure",
        /// It was cancelled.
        EndedCancelled = "ended_cancelled",
        /// Its lease ended and another attempt took over.
        InterruptedReclaimed = "interrupted_reclaimed",
    }
}

/// The six stored dimensions of an execution's state; the seventh, [`PublicState`], is derived from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StateVector {
    /// Where it is in its life.
    pub lifecycle_phase: LifecyclePhase,
    /// Who may act on it.
    pub ownership_state: OwnershipState,
    /// Whether a claim may take it.
    pub eligibility_state: EligibilityState,
    /// What it waits for.
    pub blocking_reason: BlockingReason,
    /// How it ended.
    pub terminal_outcome: TerminalOutcome,
    /// What its latest attempt is doing.
    pub attempt_state: AttemptState,
}

impl StateVector {
    /// The state of an execution that any worker may take, whose next attempt is `attempt`.
    #[must_use]
    pub const fn eligible(attempt: AttemptState) -> Self {
        Self {
            lifecycle_phase: LifecyclePhase::Runnable,
            ownership_state: OwnershipState::Unowned,
            eligibility_state: EligibilityState::EligibleNow,
            blocking_reason: BlockingReason::WaitingForWorker,
            terminal_outcome: TerminalOutcome::None,
            attempt_state: attempt,
        }
    }

    /// The state of an execution that becomes takeable at an instant, for `reason`.
    #[must_use]
    pub const fn delayed(reason: BlockingReason, attempt: AttemptState) -> Self {
        Self {
            eligibility_state: EligibilityState::NotEligibleUntilTime,
            blocking_reason: reason,
            ..Self::eligible(attempt)
        }
    }

    /// The state of an execution under a live lease.
    #[must_use]
    pub const fn leased() -> Self {
        Self {
            lifecycle_phase: LifecyclePhase::Active,
            ownership_state: OwnershipState::Leased,
            eligibility_state: EligibilityState::NotApplicable,
            blocking_reason: BlockingReason::None,
            terminal_outcome: TerminalOutcome::None,
            attempt_state: AttemptState::RunningAttempt,
        }
    }

    /// The state of an execution whose lease ran out and that nobody has taken over.
    #[must_use]
    pub const fn lapsed() -> Self {
        Self {
            ownership_state: OwnershipState::LeaseExpiredReclaimable,
            blocking_reason: BlockingReason::WaitingForWorker,
            attempt_state: AttemptState::AttemptInterrupted,
            ..Self::leased()
        }
    }

    /// The state of an execution whose lease an operator took away and that nobody has taken over.
    #[must_use]
    pub const fn revoked() -> Self {
        Self { ownership_state: OwnershipState::LeaseRevoked, ..Self::lapsed() }
    }

    /// The state of an execution that waits for signals, for `reason`.
    #[must_use]
    pub const fn suspended(reason: BlockingReason) -> Self {
        Self {
            lifecycle_phase: LifecyclePhase::Suspended,
            ownership_state: OwnershipState::Unowned,
            eligibility_state: EligibilityState::NotApplicable,
            blocking_reason: reason,
            terminal_outcome: TerminalOutcome::None,
            attempt_state: AttemptState::AttemptInterrupted,
        }
    }

    /// The state of an execution that ended with `outcome`; `attempt` is `None` if it never started.
    #[must_use]
    pub const fn terminal(outcome: TerminalOutcome, attempt: AttemptState) -> Self {
        Self {
            lifecycle_phase: LifecyclePhase::Terminal,
            ownership_state: OwnershipState::Unowned,
            eligibility_state: EligibilityState::NotApplicable,
            blocking_reason: BlockingReason::None,
            terminal_outcome: outcome,
            attempt_state: attempt,
        }
    }

    /// The state that readers see.
    #[must_use]
    pub const fn public_state(&self) -> PublicState {
        match self.lifecycle_phase {
            LifecyclePhase::Terminal => match self.terminal_outcome {
                TerminalOutcome::Success => PublicState::Completed,
                // A terminal execution without an outcome is damaged; it must not look as if it had succeeded.
                TerminalOutcome::Failed | TerminalOutcome::None => PublicState::Failed,
                TerminalOutcome::Cancelled => PublicState::Cancelled,
                TerminalOutcome::Expired => PublicState::Expired,
                TerminalOutcome::Skipped => PublicState::Skipped,
            },
            LifecyclePhase::Suspended => PublicState::Suspended,
            LifecyclePhase::Active => PublicState::Active,
            LifecyclePhase::Runnable => match self.eligibility_state {
                EligibilityState::NotEligibleUntilTime => PublicState::Delayed,
                EligibilityState::BlockedByDependencies => PublicState::WaitingChildren,
                EligibilityState::BlockedByBudget | EligibilityState::BlockedByQuota => PublicState::RateLimited,
                EligibilityState::EligibleNow
                | EligibilityState::BlockedByRoute
                | EligibilityState::BlockedByLaneState
                | EligibilityState::BlockedByOperator
                | EligibilityState::NotApplicable => PublicState::Waiting,
            },
        }
    }

    /// True if the dimensions fit together.
    #[must_use]
    pub fn is_legal(&self) -> bool {
        let unowned = self.ownership_state == OwnershipState::Unowned;
        let no_question = self.eligibility_state == EligibilityState::NotApplicable;
        let ended = self.terminal_outcome != TerminalOutcome::None;
        let phase = match self.lifecycle_phase {
            LifecyclePhase::Active => no_question && !unowned && !ended,
            LifecyclePhase::Runnable => unowned && !no_question && !ended,
            LifecyclePhase::Suspended => unowned && no_question && !ended,
            LifecyclePhase::Terminal => unowned && no_question && ended && self.blocking_reason == BlockingReason::None,
        };
        let leased = self.ownership_state == OwnershipState::Leased;
        phase && leased == (self.attempt_state == AttemptState::RunningAttempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_of_the_transition_table_are_legal() {
        for attempt in AttemptState::ALL.iter().copied().filter(|state| *state != AttemptState::RunningAttempt) {
            assert!(StateVector::eligible(attempt).is_legal());
            assert!(StateVector::delayed(BlockingReason::WaitingForDelay, attempt).is_legal());
        }
        assert!(StateVector::leased().is_legal());
        assert!(StateVector::lapsed().is_legal());
        assert!(StateVector::revoked().is_legal());
        assert!(StateVector::suspended(BlockingReason::WaitingForSignal).is_legal());
        assert!(StateVector::terminal(TerminalOutcome::Success, AttemptState::AttemptTerminal).is_legal());
        assert!(!StateVector::terminal(TerminalOutcome::None, AttemptState::AttemptTerminal).is_legal());
    }

    #[test]
    fn words_and_serialisation_agree() {
        for state in PublicState::ALL {
            assert_eq!(serde_json::to_string(state).unwrap(), format!("{:?}", state.as_str()));
            assert_eq!(state.as_str().parse::<PublicState>().unwrap(), *state);
        }
        for reason in BlockingReason::ALL {
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("{:?}", reason.as_str()));
        }
    }
}
