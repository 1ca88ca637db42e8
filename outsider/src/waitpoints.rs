//! Suspended work, which a journal does not do.

use std::time::Duration;

use ff_core::{
    DeliverSignalArgs, DeliverSignalResult, EngineError, ExecutionId, Handle, LeaseFence, ListPendingWaitpointsArgs,
    ListPendingWaitpointsResult, ListSuspendedPage, Operation, PageLimit, PendingWaitpoint, ResumeExecutionArgs,
    ResumeExecutionResult, ResumeSignal, RotateWaitpointHmacSecretAllArgs, RotateWaitpointHmacSecretAllResult,
    SeedOutcome, SeedWaitpointHmacSecretArgs, SuspendArgs, SuspendOutcome, SuspendedCursor, Waitpoints, async_trait,
};

use crate::Journal;

#[async_trait]
impl Waitpoints for Journal {
    async fn suspend(&self, _handle: &Handle, _args: SuspendArgs) -> Result<SuspendOutcome, EngineError> {
        Err(EngineError::unavailable(Operation::Suspend))
    }

    async fn suspend_by_triple(
        &self,
        _exec_id: ExecutionId,
        _triple: LeaseFence,
        _args: SuspendArgs,
    ) -> Result<SuspendOutcome, EngineError> {
        Err(EngineError::unavailable(Operation::SuspendByTriple))
    }

    async fn create_waitpoint(
        &self,
        _handle: &Handle,
        _waitpoint_key: &str,
        _expires_in: Duration,
    ) -> Result<PendingWaitpoint, EngineError> {
        Err(EngineError::unavailable(Operation::CreateWaitpoint))
    }

    async fn observe_signals(&self, _handle: &Handle) -> Result<Vec<ResumeSignal>, EngineError> {
        Err(EngineError::unavailable(Operation::ObserveSignals))
    }

    async fn deliver_signal(&self, _args: DeliverSignalArgs) -> Result<DeliverSignalResult, EngineError> {
        Err(EngineError::unavailable(Operation::DeliverSignal))
    }

    async fn resume_execution(&self, _args: ResumeExecutionArgs) -> Result<ResumeExecutionResult, EngineError> {
        Err(EngineError::unavailable(Operation::ResumeExecution))
    }

    async fn list_suspended(
        &self,
        _cursor: Option<SuspendedCursor>,
        _limit: PageLimit,
    ) -> Result<ListSuspendedPage, EngineError> {
        Err(EngineError::unavailable(Operation::ListSuspended))
    }

    async fn list_pending_waitpoints(
        &self,
        _args: ListPendingWaitpointsArgs,
    ) -> Result<ListPendingWaitpointsResult, EngineError> {
        Err(EngineError::unavailable(Operation::ListPendingWaitpoints))
    }

    async fn seed_waitpoint_hmac_secret(&self, _args: SeedWaitpointHmacSecretArgs) -> Result<SeedOutcome, EngineError> {
        Err(EngineError::unavailable(Operation::SeedWaitpointHmacSecret))
    }

    async fn rotate_waitpoint_hmac_secret_all(
        &self,
        _args: RotateWaitpointHmacSecretAllArgs,
    ) -> Result<RotateWaitpointHmacSecretAllResult, EngineError> {
        Err(EngineError::unavailable(Operation::RotateWaitpointHmacSecretAll))
    }
}
