//! How a statement reaches the server: acquire, send, and send again if the row moved.
//!
//! Lock order: a create writes its key, its capability set, its execution, its lane; a holder operation locks one
//! execution and then writes only what belongs to it; a claim waits for nobody, and what settles a lane locks its row first.
//! A batch locks all its rows of one kind before those of the next, in the order of their ids or keys.

mod rest;

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use ff_core::{CredentialSource, EngineError, Namespace, Operation, ScannerFilter};
use ff_observe::{Metrics, PoolUse};
use sqlx::{
    ConnectOptions, Connection, PgPool, Postgres, Row,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use rest::{Lent, Rest};

use crate::{capabilities::LABEL, claims::Marks, config, error::PgError, id::StoredId};

/// How often a statement is sent when its row keeps moving between its snapshot and its lock.
pub(crate) const ATTEMPTS: u32 = 5;

/// How often it is sent before it waits for its turn, where there are turns.
const HURRIES: u32 = 2;

/// How much longer than the server the client waits, so that the server's own refusal arrives first.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// A statement with its arguments.
pub(crate) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// The process clock, which tells how old something is that the process knows; all else goes by the store's.
#[expect(clippy::disallowed_methods, reason = "how old what the process knows is")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The statement with the three arguments of a filter.
pub(crate) fn filtered<'q>(query: Statement<'q>, filter: &'q ScannerFilter) -> Statement<'q> {
    let tag = filter.instance_tag.as_ref();
    query
        .bind(filter.namespace.as_ref().map(Namespace::as_str))
        .bind(tag.map(|(key, _)| key.as_str()))
        .bind(tag.map(|(_, value)| value.as_str()))
}

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Sender {
    pool: Arc<PgPool>,
    /// Where connections rest, as long as nobody else uses the pool.
    rest: Arc<Rest>,
    /// Where claims look for new work.
    marks: Marks,
    answer_within: Duration,
    /// Asked before a connection is made, if there is one.
    credentials: Option<CredentialSource>,
}

impl Sender {
    /// Sends over `pool`, which nobody else uses, where a statement may run for `request`.
    pub(crate) fn new(pool: PgPool, request: Duration) -> Self {
        let answer_within = request.saturating_add(GRACE);
        Self { pool: Arc::new(pool), rest: Arc::default(), marks: Marks::default(), answer_within, credentials: None }
    }

    /// The same with credentials from a source.
    pub(crate) fn signing(mut self, source: Option<CredentialSource>) -> Self {
        self.credentials = source;
        self
    }

    /// The pool.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Where claims look for new work.
    pub(crate) const fn marks(&self) -> &Marks {
        &self.marks
    }

    /// From now on others use the pool as well.
    pub(crate) fn share_pool(&self) {
        self.rest.end();
    }

    /// Closes the pool: it refuses new work at once, and statements that run keep their connection until they end.
    pub(crate) async fn close(&self) {
        let closed = self.pool.close();
        self.rest.clear();
        closed.await;
    }

    /// Tells `metrics` how the pool stands, for as long as it lives.
    pub(crate) fn show_pool(&self, metrics: &Metrics) {
        let (pool, rest) = (Arc::downgrade(&self.pool), Arc::downgrade(&self.rest));
        metrics.watch_pool(LABEL, move || {
            let pool = pool.upgrade()?;
            let resting = Weak::upgrade(&rest).map_or(0, |rest| rest.count());
            let (size, idle) = (u64::from(pool.size()), (pool.num_idle() + resting) as u64);
            let max = u64::from(pool.options().get_max_connections());
            Some(PoolUse { used: size.saturating_sub(idle), idle, max })
        });
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

    /// The same where many may want one execution at once: if its row keeps moving, it is locked first, so that the
    /// statement sees it as it is. Nobody is turned away then, each has its turn.
    pub(crate) async fn decide_in_turn<'q>(
        &self,
        id: &StoredId,
        statement: impl Fn() -> Statement<'q>,
    ) -> Result<(String, PgRow), PgError> {
        for _ in 0..HURRIES {
            let row = self.row(&statement).await?.ok_or(sqlx::Error::RowNotFound)?;
            let verdict: String = row.try_get("verdict")?;
            if verdict != "again" {
                return Ok((verdict, row));
            }
        }
        let row = self.alone(id, statement()).await?;
        Ok((row.try_get("verdict")?, row))
    }

    /// The first row of a statement behind the lock of an execution.
    async fn alone(&self, id: &StoredId, statement: Statement<'_>) -> Result<PgRow, PgError> {
        let mut lent = self.acquire().await?;
        let step = async {
            let mut step = lent.conn.begin().await?;
            sqlx::query("SELECT FROM executions WHERE id = $1 FOR NO KEY UPDATE").bind(id).execute(&mut *step).await?;
            let row = statement.fetch_one(&mut *step).await?;
            step.commit().await?;
            Ok(row)
        };
        if let Ok(answer) = tokio::time::timeout(self.answer_within, step).await {
            return answer;
        }
        lent.conn.close_on_drop();
        Err(PgError::Silent(self.answer_within))
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
        let mut lent = self.acquire().await?;
        match tokio::time::timeout(self.answer_within, statement.fetch_all(&mut *lent.conn)).await {
            Ok(Ok(rows)) => {
                self.rest.keep(lent, &self.pool);
                Ok(rows)
            }
            Ok(Err(error)) => {
                // What broke this connection may have broken those that rest, and the server may be another now.
                self.rest.clear();
                self.marks.forget();
                Err(error.into())
            }
            Err(_) => {
                // Its next user would have to wait for the answer that did not come.
                lent.conn.close_on_drop();
                self.marks.forget();
                Err(PgError::Silent(self.answer_within))
            }
        }
    }

    async fn acquire(&self) -> Result<Lent, PgError> {
        match self.rest.take() {
            Ok(lent) => Ok(lent),
            // Apart: most calls do without it.
            Err(waiting) => Ok(waiting.served(Box::pin(self.lend()).await?)),
        }
    }

    async fn lend(&self) -> Result<PoolConnection<Postgres>, PgError> {
        let Some(source) = &self.credentials else { return self.pooled().await };
        // Only then does the pool make a connection.
        if self.pool.num_idle() == 0 && self.pool.size() < self.pool.options().get_max_connections() {
            self.sign(source).await?;
        }
        match self.pooled().await {
            // The pool replaced a connection that had gone, by credentials that had lapsed.
            Err(error) if error.is_refused_login() => {
                self.sign(source).await?;
                self.pooled().await
            }
            answer => answer,
        }
    }

    /// Gives the pool the credentials of this moment.
    async fn sign(&self, source: &CredentialSource) -> Result<(), PgError> {
        let options = config::signed(self.pool.connect_options().as_ref().clone(), source).await?;
        self.pool.set_connect_options(options);
        Ok(())
    }

    async fn pooled(&self) -> Result<PoolConnection<Postgres>, PgError> {
        match self.pool.acquire().await {
            Ok(conn) => Ok(conn),
            Err(sqlx::Error::PoolTimedOut) => {
                let max = self.pool.options().get_max_connections();
                // A server that cannot be reached uses up the time as well; then the pool is not full.
                Err(if self.pool.size() >= max { PgError::Exhausted { max } } else { self.unreachable().await })
            }
            Err(other) => Err(PgError::Acquire(other)),
        }
    }

    /// Why no connection could be made; the pool, which kept trying, does not tell.
    async fn unreachable(&self) -> PgError {
        let options = self.pool.connect_options();
        PgError::Acquire(match tokio::time::timeout(GRACE, options.connect()).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => sqlx::Error::PoolTimedOut,
        })
    }
}
