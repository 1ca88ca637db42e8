//! The periodic work.

use async_trait::async_trait;
use ff_core::{EngineError, Operation, ScanArgs, ScanReport, Scanners};

use crate::MemoryBackend;

#[async_trait]
impl Scanners for MemoryBackend {
    async fn scan(&self, _args: ScanArgs) -> Result<ScanReport, EngineError> {
        Err(EngineError::unavailable(Operation::Scan))
    }
}
