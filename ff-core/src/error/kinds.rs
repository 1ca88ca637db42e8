//! The kinds within the families of [`crate::EngineError`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ErrorClass;
use crate::{AttemptId, LeaseEpoch, LifecyclePhase, TerminalOutcome};

/// Which rule a call breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ValidationKind {
    /// An argument lies outside its range or form.
    InvalidInput,
    /// The worker lacks capabilities; the detail lists them sorted, joined by commas.
    CapabilityMismatch,
    /// A capability set breaks the token rules; the detail names the rule.
    InvalidCapabilities,
    /// An execution policy has an unknown shape or field.
    InvalidPolicyJson,
    /// A payload or result is too large.
    PayloadTooLarge,
    /// An execution has taken as many signals as it may.
    SignalLimitExceeded,
    /// A waitpoint key is malformed.
    InvalidWaitpointKey,
    /// A waitpoint token is wrong; nothing says why.
    InvalidToken,
    /// A waitpoint takes no token.
    WaitpointNotTokenBound,
    /// A retention lies beyond its limit.
    RetentionLimitExceeded,
    /// The lease does not allow a suspension.
    InvalidLeaseForSuspend,
    /// A dependency is malformed.
    InvalidDependency,
    /// A waitpoint belongs to another execution.
    InvalidWaitpointForExecution,
    /// A blocking reason does not fit.
    InvalidBlockingReason,
    /// A cursor is older than the oldest kept event.
    InvalidOffset,
    /// The caller may not do this.
    Unauthorized,
    /// A budget scope is malformed.
    InvalidBudgetScope,
    /// A budget may not be overridden.
    BudgetOverrideNotAllowed,
    /// A quota is malformed.
    InvalidQuotaSpec,
    /// A key id is malformed.
    InvalidKid,
    /// A secret is not hexadecimal.
    InvalidSecretHex,
    /// A grace lies outside its range.
    InvalidGraceMs,
    /// A tag key has not the form `namespace.name`.
    InvalidTagKey,
    /// A frame type is malformed.
    InvalidFrameType,
    /// Stored or carried data is damaged.
    Corruption,
    /// A handle was minted by another backend.
    HandleFromOtherBackend,
}

/// Who or what was faster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ContentionKind {
    /// The row holds an interrupted attempt; the claim of resumed work takes it.
    UseClaimResumedExecution,
    /// The row holds no interrupted attempt.
    NotAResumedExecution,
    /// The row is not runnable and eligible.
    ExecutionNotLeaseable,
    /// Somebody owns the row, or it kept moving.
    LeaseConflict,
    /// The grant does not exist, was redeemed, or names another worker instance.
    InvalidClaimGrant,
    /// The grant has lapsed.
    ClaimGrantExpired,
    /// The row is not active; the facts let a holder recognise how it ended.
    ExecutionNotActive {
        /// How it ended, if it has.
        terminal_outcome: TerminalOutcome,
        /// Its current epoch.
        lease_epoch: LeaseEpoch,
        /// Where it is in its life.
        lifecycle_phase: LifecyclePhase,
        /// Its latest attempt, if it had one.
        attempt_id: Option<AttemptId>,
    },
    /// The row is not waiting for a claim.
    ExecutionNotEligible,
    /// The row's lease neither lapsed nor was revoked.
    ExecutionNotReclaimable,
    /// There is no lease.
    NoActiveLease,
    /// A quota's window is full.
    RateLimitExceeded,
    /// A quota's permits are all held.
    ConcurrencyLimitExceeded,
    /// The waitpoint does not exist.
    WaitpointNotFound,
    /// The graph has moved on.
    StaleGraphRevision,
}

impl ContentionKind {
    /// The name without any data.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UseClaimResumedExecution => "UseClaimResumedExecution",
            Self::NotAResumedExecution => "NotAResumedExecution",
            Self::ExecutionNotLeaseable => "ExecutionNotLeaseable",
            Self::LeaseConflict => "LeaseConflict",
            Self::InvalidClaimGrant => "InvalidClaimGrant",
            Self::ClaimGrantExpired => "ClaimGrantExpired",
            Self::ExecutionNotActive { .. } => "ExecutionNotActive",
            Self::ExecutionNotEligible => "ExecutionNotEligible",
            Self::ExecutionNotReclaimable => "ExecutionNotReclaimable",
            Self::NoActiveLease => "NoActiveLease",
            Self::RateLimitExceeded => "RateLimitExceeded",
            Self::ConcurrencyLimitExceeded => "ConcurrencyLimitExceeded",
            Self::WaitpointNotFound => "WaitpointNotFound",
            Self::StaleGraphRevision => "StaleGraphRevision",
        }
    }
}

impl fmt::Display for ContentionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::ExecutionNotActive { terminal_outcome, lease_epoch, lifecycle_phase, .. } => {
                write!(f, " ({lifecycle_phase}, outcome {terminal_outcome}, epoch {})", lease_epoch.0)
            }
            _ => Ok(()),
        }
    }
}

/// What the call contradicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ConflictKind {
    /// The edge exists already.
    DependencyAlreadyExists,
    /// The edge would close a cycle.
    CycleDetected,
    /// The edge leads from an execution to itself.
    SelfReferencingEdge,
    /// The execution is in another flow.
    ExecutionAlreadyInFlow,
    /// The waitpoint exists already.
    WaitpointAlreadyExists,
    /// The budget is attached already.
    BudgetAttachConflict,
    /// The quota is attached already.
    QuotaAttachConflict,
    /// A key id stands for another secret.
    RotationConflict,
    /// An attempt is running.
    ActiveAttemptExists,
    /// An edge group has its policy or its edges already.
    EdgeGroupNotEmpty,
}

impl ConflictKind {
    /// The name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DependencyAlreadyExists => "DependencyAlreadyExists",
            Self::CycleDetected => "CycleDetected",
            Self::SelfReferencingEdge => "SelfReferencingEdge",
            Self::ExecutionAlreadyInFlow => "ExecutionAlreadyInFlow",
            Self::WaitpointAlreadyExists => "WaitpointAlreadyExists",
            Self::BudgetAttachConflict => "BudgetAttachConflict",
            Self::QuotaAttachConflict => "QuotaAttachConflict",
            Self::RotationConflict => "RotationConflict",
            Self::ActiveAttemptExists => "ActiveAttemptExists",
            Self::EdgeGroupNotEmpty => "EdgeGroupNotEmpty",
        }
    }
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! state_kinds {
    ($($class:ident { $($(#[$doc:meta])* $name:ident),* $(,)? })*) => {
        /// Which state stands in the way.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum StateKind { $($($(#[$doc])* $name),*),* }

        impl StateKind {
            /// What the caller does about it.
            #[must_use]
            pub const fn class(self) -> ErrorClass {
                match self { $($(Self::$name)|* => ErrorClass::$class),* }
            }
        }
    };
}

state_kinds! {
    Retryable {
        /// No key for the tokens of waitpoints is installed; seed one.
        SigningKeyMissing,
    }
    Cooperative {
        /// A hard limit of a budget is reached.
        BudgetExceeded,
    }
    Informational {
        /// The execution is not suspended.
        ExecutionNotSuspended,
        /// The execution is suspended already.
        AlreadySuspended,
        /// The condition holds already.
        AlreadySatisfied,
        /// The waitpoint is closed.
        WaitpointClosed,
        /// The signal was taken before.
        DuplicateSignal,
        /// A grant for the row is outstanding.
        GrantAlreadyExists,
        /// The same change was made before.
        OkAlreadyApplied,
        /// The attempt has ended.
        AttemptAlreadyTerminal,
        /// The stream is closed already.
        StreamAlreadyClosed,
        /// A soft limit of a budget is exceeded.
        BudgetSoftExceeded,
        /// The waitpoint does not take signals.
        WaitpointNotOpen,
        /// The waitpoint is not pending.
        WaitpointNotPending,
        /// The pending waitpoint's time is up.
        PendingWaitpointExpired,
        /// No dependency blocks the execution.
        NotBlockedByDeps,
        /// Dependencies are unresolved.
        DepsNotSatisfied,
    }
    Terminal {
        /// A newer lease owns the execution.
        StaleLease,
        /// The lease ran out.
        LeaseExpired,
        /// An operator took the lease away.
        LeaseRevoked,
        /// The target takes no signals.
        TargetNotSignalable,
        /// The resume condition does not hold.
        ResumeConditionNotMet,
        /// The execution has not ended.
        ExecutionNotTerminal,
        /// No replay is left.
        MaxReplaysExhausted,
        /// The stream is closed.
        StreamClosed,
        /// A stale holder may not append.
        StaleOwnerCannotAppend,
        /// The execution is in no flow.
        ExecutionNotInFlow,
        /// The flow has ended.
        FlowAlreadyTerminal,
        /// The execution is not runnable.
        NotRunnable,
        /// The execution has ended.
        Terminal,
        /// The attempt has not started.
        AttemptNotStarted,
        /// The execution cannot start an attempt.
        ExecutionNotEligibleForAttempt,
        /// The execution may not be replayed.
        ReplayNotAllowed,
        /// No retry is left.
        MaxRetriesExhausted,
    }
}
