//! The harness of the memory backend: every store is a value in the suite's process.

use std::sync::Arc;

use async_trait::async_trait;
use ff_backend_memory::{Clock, MemoryConfig, State, StoredExecution};
use ff_core::{EngineBackend, TimestampMs};

use crate::{AttemptFacts, Controls, Dump, Environment, Harness, HarnessError, Identity, Store, opened::shared_store};

/// Where the clock of every store stands at first: an instant that no process clock shows.
const BEGIN: TimestampMs = TimestampMs::from_ms(1_000_000_000_000);

/// The memory backend of this project.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

#[async_trait]
impl Harness for Memory {
    fn identity(&self) -> Identity {
        let place = "https://github.com/ff-conformance/ff-conformance";
        Identity::new("memory", env!("CARGO_PKG_VERSION"), place)
    }

    async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
        Ok(store(MemoryConfig::new()))
    }

    fn environment(&self) -> Environment {
        Environment::in_process("memory")
    }
}

/// An empty store of that configuration, with all controls; its clock is the suite's.
#[must_use]
pub fn store(config: MemoryConfig) -> Box<dyn Store> {
    let hand = Clock::manual(BEGIN);
    let root = Arc::new(config.clock(hand.clock()).open());
    let seen = Arc::clone(&root);
    let controls = Controls::none().clock(hand).dump(move || Ok(seen.inspect(dump)));
    shared_store(root, controls, |root, client| {
        let mut backend = Arc::new(root.sibling());
        Box::pin(async move {
            if let Some(scanners) = client.scanners {
                backend.with_scanners(scanners);
            }
            let backend: Arc<dyn EngineBackend> = backend;
            Ok(backend)
        })
    })
}

/// What a memory state holds, for the suite.
#[must_use]
pub fn dump(state: &State) -> Dump {
    let mut lines: Vec<_> = state.dump().lines().map(str::to_owned).collect();
    lines.sort();
    Dump {
        lease_history: state.lease_events().collect(),
        completions: state.completion_events().collect(),
        operator_events: state.operator_events().collect(),
        signal_deliveries: state.signal_events().collect(),
        attempts: state.executions().flat_map(attempts).collect(),
        lines,
    }
}

fn attempts(row: &StoredExecution) -> impl Iterator<Item = AttemptFacts> {
    row.attempts.iter().map(|attempt| AttemptFacts {
        execution_id: row.record.execution_id,
        attempt_index: attempt.attempt_index,
        attempt_id: attempt.attempt_id,
        attempt_type: attempt.attempt_type,
        phase: attempt.phase,
        lease_epoch: attempt.lease_epoch,
        started_at: attempt.started_at,
        resumed_at: attempt.resumed_at,
        ended_at: attempt.ended_at,
        failure_reason: attempt.failure_reason.clone(),
        failure_category: attempt.failure_category.clone(),
    })
}
