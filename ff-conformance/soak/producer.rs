//! Makes work, never more than the workers can be behind with.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ff_core::{
    Backoff, CreateExecutionArgs, EngineBackend, ExecutionId, ExecutionPolicy, Namespace, PartitionConfig, RetryPolicy,
};
use tokio::task::JoinHandle;

use crate::{
    Tried,
    worker::{lane, passes},
};

/// How much work may wait.
const AHEAD: usize = 400;

/// How often work is made.
const EVERY: Duration = Duration::from_millis(10);

/// What it shares with its task.
#[derive(Default)]
struct Shared {
    created: AtomicUsize,
    ended: AtomicUsize,
    stopped: AtomicBool,
}

/// A task that creates executions.
pub(crate) struct Producer {
    shared: Arc<Shared>,
    task: JoinHandle<Tried<BTreeSet<String>>>,
}

impl Producer {
    pub(crate) fn start(engine: Arc<dyn EngineBackend>) -> Self {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(produce(engine, Arc::clone(&shared)));
        Self { shared, task }
    }

    /// Tells it how much has ended.
    pub(crate) fn ended(&mut self, count: usize) {
        self.shared.ended.store(count, Ordering::Relaxed);
    }

    /// How many executions the store took.
    pub(crate) fn created(&self) -> usize {
        self.shared.created.load(Ordering::Relaxed)
    }

    /// Ends it; the executions that the store took.
    pub(crate) async fn stop(self) -> Tried<BTreeSet<String>> {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

async fn produce(engine: Arc<dyn EngineBackend>, shared: Arc<Shared>) -> Tried<BTreeSet<String>> {
    let mut created = BTreeSet::new();
    let mut tick = tokio::time::interval(EVERY);
    let retry = RetryPolicy { max_retries: 100, backoff: Backoff::Fixed { delay_ms: 20 }, ..RetryPolicy::default() };
    while !shared.stopped.load(Ordering::Relaxed) {
        tick.tick().await;
        if created.len() >= shared.ended.load(Ordering::Relaxed) + AHEAD {
            continue;
        }
        let id = ExecutionId::solo(&lane()?, PartitionConfig::default());
        let args = CreateExecutionArgs::new(id, Namespace::try_new("soak")?, lane()?, "job");
        let args = args.policy(ExecutionPolicy::new().retry(retry.clone()));
        // A repeat finds what a try without an answer has left.
        while let Err(error) = engine.create_execution(args.clone()).await {
            if !passes(&error) || shared.stopped.load(Ordering::Relaxed) {
                return Err(error.into());
            }
            tick.tick().await;
        }
        created.insert(id.to_string());
        shared.created.store(created.len(), Ordering::Relaxed);
    }
    Ok(created)
}
