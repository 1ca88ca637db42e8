//! One statement a claim and one a completion, on tables of their own.

use std::str::FromStr;

use ff_backend_postgres::PostgresBackend;
use sqlx::{
    ConnectOptions, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use super::{LANE, Lease, NAMESPACE, TTL_MS, WORKER, WORKER_INSTANCE};
use crate::{Failure, drive::Run, stage::PostgresStage};

/// The tables by hand, in the schema `raw`.
pub(crate) struct RawPostgres {
    pool: PgPool,
}

impl RawPostgres {
    /// A pool with the settings of the engine's own, with a connection for each worker.
    pub(crate) fn open(stage: &PostgresStage, workers: usize) -> Result<Self, Failure> {
        let options = PgConnectOptions::from_str(&stage.url)?
            .disable_statement_logging()
            .options([("search_path", "raw"), ("statement_timeout", "10s")])
            .options(PostgresBackend::SESSION_SETTINGS);
        let pool = PgPoolOptions::new()
            .max_connections(u32::try_from(workers)?)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// New tables with `rows` ready rows.
    pub(crate) async fn fill(&self, rows: u64) -> Result<PgPool, Failure> {
        sqlx::raw_sql(include_str!("postgres/tables.sql")).execute(&self.pool).await?;
        sqlx::query(include_str!("postgres/fill.sql"))
            .bind(NAMESPACE)
            .bind(LANE)
            .bind(i64::try_from(rows)?)
            .execute(&self.pool)
            .await?;
        sqlx::raw_sql("ANALYZE raw_executions").execute(&self.pool).await?;
        Ok(self.pool.clone())
    }
}

impl Run for PgPool {
    type Work = Lease;

    async fn claim(&self) -> Result<Option<Lease>, Failure> {
        let (lease_id, attempt_id) = (Uuid::new_v4(), Uuid::new_v4());
        let row = sqlx::query(include_str!("postgres/claim.sql"))
            .bind(LANE)
            .bind(lease_id)
            .bind(attempt_id)
            .bind(WORKER)
            .bind(WORKER_INSTANCE)
            .bind(TTL_MS)
            .fetch_optional(self)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Lease {
            id: row.try_get("id")?,
            epoch: row.try_get("lease_epoch")?,
            attempt_index: row.try_get("attempt_index")?,
            lease_id,
            attempt_id,
        }))
    }

    async fn complete(&self, lease: Lease) -> Result<(), Failure> {
        let row = sqlx::query(include_str!("postgres/complete.sql"))
            .bind(&lease.id)
            .bind(lease.lease_id)
            .bind(lease.epoch)
            .bind(lease.attempt_id)
            .bind(lease.attempt_index)
            .fetch_optional(self)
            .await?;
        Ok(row.map(drop).ok_or("the lease is lost")?)
    }
}
