//! The time-bound right to work, on the memory backend.

use async_trait::async_trait;
use ff_core::{EngineError, Handle, LeaseRenewal, Leases, RevokeLeaseArgs, RevokeLeaseResult};

use crate::{MemoryBackend, Op, op::answer};

#[async_trait]
impl Leases for MemoryBackend {
    async fn renew(&self, handle: &Handle) -> Result<LeaseRenewal, EngineError> {
        let op = Op::Renew { handle: handle.clone() };
        #[cfg(feature = "flaws")]
        if let Some(outcome) = crate::flaw::late_renewal(self, &op).await {
            return outcome.and_then(|answer| match answer {
                crate::Answer::Renew(renewal) => Ok(renewal),
                other => Err(other.misplaced()),
            });
        }
        answer!(self, Renew, op)
    }

    async fn renew_many(&self, handles: &[Handle]) -> Result<Vec<Result<LeaseRenewal, EngineError>>, EngineError> {
        answer!(self, RenewMany, Op::RenewMany(handles.to_vec()))
    }

    async fn revoke_lease(&self, args: RevokeLeaseArgs) -> Result<RevokeLeaseResult, EngineError> {
        answer!(self, RevokeLease, Op::RevokeLease(args))
    }
}
