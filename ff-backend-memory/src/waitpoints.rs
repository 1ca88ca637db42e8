//! Suspended work and the signals that it waits for, on the memory backend.

use std::time::Duration;

use async_trait::async_trait;
use ff_core::{
    DeliverSignalArgs, DeliverSignalResult, EngineError, ExecutionId, Handle, LeaseFence, ListPendingWaitpointsArgs,
    ListPendingWaitpointsResult, ListSuspendedPage, PageLimit, PendingWaitpoint, ResumeExecutionArgs,
    ResumeExecutionResult, ResumeSignal, RotateWaitpointHmacSecretAllArgs, RotateWaitpointHmacSecretAllResult,
    SeedOutcome, SeedWaitpointHmacSecretArgs, SuspendArgs, SuspendOutcome, SuspendedCursor, Waitpoints,
};

use crate::{MemoryBackend, Op, op::answer};

#[async_trait]
impl Waitpoints for MemoryBackend {
    async fn suspend(&self, handle: &Handle, args: SuspendArgs) -> Result<SuspendOutcome, EngineError> {
        answer!(self, Suspend, Op::Suspend { handle: handle.clone(), args: Box::new(args) }).map(|boxed| *boxed)
    }

    async fn suspend_by_triple(
        &self,
        exec_id: ExecutionId,
        triple: LeaseFence,
        args: SuspendArgs,
    ) -> Result<SuspendOutcome, EngineError> {
        let op = Op::SuspendByTriple { id: exec_id, fence: triple, args: Box::new(args) };
        answer!(self, Suspend, op).map(|boxed| *boxed)
    }

    async fn create_waitpoint(
        &self,
        handle: &Handle,
        waitpoint_key: &str,
        expires_in: Duration,
    ) -> Result<PendingWaitpoint, EngineError> {
        let (handle, waitpoint_key) = (handle.clone(), waitpoint_key.to_owned());
        answer!(self, CreateWaitpoint, Op::CreateWaitpoint { handle, waitpoint_key, expires_in })
    }

    async fn observe_signals(&self, handle: &Handle) -> Result<Vec<ResumeSignal>, EngineError> {
        answer!(self, ObserveSignals, Op::ObserveSignals(handle.clone()))
    }

    async fn deliver_signal(&self, args: DeliverSignalArgs) -> Result<DeliverSignalResult, EngineError> {
        let op = Op::DeliverSignal(Box::new(args));
        #[cfg(feature = "flaws")]
        if let Some(answer) = crate::flaw::split_delivery(self, &op).await {
            return answer;
        }
        answer!(self, DeliverSignal, op)
    }

    async fn resume_execution(&self, args: ResumeExecutionArgs) -> Result<ResumeExecutionResult, EngineError> {
        answer!(self, ResumeExecution, Op::ResumeExecution(args))
    }

    async fn list_suspended(
        &self,
        cursor: Option<SuspendedCursor>,
        limit: PageLimit,
    ) -> Result<ListSuspendedPage, EngineError> {
        answer!(self, ListSuspended, Op::ListSuspended { cursor, limit })
    }

    async fn list_pending_waitpoints(
        &self,
        args: ListPendingWaitpointsArgs,
    ) -> Result<ListPendingWaitpointsResult, EngineError> {
        answer!(self, ListPendingWaitpoints, Op::ListPendingWaitpoints(args))
    }

    async fn seed_waitpoint_hmac_secret(&self, args: SeedWaitpointHmacSecretArgs) -> Result<SeedOutcome, EngineError> {
        answer!(self, SeedWaitpointHmacSecret, Op::SeedWaitpointHmacSecret(args))
    }

    async fn rotate_waitpoint_hmac_secret_all(
        &self,
        args: RotateWaitpointHmacSecretAllArgs,
    ) -> Result<RotateWaitpointHmacSecretAllResult, EngineError> {
        answer!(self, RotateWaitpointHmacSecretAll, Op::RotateWaitpointHmacSecretAll(args))
    }
}
