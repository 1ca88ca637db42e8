//! The operations of the contract as values, and what they answer.

use ff_core::{
    AttemptIndex, CancelExecutionArgs, CancelExecutionResult, CapabilitySet, ChangePriorityArgs, ChangePriorityResult,
    ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimPolicy,
    ClaimResumedExecutionArgs, CompleteArgs, CreateExecutionArgs, CreateExecutionResult, DeliverSignalArgs,
    DeliverSignalResult, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot, FailOutcome, FailureClass,
    FailureReason, Handle, LaneId, LeaseFence, LeaseRenewal, ListAttemptsPage, ListExecutionsPage, ListLanesPage,
    ListPendingWaitpointsArgs, ListPendingWaitpointsResult, ListSuspendedPage, Operation, PageLimit, PendingWaitpoint,
    PublicState, ReclaimToken, Repeat, ReplayExecutionArgs, ReplayExecutionResult, ResumeExecutionArgs,
    ResumeExecutionResult, ResumeSignal, RetentionConfig, RevokeLeaseArgs, RevokeLeaseResult,
    RotateWaitpointHmacSecretAllArgs, RotateWaitpointHmacSecretAllResult, ScanArgs, ScanReport, SeedOutcome,
    SeedWaitpointHmacSecretArgs, SetExecutionTagArgs, SuspendArgs, SuspendOutcome, SuspendedCursor, TimestampMs,
    UnclaimedReason,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One call of the contract with its arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Create an execution.
    CreateExecution(Box<CreateExecutionArgs>),
    /// Create several executions.
    CreateExecutions(Vec<CreateExecutionArgs>),
    /// Read a snapshot.
    DescribeExecution(ExecutionId),
    /// Read the public state.
    ReadExecutionState(ExecutionId),
    /// Read everything about an execution.
    ReadExecutionInfo(ExecutionId),
    /// Read the result.
    GetExecutionResult(ExecutionId),
    /// Page over all executions.
    ListExecutions {
        /// The last id of the page before.
        cursor: Option<ExecutionId>,
        /// The size of the page.
        limit: PageLimit,
    },
    /// Page over all lanes.
    ListLanes {
        /// The last lane of the page before.
        cursor: Option<LaneId>,
        /// The size of the page.
        limit: PageLimit,
    },
    /// Page over the attempts of an execution.
    ListAttempts {
        /// The execution.
        id: ExecutionId,
        /// The last index of the page before.
        cursor: Option<AttemptIndex>,
        /// The size of the page.
        limit: PageLimit,
    },
    /// End an execution from outside its lease.
    CancelExecution(CancelExecutionArgs),
    /// Move an execution within its lane.
    ChangePriority(ChangePriorityArgs),
    /// Let an execution that ended run again.
    ReplayExecution(ReplayExecutionArgs),
    /// Set or clear a label.
    SetExecutionTag(SetExecutionTagArgs),
    /// Take a lease away.
    RevokeLease(RevokeLeaseArgs),
    /// Tell how far the work is.
    Progress {
        /// The lease.
        handle: Handle,
        /// Percent, if it is told.
        percent: Option<u8>,
        /// A message, if it is told.
        message: Option<String>,
    },
    /// End with success.
    Complete {
        /// The lease.
        handle: Handle,
        /// The result.
        payload: Option<Vec<u8>>,
    },
    /// End several with success.
    CompleteMany(Vec<CompleteArgs>),
    /// End with success and take the next piece of work; one look, whatever the policy's `max_wait`.
    CompleteAndClaim {
        /// The lease.
        handle: Handle,
        /// The result.
        payload: Option<Vec<u8>>,
        /// What the worker offers.
        capabilities: CapabilitySet,
        /// Who claims, and for how long.
        policy: ClaimPolicy,
    },
    /// End with failure, or schedule a retry.
    Fail {
        /// The lease.
        handle: Handle,
        /// Why.
        reason: FailureReason,
        /// What kind of failure it was.
        classification: FailureClass,
    },
    /// End by the worker's own cancel.
    Cancel {
        /// The lease.
        handle: Handle,
        /// Why.
        reason: String,
    },
    /// Give the lease back until an instant.
    Delay {
        /// The lease.
        handle: Handle,
        /// The instant.
        delay_until: TimestampMs,
    },
    /// Give the lease back until other executions have ended.
    WaitChildren {
        /// The lease.
        handle: Handle,
    },
    /// Move the deadline of a lease.
    Renew {
        /// The lease.
        handle: Handle,
    },
    /// Move the deadlines of several leases.
    RenewMany(Vec<Handle>),
    /// Take the next piece of work of a lane; one look, whatever the policy's `max_wait`.
    Claim {
        /// The lane.
        lane: LaneId,
        /// What the worker offers.
        capabilities: CapabilitySet,
        /// Who claims, and for how long.
        policy: ClaimPolicy,
    },
    /// Take several pieces of work of a lane; one look, whatever the policy's `max_wait`.
    ClaimMany {
        /// The lane.
        lane: LaneId,
        /// What the worker offers.
        capabilities: CapabilitySet,
        /// Who claims, and for how long.
        policy: ClaimPolicy,
        /// How many at most.
        limit: PageLimit,
    },
    /// Reserve the next piece of work of a lane.
    ClaimForWorker(Box<ClaimForWorkerArgs>),
    /// Redeem a grant.
    ClaimExecution(Box<ClaimExecutionArgs>),
    /// Redeem a grant, if its execution can still be taken.
    ClaimFromReclaim(Box<ReclaimToken>),
    /// Redeem a grant of an interrupted attempt.
    ClaimResumedExecution(Box<ClaimResumedExecutionArgs>),
    /// Tell why an execution waits.
    ExplainUnclaimed {
        /// The execution.
        id: ExecutionId,
        /// What the worker offers.
        capabilities: CapabilitySet,
    },
    /// Give the lease back until signals arrive.
    Suspend {
        /// The lease.
        handle: Handle,
        /// The suspension.
        args: Box<SuspendArgs>,
    },
    /// The same without a handle.
    SuspendByTriple {
        /// The execution.
        id: ExecutionId,
        /// The lease.
        fence: LeaseFence,
        /// The suspension.
        args: Box<SuspendArgs>,
    },
    /// Open a mailbox before the suspension.
    CreateWaitpoint {
        /// The lease.
        handle: Handle,
        /// The name that conditions call it by.
        waitpoint_key: String,
        /// How long it waits for a suspension.
        expires_in: Duration,
    },
    /// Read the signals that ended the last suspension.
    ObserveSignals(Handle),
    /// Deliver a signal to a waitpoint.
    DeliverSignal(Box<DeliverSignalArgs>),
    /// End a suspension from outside.
    ResumeExecution(ResumeExecutionArgs),
    /// Page over what is suspended.
    ListSuspended {
        /// The last entry of the page before.
        cursor: Option<SuspendedCursor>,
        /// The size of the page.
        limit: PageLimit,
    },
    /// Page over the open waitpoints of an execution.
    ListPendingWaitpoints(ListPendingWaitpointsArgs),
    /// Install the first signing key.
    SeedWaitpointHmacSecret(SeedWaitpointHmacSecretArgs),
    /// Install the next signing key.
    RotateWaitpointHmacSecretAll(RotateWaitpointHmacSecretAllArgs),
    /// One bounded pass of periodic work.
    Scan {
        /// Which work, where, and how much.
        args: ScanArgs,
        /// How long the store keeps what has ended.
        retention: RetentionConfig,
    },
}

impl Op {
    /// Which operation it is.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        match self {
            Self::CreateExecution(_) => Operation::CreateExecution,
            Self::CreateExecutions(_) => Operation::CreateExecutions,
            Self::DescribeExecution(_) => Operation::DescribeExecution,
            Self::ReadExecutionState(_) => Operation::ReadExecutionState,
            Self::ReadExecutionInfo(_) => Operation::ReadExecutionInfo,
            Self::GetExecutionResult(_) => Operation::GetExecutionResult,
            Self::ListExecutions { .. } => Operation::ListExecutions,
            Self::ListLanes { .. } => Operation::ListLanes,
            Self::ListAttempts { .. } => Operation::ListAttempts,
            Self::CancelExecution(_) => Operation::CancelExecution,
            Self::ChangePriority(_) => Operation::ChangePriority,
            Self::ReplayExecution(_) => Operation::ReplayExecution,
            Self::SetExecutionTag(_) => Operation::SetExecutionTag,
            Self::RevokeLease(_) => Operation::RevokeLease,
            Self::Progress { .. } => Operation::Progress,
            Self::Complete { .. } => Operation::Complete,
            Self::CompleteMany(_) => Operation::CompleteMany,
            Self::CompleteAndClaim { .. } => Operation::CompleteAndClaim,
            Self::Fail { .. } => Operation::Fail,
            Self::Cancel { .. } => Operation::Cancel,
            Self::Delay { .. } => Operation::Delay,
            Self::WaitChildren { .. } => Operation::WaitChildren,
            Self::Renew { .. } => Operation::Renew,
            Self::RenewMany(_) => Operation::RenewMany,
            Self::ClaimMany { .. } => Operation::ClaimMany,
            Self::Claim { .. } => Operation::Claim,
            Self::ClaimForWorker(_) => Operation::ClaimForWorker,
            Self::ClaimExecution(_) => Operation::ClaimExecution,
            Self::ClaimFromReclaim(_) => Operation::ClaimFromReclaim,
            Self::ClaimResumedExecution(_) => Operation::ClaimResumedExecution,
            Self::ExplainUnclaimed { .. } => Operation::ExplainUnclaimed,
            Self::Suspend { .. } => Operation::Suspend,
            Self::SuspendByTriple { .. } => Operation::SuspendByTriple,
            Self::CreateWaitpoint { .. } => Operation::CreateWaitpoint,
            Self::ObserveSignals(_) => Operation::ObserveSignals,
            Self::DeliverSignal(_) => Operation::DeliverSignal,
            Self::ResumeExecution(_) => Operation::ResumeExecution,
            Self::ListSuspended { .. } => Operation::ListSuspended,
            Self::ListPendingWaitpoints(_) => Operation::ListPendingWaitpoints,
            Self::SeedWaitpointHmacSecret(_) => Operation::SeedWaitpointHmacSecret,
            Self::RotateWaitpointHmacSecretAll(_) => Operation::RotateWaitpointHmacSecretAll,
            Self::Scan { .. } => Operation::Scan,
        }
    }

    /// True if it changes nothing in the first place.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(Repeat::of(self.operation()), Repeat::Reads)
    }

    /// The handle of an operation for which a lease is held, unless it is a batch.
    #[must_use]
    pub const fn holder(&self) -> Option<&Handle> {
        match self {
            Self::Progress { handle, .. }
            | Self::Complete { handle, .. }
            | Self::CompleteAndClaim { handle, .. }
            | Self::Fail { handle, .. }
            | Self::Cancel { handle, .. }
            | Self::Delay { handle, .. }
            | Self::WaitChildren { handle }
            | Self::Renew { handle }
            | Self::Suspend { handle, .. }
            | Self::CreateWaitpoint { handle, .. } => Some(handle),
            _ => None,
        }
    }
}

/// What a batch answers: for each of its items in its place.
pub type Each<T> = Vec<Result<T, EngineError>>;

/// What an operation answers when it is not refused; its written form shows tokens, as the answer does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Of operations that answer nothing.
    Done,
    /// Of `create_execution`.
    CreateExecution(CreateExecutionResult),
    /// Of `create_executions`.
    CreateExecutions(Each<CreateExecutionResult>),
    /// Of `describe_execution`.
    DescribeExecution(Option<Box<ExecutionSnapshot>>),
    /// Of `read_execution_state`.
    ReadExecutionState(Option<PublicState>),
    /// Of `read_execution_info`.
    ReadExecutionInfo(Option<Box<ExecutionInfo>>),
    /// Of `get_execution_result`.
    GetExecutionResult(Option<Vec<u8>>),
    /// Of `list_executions`.
    ListExecutions(ListExecutionsPage),
    /// Of `list_lanes`.
    ListLanes(ListLanesPage),
    /// Of `complete_many`.
    CompleteMany(Each<()>),
    /// Of `list_attempts`.
    ListAttempts(ListAttemptsPage),
    /// Of `cancel_execution`.
    CancelExecution(CancelExecutionResult),
    /// Of `change_priority`.
    ChangePriority(ChangePriorityResult),
    /// Of `replay_execution`.
    ReplayExecution(ReplayExecutionResult),
    /// Of `revoke_lease`.
    RevokeLease(RevokeLeaseResult),
    /// Of `fail`.
    Fail(FailOutcome),
    /// Of `renew`.
    Renew(LeaseRenewal),
    /// Of `renew_many`.
    RenewMany(Each<LeaseRenewal>),
    /// Of `claim`, `claim_from_reclaim` and `complete_and_claim`.
    Claim(Option<Handle>),
    /// Of `claim_many`.
    ClaimMany(Vec<Handle>),
    /// Of `claim_for_worker`.
    ClaimForWorker(ClaimForWorkerOutcome),
    /// Of `claim_execution` and `claim_resumed_execution`.
    ClaimExecution(ClaimExecutionResult),
    /// Of `explain_unclaimed`.
    ExplainUnclaimed(Option<UnclaimedReason>),
    /// Of `suspend` and `suspend_by_triple`.
    Suspend(Box<SuspendOutcome>),
    /// Of `create_waitpoint`.
    CreateWaitpoint(PendingWaitpoint),
    /// Of `observe_signals`.
    ObserveSignals(Vec<ResumeSignal>),
    /// Of `deliver_signal`.
    DeliverSignal(DeliverSignalResult),
    /// Of `resume_execution`.
    ResumeExecution(ResumeExecutionResult),
    /// Of `list_suspended`.
    ListSuspended(ListSuspendedPage),
    /// Of `list_pending_waitpoints`.
    ListPendingWaitpoints(ListPendingWaitpointsResult),
    /// Of `seed_waitpoint_hmac_secret`.
    SeedWaitpointHmacSecret(SeedOutcome),
    /// Of `rotate_waitpoint_hmac_secret_all`.
    RotateWaitpointHmacSecretAll(RotateWaitpointHmacSecretAllResult),
    /// Of `scan`.
    Scan(ScanReport),
}

/// The answer of an operation, or its refusal.
pub type Outcome = Result<Answer, EngineError>;

impl Answer {
    /// The error for an answer that does not belong to the call.
    pub(crate) fn misplaced(&self) -> EngineError {
        EngineError::corrupt(format!("answer of another operation: {self:?}"))
    }
}

/// Takes one step of a backend and unwraps the answer that belongs to it.
macro_rules! answer {
    ($backend:ident, $answer:ident, $op:expr) => {
        match $backend.step(&$op)? {
            $crate::Answer::$answer(value) => Ok(value),
            other => Err(other.misplaced()),
        }
    };
}

pub(crate) use answer;
