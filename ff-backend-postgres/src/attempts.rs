//! `Attempts` on PostgreSQL.

use async_trait::async_trait;
use ff_core::{
    Attempts, CapabilitySet, ClaimPolicy, CompleteArgs, EngineError, FailOutcome, FailureClass, FailureReason, Handle,
    Jitter, Limits, Operation, TimestampMs,
};
use sqlx::Row;
use uuid::Uuid;

use crate::{
    backend::{Holder, PostgresBackend},
    error::PgError,
    row::{instant, outcome},
    tx::Statement,
};

#[async_trait]
impl Attempts for PostgresBackend {
    async fn progress(&self, handle: &Handle, percent: Option<u8>, message: Option<String>) -> Result<(), EngineError> {
        progress(self, handle, percent, message).await.map_err(|error| error.at(Operation::Progress))
    }

    async fn complete(&self, handle: &Handle, payload: Option<Vec<u8>>) -> Result<(), EngineError> {
        complete(self, handle, payload).await.map_err(|error| error.at(Operation::Complete))
    }

    async fn fail(
        &self,
        handle: &Handle,
        reason: FailureReason,
        classification: FailureClass,
    ) -> Result<FailOutcome, EngineError> {
        fail(self, handle, &reason, classification).await.map_err(|error| error.at(Operation::Fail))
    }

    async fn cancel(&self, handle: &Handle, reason: &str) -> Result<(), EngineError> {
        cancel(self, handle, reason).await.map_err(|error| error.at(Operation::Cancel))
    }

    async fn delay(&self, handle: &Handle, delay_until: TimestampMs) -> Result<(), EngineError> {
        delay(self, handle, delay_until).await.map_err(|error| error.at(Operation::Delay))
    }

    async fn wait_children(&self, handle: &Handle) -> Result<(), EngineError> {
        wait_children(self, handle).await.map_err(|error| error.at(Operation::WaitChildren))
    }

    async fn complete_many(&self, _batch: Vec<CompleteArgs>) -> Result<Vec<Result<(), EngineError>>, EngineError> {
        Err(EngineError::unavailable(Operation::CompleteMany))
    }

    async fn complete_and_claim(
        &self,
        _handle: &Handle,
        _payload: Option<Vec<u8>>,
        _capabilities: &CapabilitySet,
        _policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        Err(EngineError::unavailable(Operation::CompleteAndClaim))
    }
}

/// The statement with the fence that every holder operation begins with.
fn fenced<'q>(sql: &'static str, holder: &'q Holder) -> Statement<'q> {
    sqlx::query(sql).bind(&holder.id).bind(holder.lease_id).bind(holder.lease_epoch).bind(holder.attempt_id)
}

async fn progress(
    backend: &PostgresBackend,
    handle: &Handle,
    percent: Option<u8>,
    message: Option<String>,
) -> Result<(), PgError> {
    ff_core::Progress::check(percent, message.as_deref())?;
    let holder = backend.holder(handle)?;
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            fenced(include_str!("attempts/progress.sql"), &holder).bind(percent.map(i16::from)).bind(message.as_deref())
        })
        .await?;
    outcome(&verdict, &row).map(drop)
}

async fn complete(backend: &PostgresBackend, handle: &Handle, payload: Option<Vec<u8>>) -> Result<(), PgError> {
    backend.limits().check_result(payload.as_deref())?;
    let holder = backend.holder(handle)?;
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            fenced(include_str!("attempts/complete.sql"), &holder).bind(holder.attempt_index).bind(payload.as_deref())
        })
        .await?;
    outcome(&verdict, &row).map(drop)
}

async fn fail(
    backend: &PostgresBackend,
    handle: &Handle,
    reason: &FailureReason,
    classification: FailureClass,
) -> Result<FailOutcome, PgError> {
    reason.check()?;
    let holder = backend.holder(handle)?;
    let jitter = Jitter::from_bits(Uuid::new_v4().as_u128());
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            fenced(include_str!("attempts/fail.sql"), &holder)
                .bind(holder.attempt_index)
                .bind(&reason.message)
                .bind(reason.effective_category(classification))
                .bind(classification.is_retryable())
                .bind(i64::from(jitter.millionths()))
        })
        .await?;
    outcome(&verdict, &row)?;
    backend.wake(&row)?;
    if row.try_get("terminal")? {
        return Ok(FailOutcome::TerminalFailed);
    }
    Ok(FailOutcome::RetryScheduled { delay_until: instant(&row, "delay_until")? })
}

async fn cancel(backend: &PostgresBackend, handle: &Handle, reason: &str) -> Result<(), PgError> {
    Limits::check_reason(reason)?;
    let holder = backend.holder(handle)?;
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| fenced(include_str!("attempts/cancel.sql"), &holder).bind(holder.attempt_index).bind(reason))
        .await?;
    outcome(&verdict, &row).map(drop)
}

async fn delay(backend: &PostgresBackend, handle: &Handle, delay_until: TimestampMs) -> Result<(), PgError> {
    let until = delay_until.check("delay_until")?.as_ms();
    let holder = backend.holder(handle)?;
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| fenced(include_str!("attempts/delay.sql"), &holder).bind(holder.attempt_index).bind(until))
        .await?;
    outcome(&verdict, &row)?;
    backend.wake(&row)
}

async fn wait_children(backend: &PostgresBackend, handle: &Handle) -> Result<(), PgError> {
    let holder = backend.holder(handle)?;
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| fenced(include_str!("attempts/wait_children.sql"), &holder).bind(holder.attempt_index))
        .await?;
    outcome(&verdict, &row)?;
    backend.wake(&row)
}
