//! `Leases` on PostgreSQL.

use async_trait::async_trait;
use ff_core::{EngineError, Handle, LeaseEpoch, LeaseRenewal, Leases, Operation, RevokeLeaseArgs, RevokeLeaseResult};

use crate::{
    backend::PostgresBackend,
    error::PgError,
    row::{instant, number, outcome},
};

#[ff_observe::observed]
#[async_trait]
impl Leases for PostgresBackend {
    async fn renew(&self, handle: &Handle) -> Result<LeaseRenewal, EngineError> {
        renew(self, handle).await.map_err(|error| error.at(Operation::Renew))
    }

    async fn renew_many(&self, _handles: &[Handle]) -> Result<Vec<Result<LeaseRenewal, EngineError>>, EngineError> {
        Err(EngineError::unavailable(Operation::RenewMany))
    }

    async fn revoke_lease(&self, _args: RevokeLeaseArgs) -> Result<RevokeLeaseResult, EngineError> {
        Err(EngineError::unavailable(Operation::RevokeLease))
    }
}

async fn renew(backend: &PostgresBackend, handle: &Handle) -> Result<LeaseRenewal, PgError> {
    let holder = backend.holder(handle)?;
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            sqlx::query(include_str!("leases/renew.sql"))
                .bind(&holder.id)
                .bind(holder.lease_id)
                .bind(holder.lease_epoch)
                .bind(holder.attempt_id)
                .bind(holder.ttl_ms)
        })
        .await?;
    outcome(&verdict, &row)?;
    Ok(LeaseRenewal { expires_at: instant(&row, "expires_at")?, lease_epoch: LeaseEpoch(number(&row, "lease_epoch")?) })
}
