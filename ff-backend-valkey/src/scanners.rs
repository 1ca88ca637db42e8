//! The periodic work.

use async_trait::async_trait;
use ff_core::{EngineError, Operation, ScanArgs, ScanReport, Scanners};

use crate::ValkeyBackend;

#[ff_observe::observed]
#[async_trait]
impl Scanners for ValkeyBackend {
    async fn scan(&self, _args: ScanArgs) -> Result<ScanReport, EngineError> {
        Err(EngineError::unavailable(Operation::Scan))
    }
}
