//! Completions of one process go together where several wait, and so do hand-overs to the same worker.

use std::{pin::pin, sync::Arc};

use ff_core::{CapabilitySet, ClaimPolicy, Convoy, EngineError, Handle, Operation};
use sqlx::{Row, postgres::PgRow};

use super::{Completion, completing};
use crate::{
    backend::PostgresBackend,
    claims::{Claimer, Wanted},
    error::{PgError, refused},
    notify::Wakes,
    row::outcome,
    tx::{Sender, Statement},
};

/// The largest result that goes with others.
const SMALL: usize = 64 * 1024;

/// What became of the claim behind a completion.
#[derive(Debug)]
pub(super) enum Next {
    /// This was taken.
    Taken(Handle),
    /// There was nothing.
    None,
    /// It takes the statements of a claim.
    Claim,
}

/// An answer to one of several calls.
type Answer<T> = Result<T, EngineError>;

/// The ends of a process that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    completions: Convoy<(), Arc<Completion>, Answer<()>>,
    hand_overs: Convoy<Wanted, Arc<Completion>, Answer<Next>>,
}

/// The ways to the server and to those who wait for executions to end.
#[derive(Clone)]
struct Ways {
    store: Arc<Sender>,
    wakes: Arc<Wakes>,
}

impl Ways {
    fn of(store: &Arc<Sender>, wakes: &Arc<Wakes>) -> Self {
        Self { store: Arc::clone(store), wakes: Arc::clone(wakes) }
    }

    /// The rows of one statement that ends executions; who waits for that is told.
    async fn rows<'q>(&self, statement: impl Fn() -> Statement<'q>) -> Result<Vec<PgRow>, PgError> {
        let rows = self.store.rows(statement).await?;
        for row in &rows {
            if row.try_get::<&str, _>("verdict")? == "ok" && row.try_get("listened")? {
                self.wakes.wake_subscribers(&self.store);
                break;
            }
        }
        Ok(rows)
    }
}

/// What the rows of one statement say of its calls.
fn answers<T>(
    op: Operation,
    rows: &[PgRow],
    read: impl Fn(&str, &PgRow) -> Result<T, PgError>,
) -> Result<Vec<Option<Answer<T>>>, PgError> {
    let answer = |row: &PgRow| match row.try_get("verdict")? {
        "again" => Ok(None),
        verdict => Ok(Some(read(verdict, row).map_err(|error| error.at(op)))),
    };
    rows.iter().map(answer).collect()
}

impl Completion {
    /// Whether it may go with others.
    fn is_small(&self) -> bool {
        self.payload.as_ref().is_none_or(|payload| payload.len() <= SMALL)
    }
}

/// Ends an execution, with others or alone.
pub(super) async fn complete(backend: &PostgresBackend, completion: &Arc<Completion>) -> Result<(), EngineError> {
    let store = backend.store().await.map_err(|error| error.at(Operation::Complete))?;
    let alone = pin!(async {
        let done = complete_alone(backend, completion).await;
        done.map_err(|error| error.at(Operation::Complete))
    });
    if !completion.is_small() {
        return alone.await;
    }
    let ways = Ways::of(store, backend.wakes());
    let together = |()| move |items| complete_together(items, ways.clone());
    backend.ends().completions.bring((), Arc::clone(completion), alone, together).await
}

/// The answers to several calls in their places; none to one that has to go by itself.
async fn complete_together(items: Vec<Arc<Completion>>, ways: Ways) -> Vec<Option<Answer<()>>> {
    let sent = async {
        let asked: Vec<&Completion> = items.iter().map(Arc::as_ref).collect();
        let rows = ways.rows(|| completing(include_str!("complete_together.sql"), &asked)).await?;
        answers(Operation::Complete, &rows, |verdict, row| outcome(verdict, row).map(drop))
    };
    let answers = sent.await;
    answers.unwrap_or_else(|error| refused(&error.at(Operation::Complete), items.len()))
}

async fn complete_alone(backend: &PostgresBackend, completion: &Completion) -> Result<(), PgError> {
    let statement = || {
        let query = super::fenced(include_str!("complete.sql"), &completion.holder);
        query.bind(completion.holder.attempt_index).bind(completion.payload.as_deref())
    };
    let (verdict, row) = backend.store().await?.decide(statement).await?;
    outcome(&verdict, &row)?;
    backend.wake_subscribers(&row)
}

/// What a row of complete_and_claim.sql, or of the same for many, says of its call.
fn next(verdict: &str, row: &PgRow, claimer: &Claimer) -> Result<Next, PgError> {
    outcome(verdict, row)?;
    Ok(match row.try_get("took")? {
        "taken" => Next::Taken(claimer.handle(row)?),
        "none" => Next::None,
        _ => Next::Claim,
    })
}

/// Ends an execution and takes the first row of its lane if that is new work, with others or alone.
pub(super) async fn hand_over(
    backend: &PostgresBackend,
    completion: &Arc<Completion>,
    capabilities: &CapabilitySet,
    policy: &ClaimPolicy,
) -> Result<Next, EngineError> {
    let store = backend.store().await.map_err(|error| error.at(Operation::CompleteAndClaim))?;
    let alone = pin!(async {
        let handed_over = hand_over_alone(backend, completion, capabilities, policy).await;
        handed_over.map_err(|error| error.at(Operation::CompleteAndClaim))
    });
    if !completion.is_small() {
        return alone.await;
    }
    let ways = Ways::of(store, backend.wakes());
    let together = |wanted| {
        let wanted = Arc::new(wanted);
        move |items| hand_over_together(Arc::clone(&wanted), items, ways.clone())
    };
    let wanted = Wanted::new(&completion.holder.lane, capabilities, policy);
    backend.ends().hand_overs.bring(wanted, Arc::clone(completion), alone, together).await
}

async fn hand_over_alone(
    backend: &PostgresBackend,
    completion: &Completion,
    capabilities: &CapabilitySet,
    policy: &ClaimPolicy,
) -> Result<Next, PgError> {
    let (lane, store) = (&completion.holder.lane, backend.store().await?);
    let (claimer, marks) = (Claimer::new(lane, capabilities, policy, 1)?, store.marks());
    let asked = marks.ask(lane);
    let statement = || {
        let query = super::fenced(include_str!("complete_and_claim.sql"), &completion.holder);
        claimer.taking(query.bind(completion.holder.attempt_index).bind(completion.payload.as_deref()), marks, asked)
    };
    let (verdict, row) = store.decide(statement).await?;
    marks.learn(lane, asked, &row)?;
    let next = next(&verdict, &row, &claimer)?;
    backend.wake_subscribers(&row)?;
    Ok(next)
}

/// The answers to several calls in their places; none to one that has to go by itself.
async fn hand_over_together(wanted: Arc<Wanted>, items: Vec<Arc<Completion>>, ways: Ways) -> Vec<Option<Answer<Next>>> {
    let sent = async {
        let (claimer, marks) = (wanted.claimer(items.len())?, ways.store.marks());
        let asked: Vec<&Completion> = items.iter().map(Arc::as_ref).collect();
        let looked = marks.ask(wanted.lane());
        let statement =
            || claimer.taking_many(completing(include_str!("complete_and_claim_many.sql"), &asked), marks, looked);
        let rows = ways.rows(statement).await?;
        if let Some(row) = rows.first() {
            marks.learn(wanted.lane(), looked, row)?;
        }
        answers(Operation::CompleteAndClaim, &rows, |verdict, row| next(verdict, row, &claimer))
    };
    let answers = sent.await;
    answers.unwrap_or_else(|error| refused(&error.at(Operation::CompleteAndClaim), items.len()))
}
