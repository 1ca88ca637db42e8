//! `Claims` on PostgreSQL.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use ff_core::{
    AttemptId, AttemptIndex, BackendTag, CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs,
    ClaimForWorkerOutcome, ClaimPolicy, ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, EngineError,
    ExecutionId, Handle, HandleKind, HandlePayload, LaneId, LeaseEpoch, LeaseFence, LeaseId, Operation, PageLimit,
    ReclaimToken, UnclaimedReason,
};
use sqlx::{Row, postgres::PgRow};

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
        _lane: &LaneId,
        _capabilities: &CapabilitySet,
        _policy: ClaimPolicy,
        _limit: PageLimit,
    ) -> Result<Vec<Handle>, EngineError> {
        Err(EngineError::unavailable(Operation::ClaimMany))
    }

    async fn claim_for_worker(&self, _args: ClaimForWorkerArgs) -> Result<ClaimForWorkerOutcome, EngineError> {
        Err(EngineError::unavailable(Operation::ClaimForWorker))
    }

    async fn claim_execution(&self, _args: ClaimExecutionArgs) -> Result<ClaimExecutionResult, EngineError> {
        Err(EngineError::unavailable(Operation::ClaimExecution))
    }

    async fn claim_from_reclaim(&self, _token: ReclaimToken) -> Result<Option<Handle>, EngineError> {
        Err(EngineError::unavailable(Operation::ClaimFromReclaim))
    }

    async fn claim_resumed_execution(
        &self,
        _args: ClaimResumedExecutionArgs,
    ) -> Result<ClaimResumedExecutionResult, EngineError> {
        Err(EngineError::unavailable(Operation::ClaimResumedExecution))
    }

    async fn explain_unclaimed(
        &self,
        _id: &ExecutionId,
        _capabilities: &CapabilitySet,
    ) -> Result<Option<UnclaimedReason>, EngineError> {
        Err(EngineError::unavailable(Operation::ExplainUnclaimed))
    }
}

async fn claim(
    backend: &PostgresBackend,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    policy: ClaimPolicy,
) -> Result<Option<Handle>, PgError> {
    let ttl_ms = policy.checked_ttl_ms()?;
    let claimer = Claimer {
        lane,
        capabilities: capabilities.iter().collect(),
        ttl_ms,
        lease_id: LeaseId::new(),
        attempt_id: AttemptId::new(),
        policy: &policy,
    };
    let busy = backend.busy().of(lane);
    let Some(wait) = policy.max_wait else { return claimer.look(backend.store().await?, busy).await };
    let over = tokio::time::sleep(wait);
    tokio::pin!(over);
    // Only the pause is cut short: a look that was sent is waited for, or its lease would be lost.
    loop {
        let taken = claimer.look(backend.store().await?, busy).await?;
        if taken.is_some() || over.is_elapsed() {
            return Ok(taken);
        }
        tokio::select! {
            () = &mut over => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Which lanes were last found busy, by a hash of the lane; where lanes share a place, only cost is at stake.
///
/// The short statement costs a third of the full one but cannot say everything. It goes first while it takes rows; in
/// a lane that was found empty, what comes next may well be due, and the full statement says so in one round trip.
#[derive(Debug)]
pub(crate) struct Busy([AtomicBool; 64]);

impl Busy {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicBool::new(true)))
    }

    fn of(&self, lane: &LaneId) -> &AtomicBool {
        let sum = lane.as_str().bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.0[sum % self.0.len()]
    }
}

/// One claim and what it hands out.
struct Claimer<'a> {
    lane: &'a LaneId,
    capabilities: Vec<&'a str>,
    ttl_ms: u64,
    lease_id: LeaseId,
    attempt_id: AttemptId,
    policy: &'a ClaimPolicy,
}

impl Claimer<'_> {
    /// One look at the lane.
    async fn look(&self, store: &Sender, busy: &AtomicBool) -> Result<Option<Handle>, PgError> {
        let short = if busy.load(Ordering::Relaxed) { self.short_look(store).await? } else { None };
        let taken = match short {
            Some(answer) => answer,
            None => self.full_look(store).await?,
        };
        busy.store(taken.is_some(), Ordering::Relaxed);
        Ok(taken)
    }

    /// What the short statement answers, if it can say.
    async fn short_look(&self, store: &Sender) -> Result<Option<Option<Handle>>, PgError> {
        let row = store.row(|| self.statement(include_str!("claims/claim.sql"))).await?;
        let row = row.ok_or(sqlx::Error::RowNotFound)?;
        match row.try_get("verdict")? {
            "taken" => self.handle(&row).map(|handle| Some(Some(handle))),
            "none" => Ok(Some(None)),
            _ => Ok(None),
        }
    }

    async fn full_look(&self, store: &Sender) -> Result<Option<Handle>, PgError> {
        for round in 0..ATTEMPTS {
            let statement = || self.statement(include_str!("claims/claim_due.sql")).bind(WINDOW << round);
            let row = store.row(statement).await?.ok_or(sqlx::Error::RowNotFound)?;
            match row.try_get("verdict")? {
                "taken" => return self.handle(&row).map(Some),
                "none" => return Ok(None),
                // Another claim holds all that is there, perhaps to make it ready: let it finish.
                _ => tokio::time::sleep(Duration::from_millis(1 << round)).await,
            }
        }
        Ok(None)
    }

    fn statement(&self, sql: &'static str) -> Statement<'_> {
        sqlx::query(sql)
            .bind(self.lane.as_str())
            .bind(&self.capabilities)
            .bind(self.lease_id.as_uuid())
            .bind(self.attempt_id.as_uuid())
            .bind(self.policy.worker_id.as_str())
            .bind(self.policy.worker_instance_id.as_str())
            .bind(i64::try_from(self.ttl_ms).unwrap_or(i64::MAX))
    }

    fn handle(&self, row: &PgRow) -> Result<Handle, PgError> {
        let payload = HandlePayload {
            execution_id: word(row, "id")?,
            attempt_index: AttemptIndex(number(row, "attempt_index")?),
            fence: LeaseFence {
                lease_id: self.lease_id,
                lease_epoch: LeaseEpoch(number(row, "lease_epoch")?),
                attempt_id: self.attempt_id,
            },
            lease_ttl: Duration::from_millis(self.ttl_ms),
            lane_id: self.lane.clone(),
            worker_instance_id: self.policy.worker_instance_id.clone(),
        };
        let kind = if row.try_get("reclaimed")? { HandleKind::Reclaimed } else { HandleKind::Fresh };
        Ok(payload.seal(BackendTag::try_new(LABEL)?, kind))
    }
}
