//! `Attempts` on PostgreSQL.

mod together;

use std::sync::Arc;

use async_trait::async_trait;
use ff_core::{
    Attempts, CapabilitySet, ClaimPolicy, CompleteArgs, EngineError, FailOutcome, FailureClass, FailureReason, Handle,
    Jitter, Limits, Operation, TimestampMs,
};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

pub(crate) use together::Ends;

use together::Next;

use crate::{
    backend::{Holder, PostgresBackend},
    claims::{self, Look, Wait, Way},
    error::PgError,
    row::{instant, outcome},
    tx::Statement,
};

#[ff_observe::observed]
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

    async fn complete_many(&self, batch: Vec<CompleteArgs>) -> Result<Vec<Result<(), EngineError>>, EngineError> {
        complete_many(self, batch).await.map_err(|error| error.at(Operation::CompleteMany))
    }

    async fn complete_and_claim(
        &self,
        handle: &Handle,
        payload: Option<Vec<u8>>,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        let answer = complete_and_claim(self, handle, payload, capabilities, &policy).await;
        answer.map_err(|error| error.at(Operation::CompleteAndClaim))
    }
}

/// The statement with the fence that every holder operation begins with.
pub(crate) fn fenced<'q>(sql: &'static str, holder: &'q Holder) -> Statement<'q> {
    sqlx::query(sql).bind(holder.id).bind(holder.lease_id).bind(holder.lease_epoch).bind(holder.attempt_id)
}

/// The same for several holders in one statement.
pub(crate) fn fenced_many<'q>(sql: &'static str, holders: &[&'q Holder]) -> Statement<'q> {
    let all = |field: fn(&Holder) -> Uuid| holders.iter().map(|holder| field(holder)).collect::<Vec<_>>();
    sqlx::query(sql)
        .bind(holders.iter().map(|holder| holder.id).collect::<Vec<_>>())
        .bind(all(|holder| holder.lease_id))
        .bind(holders.iter().map(|holder| holder.lease_epoch).collect::<Vec<_>>())
        .bind(all(|holder| holder.attempt_id))
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
    let completion = Completion { holder: backend.holder(handle)?, payload };
    Ok(together::complete(backend, &Arc::new(completion)).await?)
}

async fn complete_many(
    backend: &PostgresBackend,
    batch: Vec<CompleteArgs>,
) -> Result<Vec<Result<(), EngineError>>, PgError> {
    let bytes = batch.iter().filter_map(|args| args.payload.as_ref()).map(Vec::len).sum();
    Limits::check_batch(batch.len(), bytes)?;
    let completion = |args: CompleteArgs| {
        backend.limits().check_result(args.payload.as_deref())?;
        Ok(Completion { holder: backend.holder(&args.handle)?, payload: args.payload })
    };
    let items: Vec<_> = batch.into_iter().map(completion).collect();
    let answer = |verdict: &str, row: &PgRow| {
        outcome(verdict, row)?;
        backend.wake_subscribers(row)
    };
    let statement = |items: &[_]| completing(include_str!("attempts/complete_many.sql"), items);
    backend.store().await?.decide_each(Operation::CompleteMany, &items, statement, answer).await
}

/// One completion.
#[derive(Debug)]
struct Completion {
    holder: Holder,
    payload: Option<Vec<u8>>,
}

fn completing<'q>(sql: &'static str, items: &[&'q Completion]) -> Statement<'q> {
    let holders: Vec<&Holder> = items.iter().map(|item| &item.holder).collect();
    let indexes: Vec<i64> = holders.iter().map(|holder| holder.attempt_index).collect();
    let payloads: Vec<Option<&[u8]>> = items.iter().map(|item| item.payload.as_deref()).collect();
    fenced_many(sql, &holders).bind(indexes).bind(payloads)
}

async fn complete_and_claim(
    backend: &PostgresBackend,
    handle: &Handle,
    payload: Option<Vec<u8>>,
    capabilities: &CapabilitySet,
    policy: &ClaimPolicy,
) -> Result<Option<Handle>, PgError> {
    backend.limits().check_result(payload.as_deref())?;
    policy.checked_ttl_ms()?;
    let completion = Arc::new(Completion { holder: backend.holder(handle)?, payload });
    let lane = &completion.holder.lane;
    let mut wait = Wait::new(policy.max_wait);
    let mut look = match together::hand_over(backend, &completion, capabilities, policy).await? {
        Next::Taken(handle) => Look::Taken(handle),
        Next::None => Look::None(None),
        Next::Claim => claims::look(backend, lane, capabilities, policy, Way::Long).await?,
    };
    loop {
        match look {
            Look::Taken(handle) => return Ok(Some(handle)),
            Look::None(due) if !wait.pause(backend, lane, due).await? => return Ok(None),
            Look::None(_) => look = claims::look(backend, lane, capabilities, policy, wait.way()).await?,
        }
    }
}

async fn fail(
    backend: &PostgresBackend,
    handle: &Handle,
    reason: &FailureReason,
    classification: FailureClass,
) -> Result<FailOutcome, PgError> {
    reason.check()?;
    let holder = backend.holder(handle)?;
    let jitter = Jitter::draw();
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
    backend.wake_subscribers(&row)?;
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
    outcome(&verdict, &row)?;
    backend.wake_subscribers(&row)
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
