//! The operations of the contract as values, and what they answer.

use ff_core::{
    CapabilitySet, ClaimPolicy, CreateExecutionArgs, CreateExecutionResult, EngineError, ExecutionId, ExecutionInfo,
    ExecutionSnapshot, FailOutcome, FailureClass, FailureReason, Handle, LaneId, LeaseRenewal, ListExecutionsPage,
    ListLanesPage, Operation, PageLimit, PublicState, TimestampMs,
};
use serde::{Deserialize, Serialize};

/// One call of the contract with its arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Create an execution.
    CreateExecution(Box<CreateExecutionArgs>),
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
}

impl Op {
    /// Which operation it is.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        match self {
            Self::CreateExecution(_) => Operation::CreateExecution,
            Self::DescribeExecution(_) => Operation::DescribeExecution,
            Self::ReadExecutionState(_) => Operation::ReadExecutionState,
            Self::ReadExecutionInfo(_) => Operation::ReadExecutionInfo,
            Self::GetExecutionResult(_) => Operation::GetExecutionResult,
            Self::ListExecutions { .. } => Operation::ListExecutions,
            Self::ListLanes { .. } => Operation::ListLanes,
            Self::Progress { .. } => Operation::Progress,
            Self::Complete { .. } => Operation::Complete,
            Self::Fail { .. } => Operation::Fail,
            Self::Cancel { .. } => Operation::Cancel,
            Self::Delay { .. } => Operation::Delay,
            Self::WaitChildren { .. } => Operation::WaitChildren,
            Self::Renew { .. } => Operation::Renew,
            Self::ClaimMany { .. } => Operation::ClaimMany,
            Self::Claim { .. } => Operation::Claim,
        }
    }
}

/// What an operation answers when it is not refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Of operations that answer nothing.
    Done,
    /// Of `create_execution`.
    CreateExecution(CreateExecutionResult),
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
    /// Of `fail`.
    Fail(FailOutcome),
    /// Of `renew`.
    Renew(LeaseRenewal),
    /// Of `claim`.
    Claim(Option<Handle>),
    /// Of `claim_many`.
    ClaimMany(Vec<Handle>),
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
