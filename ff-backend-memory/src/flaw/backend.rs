//! What a client with a fault does beside the operations.

use std::time::Duration;

use ff_core::{Applied, Capabilities, EngineError, LaneId, PrepareOutcome, ScannerConfig, TransportKind};

use super::Flaw;
use crate::{MemoryBackend, State, capabilities::LABEL};

/// BA1: what a prepare answers.
pub(crate) fn prepared(state: &State) -> PrepareOutcome {
    if state.flaw == Some(Flaw::Ba1) {
        return PrepareOutcome::Applied { description: "the tables were made".to_owned() };
    }
    PrepareOutcome::NoOp
}

/// BA2: whether a client that was shut down is closed.
pub(crate) fn closed(client: &MemoryBackend, closed: bool) -> bool {
    closed && !client.has(Flaw::Ba2)
}

/// BA3: what a ping leaves.
pub(crate) fn pinged(state: &mut State) {
    if state.flaw == Some(Flaw::Ba3)
        && let Ok(lane) = LaneId::try_new("ping")
    {
        state.index.know(lane);
    }
}

/// BA4: what a shutdown answers.
pub(crate) fn shut(client: &MemoryBackend, before: bool) -> Result<(), EngineError> {
    if before && client.has(Flaw::Ba4) {
        return Err(EngineError::transport(LABEL, TransportKind::Closed, Applied::No, "the backend was shut down"));
    }
    Ok(())
}

/// BA5: how often the loops run.
pub(crate) fn intervals(client: &MemoryBackend, config: &ScannerConfig) -> ScannerConfig {
    let mut config = config.clone();
    if client.has(Flaw::Ba5) && config.lease_expiry.is_zero() {
        config.lease_expiry = Duration::from_millis(1);
    }
    config
}

/// BA6: the client that scans.
pub(crate) fn scanning(client: &MemoryBackend) -> MemoryBackend {
    if client.has(Flaw::Ba6) { client.sibling() } else { client.handle() }
}

/// BA6: whether the loops of a client survive its shutdown.
pub(crate) fn survives(client: &MemoryBackend) -> bool {
    client.has(Flaw::Ba6)
}

/// BA7, BA8, BA9: what is declared.
pub(crate) fn declared(client: &MemoryBackend, closed: bool, mut declared: Capabilities) -> Capabilities {
    if closed && client.has(Flaw::Ba7) {
        declared.limits.partitions = 0;
    }
    if client.has(Flaw::Ba8) {
        declared.limits.partitions += 1;
    }
    if client.has(Flaw::Ba9) {
        "Memory".clone_into(&mut declared.identity.label);
    }
    declared
}
