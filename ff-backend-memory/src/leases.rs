//! The time-bound right to work, on the memory backend.

use async_trait::async_trait;
use ff_core::{EngineError, Handle, LeaseRenewal, Leases};

use crate::{MemoryBackend, Op, op::answer};

#[async_trait]
impl Leases for MemoryBackend {
    async fn renew(&self, handle: &Handle) -> Result<LeaseRenewal, EngineError> {
        answer!(self, Renew, Op::Renew { handle: handle.clone() })
    }
}
