//! `Waitpoints` on PostgreSQL.

mod keys;
mod listings;
mod secrets;
mod signals;
mod suspensions;

use std::time::Duration;

use async_trait::async_trait;
use ff_core::{
    DeliverSignalArgs, DeliverSignalResult, EngineError, ExecutionId, Handle, LeaseFence, ListPendingWaitpointsArgs,
    ListPendingWaitpointsResult, ListSuspendedPage, Operation, PageLimit, PendingWaitpoint, ResumeExecutionArgs,
    ResumeExecutionResult, ResumeSignal, RotateWaitpointHmacSecretAllArgs, RotateWaitpointHmacSecretAllResult,
    SeedOutcome, SeedWaitpointHmacSecretArgs, SuspendArgs, SuspendOutcome, SuspendedCursor, Waitpoints,
};

pub(crate) use keys::Keys;

use crate::backend::PostgresBackend;

#[ff_observe::observed]
#[async_trait]
impl Waitpoints for PostgresBackend {
    async fn suspend(&self, handle: &Handle, args: SuspendArgs) -> Result<SuspendOutcome, EngineError> {
        suspensions::suspend(self, handle, &args).await.map_err(|error| error.at(Operation::Suspend))
    }

    async fn suspend_by_triple(
        &self,
        exec_id: ExecutionId,
        triple: LeaseFence,
        args: SuspendArgs,
    ) -> Result<SuspendOutcome, EngineError> {
        let answer = suspensions::suspend_by_triple(self, exec_id, triple, &args).await;
        answer.map_err(|error| error.at(Operation::SuspendByTriple))
    }

    async fn create_waitpoint(
        &self,
        handle: &Handle,
        waitpoint_key: &str,
        expires_in: Duration,
    ) -> Result<PendingWaitpoint, EngineError> {
        let answer = suspensions::create_waitpoint(self, handle, waitpoint_key, expires_in).await;
        answer.map_err(|error| error.at(Operation::CreateWaitpoint))
    }

    async fn observe_signals(&self, handle: &Handle) -> Result<Vec<ResumeSignal>, EngineError> {
        signals::observe(self, handle).await.map_err(|error| error.at(Operation::ObserveSignals))
    }

    async fn deliver_signal(&self, args: DeliverSignalArgs) -> Result<DeliverSignalResult, EngineError> {
        signals::deliver(self, &args).await.map_err(|error| error.at(Operation::DeliverSignal))
    }

    async fn resume_execution(&self, args: ResumeExecutionArgs) -> Result<ResumeExecutionResult, EngineError> {
        suspensions::resume(self, &args).await.map_err(|error| error.at(Operation::ResumeExecution))
    }

    async fn list_suspended(
        &self,
        cursor: Option<SuspendedCursor>,
        limit: PageLimit,
    ) -> Result<ListSuspendedPage, EngineError> {
        listings::suspended(self, cursor, limit).await.map_err(|error| error.at(Operation::ListSuspended))
    }

    async fn list_pending_waitpoints(
        &self,
        args: ListPendingWaitpointsArgs,
    ) -> Result<ListPendingWaitpointsResult, EngineError> {
        listings::pending(self, &args).await.map_err(|error| error.at(Operation::ListPendingWaitpoints))
    }

    async fn seed_waitpoint_hmac_secret(&self, args: SeedWaitpointHmacSecretArgs) -> Result<SeedOutcome, EngineError> {
        secrets::seed(self, &args).await.map_err(|error| error.at(Operation::SeedWaitpointHmacSecret))
    }

    async fn rotate_waitpoint_hmac_secret_all(
        &self,
        args: RotateWaitpointHmacSecretAllArgs,
    ) -> Result<RotateWaitpointHmacSecretAllResult, EngineError> {
        secrets::rotate(self, &args).await.map_err(|error| error.at(Operation::RotateWaitpointHmacSecretAll))
    }
}
