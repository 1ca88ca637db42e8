//! Reservations on PostgreSQL.

use ff_core::{
    AttemptId, CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs, ClaimForWorkerOutcome,
    ClaimGrant, ContentionKind, EngineError, ExecutionId, GrantKey, Handle, LeaseId, UnclaimedReason,
};
use sqlx::{Row, postgres::PgRow};

use super::{Seen, WINDOW, handle};
use crate::{
    backend::PostgresBackend,
    error::PgError,
    executions::by_id,
    id::{execution_id, stored},
    row::{execution, instant, now, word},
    tx::ATTEMPTS,
};

pub(super) async fn claim_for_worker(
    backend: &PostgresBackend,
    args: &ClaimForWorkerArgs,
) -> Result<ClaimForWorkerOutcome, PgError> {
    let ttl_ms = i64::try_from(args.checked_ttl_ms()?).unwrap_or(i64::MAX);
    let capabilities: Vec<&str> = args.worker_capabilities.iter().collect();
    let (grant_key, store) = (GrantKey::new(), backend.store().await?);
    let mut seen = Seen::default();
    for round in 0..ATTEMPTS {
        let asked = store.marks().ask(&args.lane_id);
        let statement = || {
            let query = sqlx::query(include_str!("claim_for_worker.sql"))
                .bind(args.lane_id.as_str())
                .bind(&capabilities)
                .bind(grant_key.as_uuid())
                .bind(args.worker_id.as_str())
                .bind(args.worker_instance_id.as_str())
                .bind(ttl_ms)
                .bind(WINDOW << round)
                .bind(seen.settled);
            store.marks().bind(&args.lane_id, asked, query)
        };
        let row = store.row(statement).await?.ok_or(sqlx::Error::RowNotFound)?;
        store.marks().learn(&args.lane_id, asked, &row)?;
        match row.try_get("verdict")? {
            "granted" => return granted(&row, args, grant_key),
            "none" if !seen.others => return Ok(ClaimForWorkerOutcome::NoWork),
            verdict => seen.prepare(verdict, round, store, &args.lane_id).await?,
        }
    }
    Ok(ClaimForWorkerOutcome::NoWork)
}

fn granted(row: &PgRow, args: &ClaimForWorkerArgs, grant_key: GrantKey) -> Result<ClaimForWorkerOutcome, PgError> {
    Ok(ClaimForWorkerOutcome::Granted(ClaimGrant {
        execution_id: execution_id(row, "id")?,
        grant_key,
        expires_at: instant(row, "expires_at")?,
        lane_id: args.lane_id.clone(),
    }))
}

pub(super) async fn claim_execution(
    backend: &PostgresBackend,
    args: &ClaimExecutionArgs,
) -> Result<ClaimExecutionResult, PgError> {
    redeem(backend, args, false).await.map(ClaimExecutionResult::Claimed)
}

pub(super) async fn claim_from_reclaim(
    backend: &PostgresBackend,
    token: &ClaimExecutionArgs,
) -> Result<Option<Handle>, PgError> {
    match redeem(backend, token, false).await {
        Err(PgError::Engine(EngineError::Contention(
            ContentionKind::ExecutionNotLeaseable | ContentionKind::LeaseConflict,
        ))) => Ok(None),
        answer => answer.map(Some),
    }
}

pub(super) async fn claim_resumed_execution(
    backend: &PostgresBackend,
    args: &ClaimExecutionArgs,
) -> Result<ClaimExecutionResult, PgError> {
    redeem(backend, args, true).await.map(ClaimExecutionResult::Claimed)
}

async fn redeem(backend: &PostgresBackend, args: &ClaimExecutionArgs, only_resumed: bool) -> Result<Handle, PgError> {
    let ttl_ms = args.check(backend.limits())?;
    let id = stored(&args.grant.execution_id);
    let (lease_id, attempt_id) = (LeaseId::new(), AttemptId::new());
    let statement = || {
        sqlx::query(include_str!("claim_execution.sql"))
            .bind(id)
            .bind(args.grant.grant_key.as_uuid())
            .bind(lease_id.as_uuid())
            .bind(attempt_id.as_uuid())
            .bind(args.worker_id.as_str())
            .bind(args.worker_instance_id.as_str())
            .bind(i64::try_from(ttl_ms).unwrap_or(i64::MAX))
            .bind(only_resumed)
    };
    let (verdict, row) = backend.store().await?.decide(statement).await?;
    let refusal = match verdict.as_str() {
        "taken" | "repeated" => return handle(&row, word(&row, "lane_id")?, ttl_ms, &args.worker_instance_id),
        "missing" => return Err(EngineError::execution_not_found().into()),
        "not_leaseable" => ContentionKind::ExecutionNotLeaseable,
        "lease_conflict" => ContentionKind::LeaseConflict,
        "not_resumed" => ContentionKind::NotAResumedExecution,
        "invalid_grant" => ContentionKind::InvalidClaimGrant,
        "grant_expired" => ContentionKind::ClaimGrantExpired,
        other => return Err(EngineError::corrupt(format!("unknown verdict {other:?}")).into()),
    };
    Err(EngineError::Contention(refusal).into())
}

pub(super) async fn explain_unclaimed(
    backend: &PostgresBackend,
    id: &ExecutionId,
    capabilities: &CapabilitySet,
) -> Result<Option<UnclaimedReason>, PgError> {
    let Some(row) = by_id(backend, id, include_str!("explain_unclaimed.sql")).await? else { return Ok(None) };
    let required = CapabilitySet::try_new(row.try_get::<Vec<String>, _>("tokens")?)?;
    Ok(Some(execution(&row)?.unclaimed_reason(&required, capabilities, now(&row)?)))
}
