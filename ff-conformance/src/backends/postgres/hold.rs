//! A hold: another transaction has what a call needs, a row or the way to the clock, and rolls back when it is released.

use async_trait::async_trait;
use ff_core::ExecutionId;
use sqlx::{PgPool, Postgres, Transaction};

use super::failed;
use crate::{HarnessError, Held, HoldControl};

/// Locks on rows of one database.
pub(super) struct RowLocks(pub(super) PgPool);

/// The row of the execution.
const EXECUTION: &str = "SELECT pg_backend_pid() AS pid FROM executions WHERE id = ff_id($1) FOR NO KEY UPDATE";

impl RowLocks {
    /// A transaction that has done `lock`, which returns its process.
    async fn locked(&self, lock: &'static str, id: &ExecutionId) -> Result<Box<dyn Held>, HarnessError> {
        let mut holder = self.0.begin().await.map_err(failed("hold"))?;
        let pid =
            sqlx::query_scalar(lock).bind(id.to_string()).fetch_optional(&mut *holder).await.map_err(failed("hold"))?;
        let pid = pid.ok_or_else(|| HarnessError::new(format!("postgres: hold: {id} does not exist")))?;
        Ok(Box::new(RowLock { pool: self.0.clone(), holder, pid }))
    }
}

#[async_trait]
impl HoldControl for RowLocks {
    async fn hold(&self, id: &ExecutionId) -> Result<Box<dyn Held>, HarnessError> {
        self.locked(EXECUTION, id).await
    }

    async fn hold_claim(&self, id: &ExecutionId) -> Result<Box<dyn Held>, HarnessError> {
        self.locked(include_str!("hold/next_attempt.sql"), id).await
    }

    async fn hold_look(&self) -> Result<Option<Box<dyn Held>>, HarnessError> {
        let mut holder = self.0.begin().await.map_err(failed("hold"))?;
        let pid = sqlx::query_scalar(include_str!("hold/gate.sql")).fetch_one(&mut *holder).await;
        let pid = pid.map_err(failed("hold"))?;
        // It stays: a call that waits in it goes on in it.
        let gated = sqlx::query(include_str!("hold/gated_clock.sql")).execute(&self.0).await;
        gated.map_err(failed("put a gate before the clock"))?;
        Ok(Some(Box::new(RowLock { pool: self.0.clone(), holder, pid })))
    }
}

struct RowLock {
    pool: PgPool,
    holder: Transaction<'static, Postgres>,
    pid: i32,
}

#[async_trait]
impl Held for RowLock {
    async fn waiting(&self) -> Result<u64, HarnessError> {
        let waiting = sqlx::query_scalar(include_str!("hold/waiting.sql")).bind(self.pid).fetch_one(&self.pool).await;
        let waiting: i64 = waiting.map_err(failed("look at the hold"))?;
        Ok(waiting.unsigned_abs())
    }

    async fn release(self: Box<Self>) -> Result<(), HarnessError> {
        self.holder.rollback().await.map_err(failed("release"))
    }
}
