//! How a worker gets a lease.

use std::time::Duration;

use async_trait::async_trait;
use ff_core::{
    AttemptId, AttemptIndex, BackendTag, CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs,
    ClaimForWorkerOutcome, ClaimPolicy, ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, EngineError,
    ExecutionId, Handle, HandleKind, HandlePayload, LaneId, LeaseEpoch, LeaseFence, LeaseId, Operation, PageLimit,
    ReclaimToken, UnclaimedReason,
};
use tokio::time::sleep;

use crate::{
    backend::{LABEL, ValkeyBackend},
    capabilities::LOOK_AGAIN,
    error::ValkeyError,
    executions::execution_id,
    fcall::Call,
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
        let ttl_ms = policy.checked_ttl_ms()?;
        let capabilities = capabilities.joined();
        let over = sleep(policy.max_wait.unwrap_or_default());
        tokio::pin!(over);
        let mut rest = policy.max_wait.unwrap_or_default();
        loop {
            if let Some(handle) = look(self, lane, &capabilities, &policy, ttl_ms).await? {
                return Ok(Some(handle));
            }
            if rest.is_zero() {
                return Ok(None);
            }
            let pause = rest.min(LOOK_AGAIN);
            tokio::select! {
                // The wait is over by the clock although the looks took their time: one last look.
                () = &mut over => rest = Duration::ZERO,
                () = sleep(pause) => rest -= pause,
            }
        }
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

async fn look(
    backend: &ValkeyBackend,
    lane: &LaneId,
    capabilities: &str,
    policy: &ClaimPolicy,
    ttl_ms: u64,
) -> Result<Option<Handle>, ValkeyError> {
    let (lease_id, attempt_id) = (LeaseId::new(), AttemptId::new());
    let keys = &backend.keys;
    let names = [keys.root(), keys.lease_history(), keys.completions(), keys.due(lane), keys.sets(lane)];
    let call = Call::write("ff_claim", &names)
        .arg(lane.as_str())
        .arg(capabilities)
        .arg(policy.worker_id.as_str())
        .arg(policy.worker_instance_id.as_str())
        .arg(ttl_ms)
        .arg(lease_id.to_string())
        .arg(attempt_id.to_string())
        .arg(backend.limits.promote_per_claim);
    let mut reply = backend.items(call).await?;
    match reply.text()?.as_str() {
        "none" => return Ok(None),
        "claimed" => {}
        other => return Err(ValkeyError::Reply(format!("{other:?} was not expected"))),
    }
    let execution_id = execution_id(&reply.text()?)?;
    let lease_epoch = LeaseEpoch(reply.number()?);
    let attempt_index = AttemptIndex(reply.number()?);
    let kind = match reply.text()?.as_str() {
        "fresh" => HandleKind::Fresh,
        "reclaimed" => HandleKind::Reclaimed,
        other => return Err(ValkeyError::Reply(format!("{other:?} was not expected"))),
    };
    let payload = HandlePayload {
        execution_id,
        attempt_index,
        fence: LeaseFence { lease_id, lease_epoch, attempt_id },
        lease_ttl: Duration::from_millis(ttl_ms),
        lane_id: lane.clone(),
        worker_instance_id: policy.worker_instance_id.clone(),
    };
    Ok(Some(payload.seal(BackendTag::try_new(LABEL)?, kind)))
}
