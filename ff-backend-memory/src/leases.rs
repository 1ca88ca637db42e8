//! The time-bound right to work, on the memory backend.

use async_trait::async_trait;
use ff_core::{EngineError, Handle, LeaseRenewal, Leases, RevokeLeaseArgs, RevokeLeaseResult};

use crate::{MemoryBackend, Op, op::answer};

#[async_trait]
impl Leases for MemoryBackend {
    async fn renew(&self, handle: &Handle) -> Result<LeaseRenewal, EngineError> {
        answer!(self, Renew, Op::Renew { handle: handle.clone() })
    }

    async fn renew_many(&self, handles: &[Handle]) -> Result<Vec<Result<LeaseRenewal, EngineError>>, EngineError> {
        answer!(self, RenewMany, Op::RenewMany(handles.to_vec()))
    }

    async fn revoke_lease(&self, args: RevokeLeaseArgs) -> Result<RevokeLeaseResult, EngineError> {
        answer!(self, RevokeLease, Op::RevokeLease(args))
    }
}
