//! `Leases` on PostgreSQL.

use async_trait::async_trait;
use ff_core::{
    EngineError, Handle, LeaseEpoch, LeaseId, LeaseRenewal, Leases, Limits, Operation, RevokeLeaseArgs,
    RevokeLeaseResult, RevokeSkip, WorkerInstanceId,
};

use sqlx::postgres::PgRow;

use sqlx::Row;

use crate::{
    attempts::{fenced, fenced_many},
    backend::{Holder, PostgresBackend},
    error::PgError,
    id::stored,
    row::{instant, number, outcome},
    tx::Statement,
};

#[ff_observe::observed]
#[async_trait]
impl Leases for PostgresBackend {
    async fn renew(&self, handle: &Handle) -> Result<LeaseRenewal, EngineError> {
        renew(self, handle).await.map_err(|error| error.at(Operation::Renew))
    }

    async fn renew_many(&self, handles: &[Handle]) -> Result<Vec<Result<LeaseRenewal, EngineError>>, EngineError> {
        renew_many(self, handles).await.map_err(|error| error.at(Operation::RenewMany))
    }

    async fn revoke_lease(&self, args: RevokeLeaseArgs) -> Result<RevokeLeaseResult, EngineError> {
        revoke(self, &args).await.map_err(|error| error.at(Operation::RevokeLease))
    }
}

async fn renew(backend: &PostgresBackend, handle: &Handle) -> Result<LeaseRenewal, PgError> {
    let holder = backend.holder(handle)?;
    let (verdict, row) =
        backend.store().await?.decide(|| fenced(include_str!("leases/renew.sql"), &holder).bind(holder.ttl_ms)).await?;
    renewal(&verdict, &row)
}

fn renewal(verdict: &str, row: &PgRow) -> Result<LeaseRenewal, PgError> {
    outcome(verdict, row)?;
    Ok(LeaseRenewal { expires_at: instant(row, "expires_at")?, lease_epoch: LeaseEpoch(number(row, "lease_epoch")?) })
}

async fn renew_many(
    backend: &PostgresBackend,
    handles: &[Handle],
) -> Result<Vec<Result<LeaseRenewal, EngineError>>, PgError> {
    Limits::check_batch(handles.len(), 0)?;
    let holders: Vec<_> = handles.iter().map(|handle| backend.holder(handle)).collect();
    backend.store().await?.decide_each(Operation::RenewMany, &holders, renewing, renewal).await
}

fn renewing<'q>(holders: &[&'q Holder]) -> Statement<'q> {
    let ttls_ms: Vec<i64> = holders.iter().map(|holder| holder.ttl_ms).collect();
    fenced_many(include_str!("leases/renew_many.sql"), holders).bind(ttls_ms)
}

async fn revoke(backend: &PostgresBackend, args: &RevokeLeaseArgs) -> Result<RevokeLeaseResult, PgError> {
    args.check(backend.limits())?;
    let id = stored(&args.execution_id);
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            sqlx::query(include_str!("leases/revoke_lease.sql"))
                .bind(id)
                .bind(args.expected_lease_id.map(|lease| lease.as_uuid()))
                .bind(args.worker_instance_id.as_ref().map(WorkerInstanceId::as_str))
                .bind(&args.reason)
        })
        .await?;
    if let Some(reason) = RevokeSkip::ALL.iter().copied().find(|skip| skip.as_str() == verdict) {
        return Ok(RevokeLeaseResult::AlreadySatisfied { reason });
    }
    outcome(&verdict, &row)?;
    backend.wake(&row)?;
    Ok(RevokeLeaseResult::Revoked {
        lease_id: LeaseId::from_uuid(row.try_get("lease_id")?),
        lease_epoch: LeaseEpoch(number(&row, "lease_epoch")?),
    })
}
