//! The periodic work, on the memory backend.

use async_trait::async_trait;
use ff_core::{EngineError, ScanArgs, ScanReport, Scanners};

use crate::{MemoryBackend, Op, op::answer};

#[async_trait]
impl Scanners for MemoryBackend {
    async fn scan(&self, args: ScanArgs) -> Result<ScanReport, EngineError> {
        let client = self;
        #[cfg(feature = "flaws")]
        let client = &crate::flaw::scanning(client);
        answer!(client, Scan, Op::Scan { args, retention: self.retention() })
    }
}
