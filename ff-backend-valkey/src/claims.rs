//! How a worker gets a lease.

mod grants;

use std::{pin::Pin, time::Duration};

use async_trait::async_trait;
use ff_core::{
    AttemptId, AttemptIndex, BackendTag, CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs,
    ClaimForWorkerOutcome, ClaimPolicy, ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, ContentionKind,
    EngineError, ExecutionId, Handle, HandleKind, HandlePayload, LaneId, LeaseEpoch, LeaseFence, LeaseId, PageLimit,
    ReclaimToken, UnclaimedReason, WorkerInstanceId,
};
use tokio::time::{Sleep, sleep};

use crate::{
    attempts::jitter_millionths,
    backend::{LABEL, ValkeyBackend},
    capabilities::LOOK_AGAIN,
    error::ValkeyError,
    executions::execution_id,
    fcall::Call,
    reply::Items,
};

#[ff_observe::observed]
#[async_trait]
impl Claims for ValkeyBackend {
    async fn claim(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        let claimer = Claimer::new(self, lane, capabilities, &policy)?;
        let mut wait = Wait::new(policy.max_wait);
        loop {
            let taken = claimer.look().await?;
            if taken.is_some() || !wait.pause().await {
                return Ok(taken);
            }
        }
    }

    async fn claim_many(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
        limit: PageLimit,
    ) -> Result<Vec<Handle>, EngineError> {
        let claimer = Claimer::new(self, lane, capabilities, &policy)?;
        if limit.get() == 0 {
            return Ok(Vec::new());
        }
        let mut wait = Wait::new(policy.max_wait);
        loop {
            let taken = claimer.look_for_many(limit).await?;
            if !taken.is_empty() || !wait.pause().await {
                return Ok(taken);
            }
        }
    }

    async fn claim_for_worker(&self, args: ClaimForWorkerArgs) -> Result<ClaimForWorkerOutcome, EngineError> {
        Ok(grants::claim_for_worker(self, &args).await?)
    }

    async fn claim_execution(&self, args: ClaimExecutionArgs) -> Result<ClaimExecutionResult, EngineError> {
        grants::redeem(self, &args, false).await.map(ClaimExecutionResult::Claimed)
    }

    async fn claim_from_reclaim(&self, token: ReclaimToken) -> Result<Option<Handle>, EngineError> {
        match grants::redeem(self, &token, false).await {
            Err(EngineError::Contention(ContentionKind::ExecutionNotLeaseable | ContentionKind::LeaseConflict)) => {
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    async fn claim_resumed_execution(
        &self,
        args: ClaimResumedExecutionArgs,
    ) -> Result<ClaimResumedExecutionResult, EngineError> {
        grants::redeem(self, &args, true).await.map(ClaimResumedExecutionResult::Claimed)
    }

    async fn explain_unclaimed(
        &self,
        id: &ExecutionId,
        capabilities: &CapabilitySet,
    ) -> Result<Option<UnclaimedReason>, EngineError> {
        Ok(grants::explain_unclaimed(self, id, capabilities).await?)
    }
}

/// How long a claim goes on looking.
pub(crate) struct Wait(Option<Pin<Box<Sleep>>>);

impl Wait {
    pub(crate) fn new(wait: Option<Duration>) -> Self {
        Self(wait.map(|wait| Box::pin(sleep(wait))))
    }

    /// Waits until the next look; false if the wait was over.
    pub(crate) async fn pause(&mut self) -> bool {
        let Some(over) = self.0.as_mut().filter(|over| !over.is_elapsed()) else { return false };
        tokio::select! {
            () = over => {}
            () = sleep(LOOK_AGAIN) => {}
        }
        true
    }
}

/// One claim: who takes work, and what kind.
pub(crate) struct Claimer<'a> {
    backend: &'a ValkeyBackend,
    lane: &'a LaneId,
    capabilities: String,
    policy: &'a ClaimPolicy,
    ttl_ms: u64,
}

impl<'a> Claimer<'a> {
    pub(crate) fn new(
        backend: &'a ValkeyBackend,
        lane: &'a LaneId,
        capabilities: &CapabilitySet,
        policy: &'a ClaimPolicy,
    ) -> Result<Self, EngineError> {
        let ttl_ms = policy.checked_ttl_ms()?;
        Ok(Self { backend, lane, capabilities: capabilities.joined(), policy, ttl_ms })
    }

    /// One look for one row.
    pub(crate) async fn look(&self) -> Result<Option<Handle>, ValkeyError> {
        self.taken(&mut self.backend.items(minting(self.call("ff_claim"))).await?)
    }

    /// One look for as many rows as the limit says.
    async fn look_for_many(&self, limit: PageLimit) -> Result<Vec<Handle>, ValkeyError> {
        let call = (0..limit.get()).fold(self.call("ff_claim_many"), |call, _| minting(call));
        let mut reply = self.backend.items(call).await?;
        let mut taken = Vec::new();
        while let Some(mut item) = reply.next_items()? {
            taken.extend(self.taken(&mut item)?);
        }
        Ok(taken)
    }

    fn call(&self, function: &str) -> Call {
        let keys = &self.backend.keys;
        let [due, sets] = self.lane_keys();
        self.claiming(Call::write(function, &[keys.root(), keys.lease_history(), keys.completions(), due, sets]))
    }

    /// The keys of the lane that a claim looks at.
    pub(crate) fn lane_keys(&self) -> [String; 2] {
        [self.backend.keys.due(self.lane), self.backend.keys.sets(self.lane)]
    }

    /// The same call with who claims, and what.
    pub(crate) fn claiming(&self, call: Call) -> Call {
        call.arg(self.lane.as_str())
            .arg(&self.capabilities)
            .arg(self.policy.worker_id.as_str())
            .arg(self.policy.worker_instance_id.as_str())
            .arg(self.ttl_ms)
            .arg(self.backend.limits.promote_per_claim)
            .arg(jitter_millionths())
    }

    /// What `ff.take` answers, as a handle.
    pub(crate) fn taken(&self, reply: &mut Items) -> Result<Option<Handle>, ValkeyError> {
        handle(reply, self.lane.clone(), self.ttl_ms, &self.policy.worker_instance_id)
    }
}

/// What `ff.take` answers of a row of `lane_id`, as a handle.
fn handle(
    reply: &mut Items,
    lane_id: LaneId,
    ttl_ms: u64,
    worker_instance_id: &WorkerInstanceId,
) -> Result<Option<Handle>, ValkeyError> {
    match reply.text()?.as_str() {
        "none" => return Ok(None),
        "claimed" => {}
        other => return Err(reply.refusal(other)?),
    }
    let execution_id = execution_id(&reply.text()?)?;
    let lease_epoch = LeaseEpoch(reply.number()?);
    let attempt_index = AttemptIndex(reply.number()?);
    let kind = match reply.text()?.as_str() {
        "fresh" => HandleKind::Fresh,
        "resumed" => HandleKind::Resumed,
        "reclaimed" => HandleKind::Reclaimed,
        other => return Err(ValkeyError::Reply(format!("{other:?} was not expected"))),
    };
    let (attempt_id, lease_id) = (reply.parsed()?, reply.parsed()?);
    let payload = HandlePayload {
        execution_id,
        attempt_index,
        fence: LeaseFence { lease_id, lease_epoch, attempt_id },
        lease_ttl: Duration::from_millis(ttl_ms),
        lane_id,
        worker_instance_id: worker_instance_id.clone(),
    };
    Ok(Some(payload.seal(BackendTag::try_new(LABEL)?, kind)))
}

/// The same with the ids of one more lease and attempt.
pub(crate) fn minting(call: Call) -> Call {
    call.arg(LeaseId::new().to_string()).arg(AttemptId::new().to_string())
}
