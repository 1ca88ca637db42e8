//! How a worker gets a lease, on the memory backend.

use async_trait::async_trait;
use ff_core::{CapabilitySet, ClaimPolicy, Claims, EngineError, Handle, LaneId};

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
            if found.is_some() || rest.is_zero() {
                return Ok(found);
            }
            // The wait is counted in pauses, so that no clock but the store's is read.
            let pause = POLL.min(rest);
            tokio::time::sleep(pause).await;
            rest -= pause;
        }
    }
}
