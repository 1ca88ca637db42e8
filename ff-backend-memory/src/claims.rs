//! How a worker gets a lease, on the memory backend.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use async_trait::async_trait;
use ff_core::{
    CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimPolicy,
    ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, EngineError, ExecutionId, Handle, LaneId,
    PageLimit, ReclaimToken, UnclaimedReason,
};

use tokio::{sync::futures::Notified, time::Sleep};

use crate::{MemoryBackend, Op, capabilities::LOOK_AGAIN, op::answer};

#[async_trait]
impl Claims for MemoryBackend {
    async fn claim(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        let patience = policy.max_wait;
        #[cfg(feature = "flaws")]
        let patience = crate::flaw::patience(self, patience);
        let mut wait = Wait::new(patience);
        let op = Op::Claim { lane: lane.clone(), capabilities: capabilities.clone(), policy };
        loop {
            let mut called = pin!(self.called().notified());
            called.as_mut().enable();
            #[cfg(feature = "flaws")]
            let found = match crate::flaw::split_claim(self, &op).await {
                Some(found) => found?,
                None => answer!(self, Claim, op)?,
            };
            #[cfg(not(feature = "flaws"))]
            let found: Option<Handle> = answer!(self, Claim, op)?;
            if found.is_some() || !wait.pause(self, lane, called).await? {
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
        let mut wait = Wait::new(policy.max_wait);
        let op = Op::ClaimMany { lane: lane.clone(), capabilities: capabilities.clone(), policy, limit };
        loop {
            let mut called = pin!(self.called().notified());
            called.as_mut().enable();
            let found: Vec<Handle> = answer!(self, ClaimMany, op)?;
            if !found.is_empty() || limit.get() == 0 || !wait.pause(self, lane, called).await? {
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

/// How long a claim goes on looking.
struct Wait(Option<Pin<Box<Sleep>>>);

impl Wait {
    fn new(wait: Option<Duration>) -> Self {
        Self(wait.map(|wait| Box::pin(tokio::time::sleep(wait))))
    }

    /// Waits for a wake-up that came after the look, or until a row of the lane falls due; false if the wait was over.
    async fn pause(
        &mut self,
        backend: &MemoryBackend,
        lane: &LaneId,
        called: Pin<&mut Notified<'_>>,
    ) -> Result<bool, EngineError> {
        let Some(over) = self.0.as_mut().filter(|over| !over.is_elapsed()) else { return Ok(false) };
        let due = backend.until_due(lane)?.unwrap_or(LOOK_AGAIN);
        tokio::select! {
            () = over => {}
            () = called => {}
            () = tokio::time::sleep(due.clamp(Duration::from_millis(1), LOOK_AGAIN)) => {}
        }
        Ok(true)
    }
}
