//! How a worker gets a lease, on the memory backend.

use std::time::Duration;

use async_trait::async_trait;
use ff_core::{
    CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimPolicy,
    ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, EngineError, ExecutionId, Handle, LaneId,
    PageLimit, ReclaimToken, UnclaimedReason,
};

use crate::{MemoryBackend, Op, capabilities::POLL, op::answer};

#[async_trait]
impl Claims for MemoryBackend {
    async fn claim(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        let mut rest = policy.max_wait.unwrap_or_default();
        let op = Op::Claim { lane: lane.clone(), capabilities: capabilities.clone(), policy };
        loop {
            #[cfg(feature = "flaws")]
            let found = match crate::flaw::split_claim(self, &op).await {
                Some(found) => found?,
                None => answer!(self, Claim, op)?,
            };
            #[cfg(not(feature = "flaws"))]
            let found: Option<Handle> = answer!(self, Claim, op)?;
            if found.is_some() || !paused(&mut rest).await {
                return Ok(found);
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
        let mut rest = policy.max_wait.unwrap_or_default();
        let op = Op::ClaimMany { lane: lane.clone(), capabilities: capabilities.clone(), policy, limit };
        loop {
            let found: Vec<Handle> = answer!(self, ClaimMany, op)?;
            if !found.is_empty() || limit.get() == 0 || !paused(&mut rest).await {
                return Ok(found);
            }
        }
    }

    async fn claim_for_worker(&self, args: ClaimForWorkerArgs) -> Result<ClaimForWorkerOutcome, EngineError> {
        answer!(self, ClaimForWorker, Op::ClaimForWorker(Box::new(args)))
    }

    async fn claim_execution(&self, args: ClaimExecutionArgs) -> Result<ClaimExecutionResult, EngineError> {
        answer!(self, ClaimExecution, Op::ClaimExecution(Box::new(args)))
    }

    async fn claim_from_reclaim(&self, token: ReclaimToken) -> Result<Option<Handle>, EngineError> {
        answer!(self, Claim, Op::ClaimFromReclaim(Box::new(token)))
    }

    async fn claim_resumed_execution(
        &self,
        args: ClaimResumedExecutionArgs,
    ) -> Result<ClaimResumedExecutionResult, EngineError> {
        answer!(self, ClaimExecution, Op::ClaimResumedExecution(Box::new(args)))
    }

    async fn explain_unclaimed(
        &self,
        id: &ExecutionId,
        capabilities: &CapabilitySet,
    ) -> Result<Option<UnclaimedReason>, EngineError> {
        answer!(self, ExplainUnclaimed, Op::ExplainUnclaimed { id: *id, capabilities: capabilities.clone() })
    }
}

/// Pauses until the next look; false if the wait was over.
///
/// The wait is counted in pauses, so that no clock but the store's is read.
pub(crate) async fn paused(rest: &mut Duration) -> bool {
    if rest.is_zero() {
        return false;
    }
    let pause = POLL.min(*rest);
    tokio::time::sleep(pause).await;
    *rest -= pause;
    true
}
