//! The contract over the journal: one step each.

use std::time::Duration;

use ff_backend_memory::{Answer, Op};
use ff_core::{
    Attempts, BackendIdentity, BackendTag, Capabilities, Capability, CapabilitySet, ClaimPolicy, Claims,
    CreateExecutionArgs, CreateExecutionResult, Durability, EngineBackend, EngineError, ExecutionId, ExecutionInfo,
    ExecutionSnapshot, Executions, FailOutcome, FailureClass, FailureReason, Handle, LaneId, LeaseRenewal, Leases,
    ListExecutionsPage, ListLanesPage, Operation, OrderScope, PageLimit, PrepareOutcome, Properties, PublicState,
    Supports, WakeUp, async_trait,
};

use crate::{
    Journal,
    journal::{LABEL, limits},
    pause::pause,
};

/// The label in the handles of the rules that the steps follow.
const RULES: &str = "memory";

/// How long a waiting claim pauses between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Takes one step and unwraps the answer that belongs to it.
macro_rules! answer {
    ($journal:ident, $answer:ident, $op:expr) => {
        match $journal.step(&$op)? {
            Answer::$answer(value) => Ok(value),
            other => Err(EngineError::corrupt(format!("answer of another operation: {other:?}"))),
        }
    };
}

/// The same lease in a handle of the backend `to`.
fn relabelled(handle: &Handle, from: &str, to: &str) -> Result<Handle, EngineError> {
    Ok(handle.decode(from)?.seal(BackendTag::try_new(to)?, handle.kind()))
}

fn known(handle: &Handle) -> Result<Handle, EngineError> {
    relabelled(handle, LABEL, RULES)
}

#[async_trait]
impl Executions for Journal {
    async fn create_execution(&self, args: CreateExecutionArgs) -> Result<CreateExecutionResult, EngineError> {
        answer!(self, CreateExecution, Op::CreateExecution(Box::new(args)))
    }

    async fn describe_execution(&self, id: &ExecutionId) -> Result<Option<ExecutionSnapshot>, EngineError> {
        answer!(self, DescribeExecution, Op::DescribeExecution(*id)).map(|snapshot| snapshot.map(|boxed| *boxed))
    }

    async fn read_execution_state(&self, id: &ExecutionId) -> Result<Option<PublicState>, EngineError> {
        answer!(self, ReadExecutionState, Op::ReadExecutionState(*id))
    }

    async fn read_execution_info(&self, id: &ExecutionId) -> Result<Option<ExecutionInfo>, EngineError> {
        answer!(self, ReadExecutionInfo, Op::ReadExecutionInfo(*id)).map(|info| info.map(|boxed| *boxed))
    }

    async fn get_execution_result(&self, id: &ExecutionId) -> Result<Option<Vec<u8>>, EngineError> {
        answer!(self, GetExecutionResult, Op::GetExecutionResult(*id))
    }

    async fn list_executions(
        &self,
        _cursor: Option<ExecutionId>,
        _limit: PageLimit,
    ) -> Result<ListExecutionsPage, EngineError> {
        Err(EngineError::unavailable(Operation::ListExecutions))
    }

    async fn list_lanes(&self, _cursor: Option<LaneId>, _limit: PageLimit) -> Result<ListLanesPage, EngineError> {
        Err(EngineError::unavailable(Operation::ListLanes))
    }
}

#[async_trait]
impl Attempts for Journal {
    async fn progress(&self, handle: &Handle, percent: Option<u8>, message: Option<String>) -> Result<(), EngineError> {
        self.check_open()?;
        self.step(&Op::Progress { handle: known(handle)?, percent, message }).map(drop)
    }

    async fn complete(&self, handle: &Handle, payload: Option<Vec<u8>>) -> Result<(), EngineError> {
        self.check_open()?;
        self.step(&Op::Complete { handle: known(handle)?, payload }).map(drop)
    }

    async fn fail(
        &self,
        handle: &Handle,
        reason: FailureReason,
        classification: FailureClass,
    ) -> Result<FailOutcome, EngineError> {
        self.check_open()?;
        answer!(self, Fail, Op::Fail { handle: known(handle)?, reason, classification })
    }

    async fn cancel(&self, handle: &Handle, reason: &str) -> Result<(), EngineError> {
        self.check_open()?;
        self.step(&Op::Cancel { handle: known(handle)?, reason: reason.to_owned() }).map(drop)
    }
}

#[async_trait]
impl Leases for Journal {
    async fn renew(&self, handle: &Handle) -> Result<LeaseRenewal, EngineError> {
        self.check_open()?;
        answer!(self, Renew, Op::Renew { handle: known(handle)? })
    }
}

#[async_trait]
impl Claims for Journal {
    async fn claim(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        let mut rest = policy.max_wait.unwrap_or_default();
        let op = Op::Claim { lane: lane.clone(), capabilities: capabilities.clone(), policy };
        loop {
            let found: Option<Handle> = answer!(self, Claim, op)?;
            if let Some(handle) = found {
                return relabelled(&handle, RULES, LABEL).map(Some);
            }
            if rest.is_zero() {
                return Ok(None);
            }
            let wait = POLL.min(rest);
            pause(wait).await;
            rest -= wait;
        }
    }
}

#[async_trait]
impl EngineBackend for Journal {
    fn backend_label(&self) -> &'static str {
        LABEL
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            identity: BackendIdentity { label: LABEL.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            supports: Supports::all().without(Capability::Listings),
            properties: Properties {
                // The system writes within half a minute, in the order of the lines.
                durability: Durability::Bounded(Duration::from_secs(30)),
                order: OrderScope::Store,
                wake_up: WakeUp::Poll(POLL),
            },
            limits: limits(),
        }
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.check_open()?;
        self.inspect(|_| ())
    }

    async fn prepare(&self) -> Result<PrepareOutcome, EngineError> {
        self.ping().await.map(|()| PrepareOutcome::NoOp)
    }

    async fn shutdown_prepare(&self, _grace: Duration) -> Result<(), EngineError> {
        self.close();
        Ok(())
    }
}
