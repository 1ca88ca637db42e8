//! `Claims` on PostgreSQL.

mod grants;

use std::{pin::Pin, time::Duration};

use async_trait::async_trait;
use ff_core::{
    AttemptId, AttemptIndex, BackendTag, CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs,
    ClaimForWorkerOutcome, ClaimPolicy, ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, EngineError,
    ExecutionId, Handle, HandleKind, HandlePayload, Jitter, LaneId, LeaseEpoch, LeaseFence, LeaseId, Limits, Operation,
    PageLimit, ReclaimToken, UnclaimedReason, WorkerInstanceId,
};
use sqlx::{Row, postgres::PgRow};
use tokio::time::Sleep;
use uuid::Uuid;

use crate::{
    backend::PostgresBackend,
    capabilities::{LABEL, POLL},
    error::PgError,
    row::{number, word},
    tx::{ATTEMPTS, Sender, Statement},
};

/// Heads of each capability set that the first full look compares; each further look doubles it.
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
    let claimer = Claimer::new(lane, capabilities, &policy, 1)?;
    let mut wait = Wait::new(policy.max_wait);
    loop {
        let taken = claimer.look(backend.store().await?).await?;
        if taken.is_some() || !wait.pause().await {
            return Ok(taken);
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
    let claimer = Claimer::new(lane, capabilities, &policy, usize::from(limit.get()))?;
    if limit.get() == 0 {
        return Ok(Vec::new());
    }
    let mut wait = Wait::new(policy.max_wait);
    loop {
        let taken = claimer.look_for_many(backend.store().await?).await?;
        if !taken.is_empty() || !wait.pause().await {
            return Ok(taken);
        }
    }
}

/// How long a claim goes on looking.
pub(crate) struct Wait(Option<Pin<Box<Sleep>>>);

impl Wait {
    pub(crate) fn new(wait: Option<Duration>) -> Self {
        Self(wait.map(|wait| Box::pin(tokio::time::sleep(wait))))
    }

    /// Waits until the next look; false if the wait was over.
    ///
    /// Only the pause is cut short: a look that was sent is waited for, or its lease would be lost.
    pub(crate) async fn pause(&mut self) -> bool {
        let Some(over) = self.0.as_mut().filter(|over| !over.is_elapsed()) else { return false };
        tokio::select! {
            () = over => {}
            () = tokio::time::sleep(POLL) => {}
        }
        true
    }
}

/// Writes down what time has done to a lane, as much of it as one claim may.
async fn settle(store: &Sender, lane: &LaneId) -> Result<(), PgError> {
    let jitter = Jitter::from_bits(Uuid::new_v4().as_u128()).millionths();
    let statement = || {
        sqlx::query(include_str!("claims/settle_due.sql"))
            .bind(lane.as_str())
            .bind(i64::MIN)
            .bind("")
            .bind(i64::from(Limits::PROMOTE_PER_CLAIM))
            .bind(i64::from(jitter))
            .bind(&["expired", "timed_out", "lapsed", "ready"][..])
            .bind(false)
            .bind(None::<&str>)
            .bind(None::<&str>)
            .bind(None::<&str>)
    };
    store.row(statement).await.map(drop)
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

    /// One look at the lane for one row.
    pub(crate) async fn look(&self, store: &Sender) -> Result<Option<Handle>, PgError> {
        let mut settled = false;
        for round in 0..ATTEMPTS {
            let statement = || self.taking(sqlx::query(include_str!("claims/claim.sql"))).bind(settled);
            let row = store.row(statement).await?.ok_or(sqlx::Error::RowNotFound)?;
            match row.try_get("verdict")? {
                "taken" => return self.handle(&row).map(Some),
                "none" => return Ok(None),
                "due" => {
                    settle(store, self.lane).await?;
                    settled = true;
                }
                _ => match self.window(store, round).await? {
                    Some(answer) => return Ok(answer),
                    // Another claim holds all that is there, perhaps to make it ready: let it finish.
                    None => tokio::time::sleep(Duration::from_millis(1 << round)).await,
                },
            }
        }
        Ok(None)
    }

    /// One look at the lane for as many rows as there are lease ids.
    async fn look_for_many(&self, store: &Sender) -> Result<Vec<Handle>, PgError> {
        let most = i64::try_from(self.lease_ids.len()).unwrap_or(i64::MAX);
        let mut settled = false;
        for round in 0..ATTEMPTS {
            let rows = self.batch(store, most.saturating_add(WINDOW << round), settled).await?;
            match rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get("verdict")? {
                "taken" => return rows.iter().map(|row| self.handle(row)).collect(),
                "none" => return Ok(Vec::new()),
                "due" => {
                    settle(store, self.lane).await?;
                    settled = true;
                }
                _ => tokio::time::sleep(Duration::from_millis(1 << round)).await,
            }
        }
        Ok(Vec::new())
    }

    /// What the first rows of each capability set, more of them with each round, leave for this claim; `None` if they
    /// were all locked.
    async fn window(&self, store: &Sender, round: u32) -> Result<Option<Option<Handle>>, PgError> {
        let rows = self.batch(store, WINDOW << round, true).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        match row.try_get("verdict")? {
            "taken" => self.handle(row).map(|handle| Some(Some(handle))),
            "none" => Ok(Some(None)),
            _ => Ok(None),
        }
    }

    async fn batch(&self, store: &Sender, window: i64, settled: bool) -> Result<Vec<PgRow>, PgError> {
        let statement = || {
            let query = sqlx::query(include_str!("claims/claim_many.sql")).bind(self.lane.as_str());
            let query = query.bind(&self.capabilities).bind(&self.lease_ids).bind(&self.attempt_ids);
            self.signed(query).bind(i64::try_from(self.lease_ids.len()).unwrap_or(i64::MAX)).bind(window).bind(settled)
        };
        store.rows(statement).await
    }

    /// The statement with what takes one row of the lane.
    pub(crate) fn taking<'q>(&'q self, query: Statement<'q>) -> Statement<'q> {
        let query = query.bind(self.lane.as_str()).bind(&self.capabilities);
        self.signed(query.bind(self.lease_ids.first()).bind(self.attempt_ids.first()))
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
        execution_id: word(row, "id")?,
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
