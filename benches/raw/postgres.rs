//! One statement an operation, on tables of their own.

use std::str::FromStr;

use ff_backend_postgres::PostgresBackend;
use sqlx::{
    ConnectOptions, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use uuid::Uuid;

use super::{LANE, Lease, NAMESPACE, TTL_MS, WORKER, WORKER_INSTANCE};
use crate::{
    Failure,
    drive::{Create, Run},
    engine::CONNECTIONS,
    stage::PostgresStage,
};

/// The tables by hand, in the schema `raw`.
pub(crate) struct RawPostgres {
    pool: PgPool,
}

impl RawPostgres {
    /// A pool with the settings of the engine's own, with a connection for each worker.
    pub(crate) fn open(stage: &PostgresStage, workers: usize) -> Result<Self, Failure> {
        Ok(Self { pool: pool(stage, workers)? })
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

/// A pool with the settings of the engine's own.
pub(super) fn pool(stage: &PostgresStage, workers: usize) -> Result<PgPool, Failure> {
    let options = PgConnectOptions::from_str(&stage.url)?
        .disable_statement_logging()
        .options([("search_path", "raw"), ("statement_timeout", "10s")])
        .options(PostgresBackend::SESSION_SETTINGS);
    let pool = PgPoolOptions::new().max_connections(u32::try_from(workers.min(CONNECTIONS))?);
    Ok(pool.test_before_acquire(false).connect_lazy_with(options))
}

/// Creates, one by one, in a store that is filled already.
impl Create for PgPool {
    async fn create(&self) -> Result<(), Failure> {
        sqlx::query(include_str!("postgres/create.sql")).bind(NAMESPACE).bind(LANE).execute(self).await?;
        Ok(())
    }
}

/// What a claim of one row takes.
async fn taken(pool: &PgPool, statement: &'static str) -> Result<Option<Lease>, Failure> {
    let lease_id = Uuid::new_v4();
    let row = sqlx::query(statement)
        .bind(LANE)
        .bind(lease_id)
        .bind(Uuid::new_v4())
        .bind(WORKER)
        .bind(WORKER_INSTANCE)
        .bind(TTL_MS)
        .fetch_optional(pool)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Lease {
        id: row.try_get("id")?,
        epoch: row.try_get("lease_epoch")?,
        attempt_index: row.try_get("attempt_index")?,
        lease_id,
        attempt_id: row.try_get("attempt_id")?,
    }))
}

impl Run for PgPool {
    type Work = Lease;

    async fn claim(&self) -> Result<Option<Lease>, Failure> {
        taken(self, include_str!("postgres/claim.sql")).await
    }

    async fn claim_resumed(&self) -> Result<Option<Lease>, Failure> {
        taken(self, include_str!("postgres/claim_resumed.sql")).await
    }

    async fn suspend_and_signal(&self, lease: Lease) -> Result<(), Failure> {
        let token = Uuid::new_v4();
        let row = sqlx::query(include_str!("postgres/suspend.sql"))
            .bind(&lease.id)
            .bind(lease.lease_id)
            .bind(lease.epoch)
            .bind(lease.attempt_id)
            .bind(lease.attempt_index)
            .bind(token)
            .fetch_optional(self)
            .await?;
        row.ok_or("the lease is lost")?;
        let row = sqlx::query(include_str!("postgres/deliver_signal.sql"))
            .bind(&lease.id)
            .bind(token)
            .bind(Uuid::new_v4())
            .bind("approval")
            .fetch_optional(self)
            .await?;
        Ok(row.map(drop).ok_or("the token is no key")?)
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

    async fn complete_and_claim(&self, lease: Lease) -> Result<Option<Lease>, Failure> {
        let (lease_id, attempt_id) = (Uuid::new_v4(), Uuid::new_v4());
        let row = sqlx::query(include_str!("postgres/complete_and_claim.sql"))
            .bind(&lease.id)
            .bind(lease.lease_id)
            .bind(lease.epoch)
            .bind(lease.attempt_id)
            .bind(lease.attempt_index)
            .bind(LANE)
            .bind(lease_id)
            .bind(attempt_id)
            .bind(WORKER)
            .bind(WORKER_INSTANCE)
            .bind(TTL_MS)
            .fetch_one(self)
            .await?;
        if !row.try_get::<bool, _>("ended")? {
            return Err("the lease is lost".into());
        }
        let Some(id) = row.try_get("id")? else { return Ok(None) };
        let (epoch, attempt_index) = (row.try_get("lease_epoch")?, row.try_get("attempt_index")?);
        Ok(Some(Lease { id, epoch, attempt_index, lease_id, attempt_id }))
    }

    async fn claim_many(&self, most: u16) -> Result<Vec<Lease>, Failure> {
        let ids = || (0..most).map(|_| Uuid::new_v4()).collect::<Vec<_>>();
        let rows = sqlx::query(include_str!("postgres/claim_many.sql"))
            .bind(LANE)
            .bind(ids())
            .bind(ids())
            .bind(WORKER)
            .bind(WORKER_INSTANCE)
            .bind(TTL_MS)
            .bind(i64::from(most))
            .fetch_all(self)
            .await?;
        let lease = |row: &PgRow| {
            Ok(Lease {
                id: row.try_get("id")?,
                epoch: row.try_get("lease_epoch")?,
                attempt_index: row.try_get("attempt_index")?,
                lease_id: row.try_get("lease_id")?,
                attempt_id: row.try_get("attempt_id")?,
            })
        };
        rows.iter().map(lease).collect()
    }

    async fn complete_many(&self, leases: Vec<Lease>) -> Result<(), Failure> {
        let rows = sqlx::query(include_str!("postgres/complete_many.sql"))
            .bind(leases.iter().map(|lease| lease.id.as_str()).collect::<Vec<_>>())
            .bind(leases.iter().map(|lease| lease.lease_id).collect::<Vec<_>>())
            .bind(leases.iter().map(|lease| lease.epoch).collect::<Vec<_>>())
            .bind(leases.iter().map(|lease| lease.attempt_id).collect::<Vec<_>>())
            .bind(leases.iter().map(|lease| lease.attempt_index).collect::<Vec<_>>())
            .fetch_all(self)
            .await?;
        if rows.len() == leases.len() { Ok(()) } else { Err("a lease is lost".into()) }
    }
}
