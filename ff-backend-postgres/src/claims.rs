//! `Claims` on PostgreSQL.

mod crowds;
mod grants;
mod marks;
mod windows;

use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use ff_core::{
    AttemptId, AttemptIndex, BackendTag, CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs,
    ClaimForWorkerOutcome, ClaimPolicy, ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, EngineError,
    ExecutionId, Handle, HandleKind, HandlePayload, Jitter, LaneId, LeaseEpoch, LeaseFence, LeaseId, Limits, Operation,
    PageLimit, ReclaimToken, ScannerFilter, UnclaimedReason, WorkerInstanceId,
};
use sqlx::{Row, postgres::PgRow};
use tokio::{sync::broadcast, time::Sleep};
use uuid::Uuid;

pub(crate) use crowds::{Crowds, Wanted, look};
use marks::Pass;
pub(crate) use marks::{Asked, DuePlace, Marks};

use crate::{
    backend::PostgresBackend,
    capabilities::{LABEL, LOOK_AGAIN, LOOK_AGAIN_AT_ONCE, LOOK_AGAIN_UNLESS_WOKEN},
    error::PgError,
    id::{StoredId, execution_id},
    notify,
    row::number,
    tx::{ATTEMPTS, Sender, Statement, filtered},
};

/// Heads of each capability set that the first full look compares, beyond the rows that it is for; each further look
/// compares twice as many.
const WINDOW: i64 = 16;

#[ff_observe::observed]
#[async_trait]
impl Claims for PostgresBackend {
    async fn claim(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        claim(self, lane, capabilities, policy).await.map_err(|error| error.at(Operation::Claim))
    }

    async fn claim_many(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
        limit: PageLimit,
    ) -> Result<Vec<Handle>, EngineError> {
        claim_many(self, lane, capabilities, policy, limit).await.map_err(|error| error.at(Operation::ClaimMany))
    }

    async fn claim_for_worker(&self, args: ClaimForWorkerArgs) -> Result<ClaimForWorkerOutcome, EngineError> {
        grants::claim_for_worker(self, &args).await.map_err(|error| error.at(Operation::ClaimForWorker))
    }

    async fn claim_execution(&self, args: ClaimExecutionArgs) -> Result<ClaimExecutionResult, EngineError> {
        grants::claim_execution(self, &args).await.map_err(|error| error.at(Operation::ClaimExecution))
    }

    async fn claim_from_reclaim(&self, token: ReclaimToken) -> Result<Option<Handle>, EngineError> {
        grants::claim_from_reclaim(self, &token).await.map_err(|error| error.at(Operation::ClaimFromReclaim))
    }

    async fn claim_resumed_execution(
        &self,
        args: ClaimResumedExecutionArgs,
    ) -> Result<ClaimResumedExecutionResult, EngineError> {
        grants::claim_resumed_execution(self, &args).await.map_err(|error| error.at(Operation::ClaimResumedExecution))
    }

    async fn explain_unclaimed(
        &self,
        id: &ExecutionId,
        capabilities: &CapabilitySet,
    ) -> Result<Option<UnclaimedReason>, EngineError> {
        grants::explain_unclaimed(self, id, capabilities).await.map_err(|error| error.at(Operation::ExplainUnclaimed))
    }
}

async fn claim(
    backend: &PostgresBackend,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    policy: ClaimPolicy,
) -> Result<Option<Handle>, PgError> {
    let mut wait = Wait::new(policy.max_wait);
    loop {
        match crowds::look(backend, lane, capabilities, &policy, wait.way()).await? {
            Look::Taken(handle) => return Ok(Some(handle)),
            Look::None(due) if !wait.pause(backend, lane, due).await? => return Ok(None),
            Look::None(_) => {}
        }
    }
}

async fn claim_many(
    backend: &PostgresBackend,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    policy: ClaimPolicy,
    limit: PageLimit,
) -> Result<Vec<Handle>, PgError> {
    policy.checked_ttl_ms()?;
    if limit.get() == 0 {
        return Ok(Vec::new());
    }
    let mut wait = Wait::new(policy.max_wait);
    loop {
        let (taken, due) = crowds::look_for_many(backend, lane, capabilities, &policy, limit.get().into()).await?;
        if !taken.is_empty() || !wait.pause(backend, lane, due).await? {
            return Ok(taken);
        }
    }
}

/// How long a claim goes on looking, and its wake-ups once it has to wait.
pub(crate) struct Wait {
    over: Option<Pin<Box<Sleep>>>,
    woken: Option<broadcast::Receiver<Arc<str>>>,
    /// How long it sleeps if nothing wakes it.
    patience: Duration,
    /// How the next look is to go.
    way: Way,
}

/// How one look is to go. The short way takes the first row where that is simple; what falls due next is known the long
/// way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The short way, and no further if there is nothing.
    Short,
    /// The short way, because there is probably work, and the long way if there is none.
    ShortFirst,
    /// The long way.
    Long,
}

impl Wait {
    pub(crate) fn new(wait: Option<Duration>) -> Self {
        Self {
            over: wait.map(|wait| Box::pin(tokio::time::sleep(wait))),
            woken: None,
            patience: LOOK_AGAIN,
            way: Way::Short,
        }
    }

    /// How the next look is to go.
    pub(crate) const fn way(&self) -> Way {
        self.way
    }

    /// Waits for a wake-up or until a row of the lane falls due; false if the wait was over.
    ///
    /// Only the pause is cut short: a look that was sent is waited for, or its lease would be lost.
    pub(crate) async fn pause(
        &mut self,
        backend: &PostgresBackend,
        lane: &LaneId,
        due: Option<Duration>,
    ) -> Result<bool, PgError> {
        let Some(over) = self.over.as_mut().filter(|over| !over.is_elapsed()) else { return Ok(false) };
        let store = backend.store().await?;
        self.way = Way::Long;
        let Some(woken) = self.woken.as_mut() else {
            // What came before this is seen by the next look.
            self.woken = Some(backend.wakes().receiver());
            return self.enter(backend, lane, store).await;
        };
        let due = due.unwrap_or(self.patience).clamp(Duration::from_millis(1), self.patience);
        tokio::select! {
            () = over => return Ok(true),
            () = tokio::time::sleep(due) => {}
            () = notify::woken(woken, lane) => self.way = Way::ShortFirst,
            () = store.pool().close_event() => {}
        }
        self.enter(backend, lane, store).await
    }

    async fn enter(&mut self, backend: &PostgresBackend, lane: &LaneId, store: &Arc<Sender>) -> Result<bool, PgError> {
        let told_since = backend.wakes().enter(lane, store).await?;
        // Work that was being written then is written without a wake-up: it is found within twice its time.
        self.patience =
            told_since.map_or(LOOK_AGAIN, |since| since.elapsed().clamp(LOOK_AGAIN_AT_ONCE, LOOK_AGAIN_UNLESS_WOKEN));
        Ok(true)
    }
}

/// What one look for one row came to: nothing, and for so long nothing falls due.
pub(crate) type Look = ff_core::Look<Handle, Option<Duration>>;

/// What a look for many came to: work, or for how long nothing falls due.
type Batch = (Vec<Handle>, Option<Duration>);

/// What a look for many came to if it was for one.
fn first((taken, due): Batch) -> Look {
    taken.into_iter().next().map_or(Look::None(due), Look::Taken)
}

/// For how long nothing falls due, if something will.
fn due(row: &PgRow) -> Result<Option<Duration>, PgError> {
    let ms: Option<i64> = row.try_get("due_in_ms")?;
    Ok(ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default())))
}

/// Rows of a lane that time has changed.
pub(crate) struct DueRows<'a> {
    pub(crate) lane: &'a LaneId,
    /// Only those behind this due instant and id.
    pub(crate) after: DuePlace,
    /// And what was overdue before.
    pub(crate) overdue: bool,
    pub(crate) most: i64,
    /// Only what time has done to them so.
    pub(crate) fates: &'a [&'a str],
    /// Whether a lapsed lease is told of before another worker takes over.
    pub(crate) tells_lapses: bool,
    pub(crate) filter: &'a ScannerFilter,
}

impl DueRows<'_> {
    /// Writes down what time has done to them; the row says how many there were and which was the last.
    pub(crate) async fn settle(&self, store: &Sender) -> Result<PgRow, PgError> {
        let jitter = i64::from(Jitter::draw().millionths());
        let statement = || {
            let query = sqlx::query(include_str!("claims/settle_due.sql")).bind(self.lane.as_str());
            let query = query.bind(self.after.0).bind(self.after.1).bind(self.most).bind(jitter);
            filtered(query.bind(self.fates).bind(self.tells_lapses), self.filter).bind(self.overdue)
        };
        Ok(store.row(statement).await?.ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Writes down which of those up to the due instant and id `last` are suspensions that timed out; a row as `settle`.
    pub(crate) async fn settle_suspensions(&self, store: &Sender, last: DuePlace) -> Result<PgRow, PgError> {
        let statement = || {
            let query = sqlx::query(include_str!("waitpoints/settle_suspensions.sql")).bind(self.lane.as_str());
            let query = query.bind(self.after.0).bind(self.after.1).bind(self.most);
            filtered(query, self.filter).bind(last.0).bind(last.1)
        };
        Ok(store.row(statement).await?.ok_or(sqlx::Error::RowNotFound)?)
    }
}

/// How often a claim comes back to what others hold of what is due, at first after 1 ms, then twice that, and so on:
/// some 130 ms in all.
const PATIENCE: u32 = 7;

/// Writes down what time has done to a lane, as much of it as one claim may; false if others held some of it throughout.
///
/// Who holds it settles it as a rule, and it may go ahead of all that is ready: a claim that went on without it would
/// take what is not first. What is too much for one claim is no reason to wait.
async fn settle(store: &Sender, lane: &LaneId) -> Result<bool, PgError> {
    for round in 0..PATIENCE {
        match settle_once(store, lane).await? {
            Settled::All => return Ok(true),
            Settled::TooMuch => return Ok(false),
            Settled::HeldByOthers => tokio::time::sleep(Duration::from_millis(1 << round)).await,
        }
    }
    Ok(false)
}

/// What one pass over a lane left.
enum Settled {
    All,
    /// Others held some of it.
    HeldByOthers,
    /// Others held some of it, and there may be more than one pass looks at.
    TooMuch,
}

impl Settled {
    /// What the pass left that the row tells of.
    fn by(row: &PgRow, most: i64) -> Result<Self, PgError> {
        let seen: i64 = row.try_get("seen")?;
        Ok(match row.try_get::<i64, _>("held")? {
            held if held == seen => Self::All,
            _ if seen < most => Self::HeldByOthers,
            _ => Self::TooMuch,
        })
    }
}

async fn settle_once(store: &Sender, lane: &LaneId) -> Result<Settled, PgError> {
    let pass = store.marks().pass(lane);
    let due = DueRows {
        lane,
        after: pass.after,
        overdue: true,
        most: i64::from(Limits::PROMOTE_PER_CLAIM),
        fates: &["expired", "timed_out", "lapsed", "ready"],
        tells_lapses: false,
        filter: &ScannerFilter::new(),
    };
    let row = due.settle(store).await?;
    store.marks().learn_pass(lane, pass, end_of(&row, pass, due.most)?);
    let left = Settled::by(&row, due.most)?;
    if row.try_get::<i64, _>("suspended")? > 0 {
        let last = (row.try_get("last_due")?, row.try_get("last_id")?);
        let seen = DueRows { after: (row.try_get("first_due")?, StoredId::default()), ..due };
        let suspended = Settled::by(&seen.settle_suspensions(store, last).await?, seen.most)?;
        return Ok(if matches!(left, Settled::All) { suspended } else { left });
    }
    Ok(left)
}

/// Behind which place there may be more that is due than a pass that the row tells of saw. It goes on from its end if all
/// was settled up to that, and nothing can come up there that it did not see.
fn end_of(row: &PgRow, pass: Pass, most: i64) -> Result<Option<DuePlace>, PgError> {
    let seen: i64 = row.try_get("seen")?;
    if seen < most {
        return Ok(None);
    }
    let end: DuePlace = (row.try_get("last_due")?, row.try_get("last_id")?);
    let is_whole = row.try_get::<i64, _>("settled")? == seen && pass.floor.is_some_and(|floor| end.0 <= floor);
    Ok(Some(if is_whole { end } else { pass.after }))
}

/// What the looks of one claim have seen so far.
#[derive(Default)]
struct Seen {
    /// What is due was settled.
    settled: bool,
    /// Others held some of what is due.
    others: bool,
}

impl Seen {
    /// Prepares the next look after one that took nothing and said `verdict`.
    async fn prepare(&mut self, verdict: &str, round: u32, store: &Sender, lane: &LaneId) -> Result<(), PgError> {
        if verdict == "due" {
            return self.settle(store, lane).await;
        }
        if verdict == "none" {
            // Whoever held what is due settles it, and the next look sees that.
            *self = Self::default();
        }
        // Another claim holds what is there, perhaps to make it ready: let it finish.
        tokio::time::sleep(Duration::from_millis(1 << round)).await;
        Ok(())
    }

    /// Settles what is due.
    async fn settle(&mut self, store: &Sender, lane: &LaneId) -> Result<(), PgError> {
        *self = Self { settled: true, others: !settle(store, lane).await? };
        Ok(())
    }
}

/// One claim and what it hands out.
pub(crate) struct Claimer<'a> {
    lane: &'a LaneId,
    capabilities: Vec<&'a str>,
    ttl_ms: u64,
    lease_ids: Vec<Uuid>,
    attempt_ids: Vec<Uuid>,
    policy: &'a ClaimPolicy,
}

impl<'a> Claimer<'a> {
    pub(crate) fn new(
        lane: &'a LaneId,
        capabilities: &'a CapabilitySet,
        policy: &'a ClaimPolicy,
        most: usize,
    ) -> Result<Self, PgError> {
        Ok(Self {
            lane,
            capabilities: capabilities.iter().collect(),
            ttl_ms: policy.checked_ttl_ms()?,
            lease_ids: (0..most).map(|_| Uuid::new_v4()).collect(),
            attempt_ids: (0..most).map(|_| Uuid::new_v4()).collect(),
            policy,
        })
    }

    /// One look at the lane for one row, the short way if that leads to work; `on` if it goes on when there is none.
    async fn look(&self, store: &Sender, crowds: &Crowds, on: bool) -> Result<Look, PgError> {
        let asked = store.marks().ask(self.lane);
        let statement = || self.taking(sqlx::query(include_str!("claims/claim.sql")), store.marks(), asked);
        let row = store.row(statement).await?;
        let row = row.ok_or(sqlx::Error::RowNotFound)?;
        store.marks().learn(self.lane, asked, &row)?;
        let verdict = row.try_get("verdict")?;
        crowds.learn(self.lane, matches!(verdict, "taken" | "none"));
        match verdict {
            "taken" => self.handle(&row).map(Look::Taken),
            "none" if !on => Ok(Look::None(None)),
            "due" => {
                let mut seen = Seen::default();
                seen.prepare(verdict, 0, store, self.lane).await?;
                self.look_on(seen, store).await.map(first)
            }
            _ => self.look_around(store).await,
        }
    }

    /// One look for one row among all that there is.
    pub(crate) async fn look_around(&self, store: &Sender) -> Result<Look, PgError> {
        self.look_for_many(store).await.map(first)
    }

    /// One look at the lane for as many rows as there are lease ids.
    async fn look_for_many(&self, store: &Sender) -> Result<Batch, PgError> {
        self.look_on(Seen::default(), store).await
    }

    /// The same after looks that have seen something.
    async fn look_on(&self, mut seen: Seen, store: &Sender) -> Result<Batch, PgError> {
        let most = i64::try_from(self.lease_ids.len()).unwrap_or(i64::MAX);
        if !seen.settled && store.marks().is_behind(self.lane) {
            seen.settle(store, self.lane).await?;
        }
        for round in 0..ATTEMPTS {
            let rows = self.batch(store, most.saturating_add(WINDOW).saturating_mul(1 << round), seen.settled).await?;
            let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            let verdict = first.try_get("verdict")?;
            match verdict {
                "taken" => {
                    return Ok((rows.iter().map(|row| self.handle(row)).collect::<Result<_, _>>()?, None));
                }
                "none" if !seen.others => return Ok((Vec::new(), due(first)?)),
                _ => seen.prepare(verdict, round, store, self.lane).await?,
            }
        }
        Ok((Vec::new(), Some(Duration::ZERO)))
    }

    async fn batch(&self, store: &Sender, window: i64, settled: bool) -> Result<Vec<PgRow>, PgError> {
        let asked = store.marks().ask(self.lane);
        let statement = || {
            let query = self.taking_many(sqlx::query(include_str!("claims/claim_many.sql")), store.marks(), asked);
            query.bind(i64::try_from(self.lease_ids.len()).unwrap_or(i64::MAX)).bind(window).bind(settled)
        };
        let rows = store.rows(statement).await?;
        if let Some(row) = rows.first() {
            store.marks().learn(self.lane, asked, row)?;
        }
        Ok(rows)
    }

    /// The statement with what takes one row of the lane.
    pub(crate) fn taking<'q>(&'q self, query: Statement<'q>, marks: &Marks, asked: Asked) -> Statement<'q> {
        let query = query.bind(self.lane.as_str()).bind(&self.capabilities);
        let query = self.signed(query.bind(self.lease_ids.first()).bind(self.attempt_ids.first()));
        marks.bind(self.lane, asked, query)
    }

    /// The statement with what takes several rows of the lane.
    pub(crate) fn taking_many<'q>(&'q self, query: Statement<'q>, marks: &Marks, asked: Asked) -> Statement<'q> {
        let query = query.bind(self.lane.as_str()).bind(&self.capabilities);
        marks.bind(self.lane, asked, self.signed(query.bind(&self.lease_ids).bind(&self.attempt_ids)))
    }

    /// The statement with who claims, and for how long.
    fn signed<'q>(&'q self, query: Statement<'q>) -> Statement<'q> {
        query
            .bind(self.policy.worker_id.as_str())
            .bind(self.policy.worker_instance_id.as_str())
            .bind(i64::try_from(self.ttl_ms).unwrap_or(i64::MAX))
    }

    pub(crate) fn handle(&self, row: &PgRow) -> Result<Handle, PgError> {
        handle(row, self.lane.clone(), self.ttl_ms, &self.policy.worker_instance_id)
    }
}

/// The lease of a row that was taken in `lane`.
fn handle(row: &PgRow, lane_id: LaneId, ttl_ms: u64, worker_instance_id: &WorkerInstanceId) -> Result<Handle, PgError> {
    let payload = HandlePayload {
        execution_id: execution_id(row, "id")?,
        attempt_index: AttemptIndex(number(row, "attempt_index")?),
        fence: LeaseFence {
            lease_id: LeaseId::from_uuid(row.try_get("lease_id")?),
            lease_epoch: LeaseEpoch(number(row, "lease_epoch")?),
            attempt_id: AttemptId::from_uuid(row.try_get("attempt_id")?),
        },
        lease_ttl: Duration::from_millis(ttl_ms),
        lane_id,
        worker_instance_id: worker_instance_id.clone(),
    };
    let kind = match row.try_get("kind")? {
        "fresh" => HandleKind::Fresh,
        "resumed" => HandleKind::Resumed,
        "reclaimed" => HandleKind::Reclaimed,
        other => return Err(EngineError::corrupt(format!("kind {other:?}")).into()),
    };
    Ok(payload.seal(BackendTag::try_new(LABEL)?, kind))
}
