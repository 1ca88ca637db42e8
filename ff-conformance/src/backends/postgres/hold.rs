//! A hold: another transaction has the execution's row locked, and rolls back when it is released.

use async_trait::async_trait;
use ff_core::ExecutionId;
use sqlx::{PgPool, Postgres, Transaction};

use super::failed;
use crate::{HarnessError, Held, HoldControl};

/// Locks on rows of one database.
pub(super) struct RowLocks(pub(super) PgPool);

#[async_trait]
impl HoldControl for RowLocks {
    async fn hold(&self, id: &ExecutionId) -> Result<Box<dyn Held>, HarnessError> {
        let mut holder = self.0.begin().await.map_err(failed("hold"))?;
        let lock = "SELECT FROM executions WHERE id = $1 FOR NO KEY UPDATE";
        let row = sqlx::query(lock).bind(id.to_string()).fetch_optional(&mut *holder).await.map_err(failed("hold"))?;
        if row.is_none() {
            return Err(HarnessError::new(format!("postgres: hold: {id} does not exist")));
        }
        let pid =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *holder).await.map_err(failed("hold"))?;
        Ok(Box::new(RowLock { pool: self.0.clone(), holder, pid }))
    }
}

struct RowLock {
    pool: PgPool,
    holder: Transaction<'static, Postgres>,
    pid: i32,
}

#[async_trait]
impl Held for RowLock {
    async fn is_awaited(&self) -> Result<bool, HarnessError> {
        let awaited =
            sqlx::query_scalar(include_str!("hold/is_awaited.sql")).bind(self.pid).fetch_one(&self.pool).await;
        awaited.map_err(failed("look at the hold"))
    }

    async fn release(self: Box<Self>) -> Result<(), HarnessError> {
        self.holder.rollback().await.map_err(failed("release"))
    }
}
