//! How a statement reaches the server: acquire, send, and send again if the row moved.
//!
//! Lock order: a create writes its key, its capability set, its execution, its lane; a holder operation locks one
//! execution and then writes only what belongs to it; a claim waits for nobody. A batch locks all its rows of one kind
//! before those of the next, in the order of their ids or keys.

use std::time::Duration;

use ff_core::{EngineError, Operation};
use sqlx::{
    PgPool, Postgres, Row,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::error::PgError;

/// How often a statement is sent when its row keeps moving between its snapshot and its lock.
pub(crate) const ATTEMPTS: u32 = 5;

/// How much longer than the server the client waits, so that the server's own refusal arrives first.
const GRACE: Duration = Duration::from_secs(1);

/// A statement with its arguments.
pub(crate) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Sender {
    pool: PgPool,
    answer_within: Duration,
}

impl Sender {
    /// Sends over `pool`, where a statement may run for `request`.
    pub(crate) fn new(pool: PgPool, request: Duration) -> Self {
        Self { pool, answer_within: request.saturating_add(GRACE) }
    }

    /// The pool.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The rows of one statement, each sent once; a connection that was broken before is replaced once.
    pub(crate) async fn rows<'q>(&self, statement: impl Fn() -> Statement<'q>) -> Result<Vec<PgRow>, PgError> {
        match self.send(statement()).await {
            Err(error) if error.never_left() => self.send(statement()).await,
            answer => answer,
        }
    }

    /// The first row of one statement, if there is one.
    pub(crate) async fn row<'q>(&self, statement: impl Fn() -> Statement<'q>) -> Result<Option<PgRow>, PgError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// The verdict of a statement that locks before it decides, with its row; `again` sends it again.
    pub(crate) async fn decide<'q>(&self, statement: impl Fn() -> Statement<'q>) -> Result<(String, PgRow), PgError> {
        for _ in 0..ATTEMPTS {
            let row = match self.row(&statement).await {
                // A create met an id that was stored after its snapshot; all of it was undone.
                Err(error) if error.breaks("executions_pkey") => continue,
                answer => answer?.ok_or(sqlx::Error::RowNotFound)?,
            };
            let verdict: String = row.try_get("verdict")?;
            if verdict != "again" {
                return Ok((verdict, row));
            }
        }
        Err(EngineError::contention().into())
    }

    /// What a statement with a row for each item answers for each item of a batch, those that were not refused before;
    /// only the items whose rows moved are sent again. Without items nothing is sent.
    pub(crate) async fn decide_each<'q, I, T>(
        &self,
        op: Operation,
        items: &'q [Result<I, EngineError>],
        statement: impl Fn(&[&'q I]) -> Statement<'q>,
        answer: impl Fn(&str, &PgRow) -> Result<T, PgError>,
    ) -> Result<Vec<Result<T, EngineError>>, PgError> {
        let undecided =
            |item: &Result<I, EngineError>| Err(item.as_ref().err().cloned().unwrap_or_else(EngineError::contention));
        let mut answers: Vec<_> = items.iter().map(undecided).collect();
        let mut open: Vec<_> =
            items.iter().zip(&mut answers).filter_map(|(item, slot)| Some((item.as_ref().ok()?, slot))).collect();
        for _ in 0..ATTEMPTS {
            if open.is_empty() {
                break;
            }
            let asked: Vec<&'q I> = open.iter().map(|(item, _)| *item).collect();
            let rows = self.rows(|| statement(&asked)).await?;
            let mut again = Vec::new();
            for ((item, slot), row) in open.into_iter().zip(&rows) {
                match row.try_get("verdict")? {
                    "again" => again.push((item, slot)),
                    verdict => *slot = answer(verdict, row).map_err(|error| error.at(op)),
                }
            }
            open = again;
        }
        drop(open);
        Ok(answers)
    }

    async fn send(&self, statement: Statement<'_>) -> Result<Vec<PgRow>, PgError> {
        let mut conn = self.acquire().await?;
        match tokio::time::timeout(self.answer_within, statement.fetch_all(&mut *conn)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                // Its next user would have to wait for the answer that did not come.
                conn.close_on_drop();
                Err(PgError::Silent(self.answer_within))
            }
        }
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, PgError> {
        self.pool.acquire().await.map_err(|error| {
            let max = self.pool.options().get_max_connections();
            match error {
                // A server that cannot be reached uses up the time as well; then the pool is not full.
                sqlx::Error::PoolTimedOut if self.pool.size() >= max => PgError::Exhausted { max },
                other => PgError::Acquire(other),
            }
        })
    }
}
