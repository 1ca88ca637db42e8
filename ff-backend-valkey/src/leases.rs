//! The time-bound right to work; epochs fence the stale holder.

use async_trait::async_trait;
use ff_core::{EngineError, Handle, LeaseRenewal, Leases, Limits, Operation, RevokeLeaseArgs, RevokeLeaseResult};

use crate::{backend::ValkeyBackend, error::ValkeyError, fcall::Call};

#[ff_observe::observed]
#[async_trait]
impl Leases for ValkeyBackend {
    async fn renew(&self, handle: &Handle) -> Result<LeaseRenewal, EngineError> {
        let held = self.opened(handle)?;
        let call = Call::write("ff_renew", &[self.keys.root(), self.keys.core(&held.execution_id)])
            .fenced(&held)
            .arg(u64::try_from(held.lease_ttl.as_millis()).unwrap_or(u64::MAX).min(Limits::DURATION_MS));
        let mut reply = self.items(call).await?;
        match reply.text()?.as_str() {
            "renewed" => Ok(LeaseRenewal { expires_at: reply.instant()?, lease_epoch: held.fence.lease_epoch }),
            "not_active" => Err(reply.not_active()?),
            other => Err(ValkeyError::Reply(format!("{other:?} was not expected")).into()),
        }
    }

    async fn renew_many(&self, _handles: &[Handle]) -> Result<Vec<Result<LeaseRenewal, EngineError>>, EngineError> {
        Err(EngineError::unavailable(Operation::RenewMany))
    }

    async fn revoke_lease(&self, _args: RevokeLeaseArgs) -> Result<RevokeLeaseResult, EngineError> {
        Err(EngineError::unavailable(Operation::RevokeLease))
    }
}
