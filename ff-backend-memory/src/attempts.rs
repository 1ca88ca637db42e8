//! What the holder of a lease does, on the memory backend.

use async_trait::async_trait;
use ff_core::{
    Attempts, CapabilitySet, ClaimPolicy, Claims, CompleteArgs, EngineError, FailOutcome, FailureClass, FailureReason,
    Handle, TimestampMs,
};

use crate::{MemoryBackend, Op, capabilities::LABEL, claims::paused, op::answer};

#[async_trait]
impl Attempts for MemoryBackend {
    async fn progress(&self, handle: &Handle, percent: Option<u8>, message: Option<String>) -> Result<(), EngineError> {
        self.step(&Op::Progress { handle: handle.clone(), percent, message }).map(drop)
    }

    async fn complete(&self, handle: &Handle, payload: Option<Vec<u8>>) -> Result<(), EngineError> {
        self.step(&Op::Complete { handle: handle.clone(), payload }).map(drop)
    }

    async fn fail(
        &self,
        handle: &Handle,
        reason: FailureReason,
        classification: FailureClass,
    ) -> Result<FailOutcome, EngineError> {
        answer!(self, Fail, Op::Fail { handle: handle.clone(), reason, classification })
    }

    async fn cancel(&self, handle: &Handle, reason: &str) -> Result<(), EngineError> {
        self.step(&Op::Cancel { handle: handle.clone(), reason: reason.to_owned() }).map(drop)
    }

    async fn delay(&self, handle: &Handle, delay_until: TimestampMs) -> Result<(), EngineError> {
        self.step(&Op::Delay { handle: handle.clone(), delay_until }).map(drop)
    }

    async fn wait_children(&self, handle: &Handle) -> Result<(), EngineError> {
        self.step(&Op::WaitChildren { handle: handle.clone() }).map(drop)
    }

    async fn complete_many(&self, batch: Vec<CompleteArgs>) -> Result<Vec<Result<(), EngineError>>, EngineError> {
        answer!(self, CompleteMany, Op::CompleteMany(batch))
    }

    async fn complete_and_claim(
        &self,
        handle: &Handle,
        payload: Option<Vec<u8>>,
        capabilities: &CapabilitySet,
        mut policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        let op = Op::CompleteAndClaim {
            handle: handle.clone(),
            payload,
            capabilities: capabilities.clone(),
            policy: policy.clone(),
        };
        let taken: Option<Handle> = answer!(self, Claim, op)?;
        let mut rest = policy.max_wait.unwrap_or_default();
        if taken.is_some() || !paused(&mut rest).await {
            return Ok(taken);
        }
        policy.max_wait = Some(rest);
        self.claim(&handle.decode(LABEL)?.lane_id, capabilities, policy).await
    }
}
