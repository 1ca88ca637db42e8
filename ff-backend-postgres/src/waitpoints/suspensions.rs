//! How suspensions begin, and how an operator ends them.

use std::time::Duration;

use ff_core::{
    AttemptId, AttemptIndex, AdditionalWaitpoint, BackendTag, ConflictKind, EngineError, ExecutionId, Handle,
    HandleKind, HandlePayload, Keyring, Kid, LeaseEpoch, LeaseFence, LeaseId, Limits, MintedToken, PendingWaitpoint,
    PublicState, ResumeExecutionArgs, ResumeExecutionResult, StateKind, SuspendArgs, SuspendOutcome,
    SuspendOutcomeDetails, SuspensionId, TimestampMs, ValidationKind, WaitpointId, WaitpointRecord,
};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    attempts::fenced,
    backend::{Holder, PostgresBackend},
    capabilities::LABEL,
    error::PgError,
    row::{instant, number, outcome, word},
    tx::{ATTEMPTS, Statement},
};

pub(super) async fn suspend(
    backend: &PostgresBackend,
    handle: &Handle,
    args: &SuspendArgs,
) -> Result<SuspendOutcome, PgError> {
    let holder = backend.holder(handle)?;
    if handle.kind() == HandleKind::Suspended {
        return Err(EngineError::State(StateKind::AlreadySuspended).into());
    }
    let execution_id = handle.decode(LABEL)?.execution_id;
    begin(backend, &holder, execution_id, Some(holder.attempt_index), args).await
}

pub(super) async fn suspend_by_triple(
    backend: &PostgresBackend,
    execution_id: ExecutionId,
    triple: &LeaseFence,
    args: &SuspendArgs,
) -> Result<SuspendOutcome, PgError> {
    let holder = backend.holder_by_triple(execution_id, triple)?;
    begin(backend, &holder, execution_id, None, args).await
}
