//! Our side: the engine through its contract.

use std::{sync::Arc, time::Duration};

use ff_backend_memory::MemoryBackend;
use ff_backend_postgres::PostgresBackend;
use ff_backend_valkey::ValkeyBackend;
use ff_core::{
    BackendConfig, BackendConnection, CapabilitySet, ClaimPolicy, CreateExecutionArgs, EngineBackend, ExecutionId,
    Handle, LaneId, Namespace, PartitionConfig, PostgresConnection, WorkerId, WorkerInstanceId,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    Failure,
    drive::Run,
    stage::{PostgresStage, ValkeyStage},
};

/// Creates at once while a store is filled.
const CREATES: usize = 32;

/// Longer than any run: no lease lapses and nothing becomes due.
const TTL: Duration = Duration::from_secs(3_600);

/// The engine on one store.
pub(crate) enum Engine {
    Memory,
    Postgres(Arc<dyn EngineBackend>, Arc<PostgresStage>),
    Valkey(Arc<dyn EngineBackend>, Arc<ValkeyStage>),
}

impl Engine {
    /// In this process.
    pub(crate) fn memory() -> Self {
        Self::Memory
    }

    /// On the database of the stage, with a connection for each worker.
    pub(crate) async fn postgres(stage: Arc<PostgresStage>, workers: usize) -> Result<Self, Failure> {
        let mut connection = PostgresConnection::new(&stage.url);
        connection.max_connections = u32::try_from(workers)?;
        let config = BackendConfig::new(BackendConnection::Postgres(connection));
        Ok(Self::Postgres(PostgresBackend::connect(config).await?, stage))
    }

    /// On the server of the stage, over the one connection that the backend has.
    pub(crate) async fn valkey(stage: Arc<ValkeyStage>) -> Result<Self, Failure> {
        Ok(Self::Valkey(ValkeyBackend::connect(BackendConfig::valkey(stage.url())).await?, stage))
    }

    /// An empty store with `rows` ready executions.
    pub(crate) async fn fill(&self, rows: u64) -> Result<Claimer, Failure> {
        let backend: Arc<dyn EngineBackend> = match self {
            Self::Memory => Arc::new(MemoryBackend::new()),
            Self::Postgres(backend, stage) => {
                stage.empty().await?;
                Arc::clone(backend)
            }
            Self::Valkey(backend, stage) => {
                stage.empty().await?;
                backend.prepare().await?;
                Arc::clone(backend)
            }
        };
        let lane = LaneId::try_new("mail")?;
        let namespace = Namespace::try_new("shop")?;
        let creates = stream::iter(0..rows).map(|_| {
            let id = ExecutionId::solo(&lane, PartitionConfig::default());
            backend.create_execution(CreateExecutionArgs::new(id, namespace.clone(), lane.clone(), "send_receipt"))
        });
        creates.buffer_unordered(CREATES).try_for_each(async |_| Ok(())).await?;
        if let Self::Postgres(_, stage) = self {
            stage.analyze().await?;
        }
        let policy = ClaimPolicy::new(WorkerId::try_new("mailer")?, WorkerInstanceId::try_new("mailer-1")?, TTL);
        Ok(Claimer { backend, lane, capabilities: CapabilitySet::default(), policy })
    }
}

/// A worker of the engine.
#[derive(Clone)]
pub(crate) struct Claimer {
    backend: Arc<dyn EngineBackend>,
    lane: LaneId,
    capabilities: CapabilitySet,
    policy: ClaimPolicy,
}

impl Run for Claimer {
    type Work = Handle;

    async fn claim(&self) -> Result<Option<Handle>, Failure> {
        Ok(self.backend.claim(&self.lane, &self.capabilities, self.policy.clone()).await?)
    }

    async fn complete(&self, handle: Handle) -> Result<(), Failure> {
        Ok(self.backend.complete(&handle, None).await?)
    }
}
