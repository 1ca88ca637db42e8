//! Units of work on the memory backend.

use async_trait::async_trait;
use ff_core::{
    AttemptIndex, CancelExecutionArgs, CancelExecutionResult, ChangePriorityArgs, ChangePriorityResult,
    CreateExecutionArgs, CreateExecutionResult, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot, Executions,
    LaneId, ListAttemptsPage, ListExecutionsPage, ListLanesPage, PageLimit, PublicState, ReplayExecutionArgs,
    ReplayExecutionResult, SetExecutionTagArgs,
};

use crate::{MemoryBackend, Op, op::answer};

#[async_trait]
impl Executions for MemoryBackend {
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
        cursor: Option<ExecutionId>,
        limit: PageLimit,
    ) -> Result<ListExecutionsPage, EngineError> {
        answer!(self, ListExecutions, Op::ListExecutions { cursor, limit })
    }

    async fn list_lanes(&self, cursor: Option<LaneId>, limit: PageLimit) -> Result<ListLanesPage, EngineError> {
        answer!(self, ListLanes, Op::ListLanes { cursor, limit })
    }

    async fn create_executions(
        &self,
        batch: Vec<CreateExecutionArgs>,
    ) -> Result<Vec<Result<CreateExecutionResult, EngineError>>, EngineError> {
        answer!(self, CreateExecutions, Op::CreateExecutions(batch))
    }

    async fn cancel_execution(&self, args: CancelExecutionArgs) -> Result<CancelExecutionResult, EngineError> {
        answer!(self, CancelExecution, Op::CancelExecution(args))
    }

    async fn change_priority(&self, args: ChangePriorityArgs) -> Result<ChangePriorityResult, EngineError> {
        answer!(self, ChangePriority, Op::ChangePriority(args))
    }

    async fn replay_execution(&self, args: ReplayExecutionArgs) -> Result<ReplayExecutionResult, EngineError> {
        answer!(self, ReplayExecution, Op::ReplayExecution(args))
    }

    async fn list_attempts(
        &self,
        id: &ExecutionId,
        cursor: Option<AttemptIndex>,
        limit: PageLimit,
    ) -> Result<ListAttemptsPage, EngineError> {
        answer!(self, ListAttempts, Op::ListAttempts { id: *id, cursor, limit })
    }

    async fn set_execution_tag(&self, args: SetExecutionTagArgs) -> Result<(), EngineError> {
        self.step(&Op::SetExecutionTag(args)).map(drop)
    }
}
