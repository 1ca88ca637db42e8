//! The harness of the memory backend: every store is a value in the suite's process.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use ff_backend_memory::{Clock, ManualClock, MemoryBackend, MemoryConfig, State, StoredExecution};
use ff_core::{EngineBackend, TimestampMs};

use crate::{
    AttemptFacts, Client, ClockControl, Controls, Dump, DumpControl, Environment, Harness, HarnessError, Identity,
    Store, Topology,
};

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
        Environment {
            profile: "memory".to_owned(),
            server: "none".to_owned(),
            source: "in process".to_owned(),
            image: None,
            topology: Topology::InProcess,
            settings: BTreeMap::new(),
        }
    }
}

/// An empty store of that configuration, with all controls; its clock is the suite's.
#[must_use]
pub fn store(config: MemoryConfig) -> Box<dyn Store> {
    let clock = Clock::manual(BEGIN);
    let root = Arc::new(config.clock(clock.clock()).open());
    Box::new(MemoryStore { root, clock })
}

struct MemoryStore {
    root: Arc<MemoryBackend>,
    clock: ManualClock,
}

#[async_trait]
impl Store for MemoryStore {
    async fn connect(&self, _client: Client) -> Result<Arc<dyn EngineBackend>, HarnessError> {
        Ok(Arc::new(self.root.sibling()))
    }

    fn controls(&self) -> Controls {
        Controls {
            clock: Some(Arc::new(MemoryClock(self.clock.clone()))),
            dump: Some(Arc::new(MemoryDump(Arc::clone(&self.root)))),
            ..Controls::none()
        }
    }
}

struct MemoryClock(ManualClock);

#[async_trait]
impl ClockControl for MemoryClock {
    async fn now(&self) -> Result<TimestampMs, HarnessError> {
        Ok(self.0.now())
    }

    async fn set(&self, now: TimestampMs) -> Result<(), HarnessError> {
        self.0.set(now);
        Ok(())
    }
}

struct MemoryDump(Arc<MemoryBackend>);

#[async_trait]
impl DumpControl for MemoryDump {
    async fn dump(&self) -> Result<Dump, HarnessError> {
        Ok(self.0.inspect(dump))
    }
}

fn dump(state: &State) -> Dump {
    let mut lines: Vec<_> = state.dump().lines().map(str::to_owned).collect();
    lines.sort();
    Dump {
        lease_history: state.lease_events().collect(),
        completions: state.completion_events().collect(),
        operator_events: state.operator_events().collect(),
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
