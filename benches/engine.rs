//! Our side: the engine through its contract.

use std::{sync::Arc, time::Duration};

use ff_backend_memory::MemoryBackend;
use ff_backend_postgres::PostgresBackend;
use ff_backend_valkey::ValkeyBackend;
use ff_core::{
    BackendConfig, BackendConnection, CapabilitySet, ClaimPolicy, CompleteArgs, CreateExecutionArgs, DeliverSignalArgs,
    EngineBackend, ExecutionId, ExecutionPolicy, Handle, Kid, LaneId, Namespace, PageLimit, PartitionConfig,
    PostgresConnection, ResumeCondition, SeedWaitpointHmacSecretArgs, SignalId, SignalMatcher, SigningSecret,
    SuspendArgs, SuspendOutcome, SuspensionId, SuspensionReasonCode, TimestampMs, WaitpointBinding, WorkerId,
    WorkerInstanceId,
};

use crate::{
    Failure,
    drive::{Create, Run},
    stage::{PostgresStage, ValkeyStage},
};

/// Creates in one call while a store is filled.
const CREATES: u64 = 500;

/// Connections of a pool at most; further workers share them.
pub(crate) const CONNECTIONS: usize = 64;

/// Longer than any run: no lease lapses and nothing becomes due.
const TTL: Duration = Duration::from_secs(3_600);

/// What a suspension waits for, and the key that signs its tokens.
const KEY: &str = "approval";

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

    /// On the database of the stage, with a connection for each worker as far as there are some.
    pub(crate) async fn postgres(stage: Arc<PostgresStage>, workers: usize) -> Result<Self, Failure> {
        let url = stage.url.clone();
        Self::postgres_at(&url, stage, workers).await
    }

    /// The same, reached at `url`.
    pub(crate) async fn postgres_at(url: &str, stage: Arc<PostgresStage>, workers: usize) -> Result<Self, Failure> {
        let mut connection = PostgresConnection::new(url);
        connection.max_connections = u32::try_from(workers.min(CONNECTIONS))?;
        let config = BackendConfig::new(BackendConnection::Postgres(connection));
        Ok(Self::Postgres(PostgresBackend::connect(config).await?, stage))
    }

    /// On the server of the stage, over the one connection that the backend has.
    pub(crate) async fn valkey(stage: Arc<ValkeyStage>) -> Result<Self, Failure> {
        let url = stage.url().to_owned();
        Self::valkey_at(&url, stage).await
    }

    /// The same, reached at `url`.
    pub(crate) async fn valkey_at(url: &str, stage: Arc<ValkeyStage>) -> Result<Self, Failure> {
        Ok(Self::Valkey(ValkeyBackend::connect(BackendConfig::valkey(url)).await?, stage))
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
        let signs = SeedWaitpointHmacSecretArgs::new(Kid::try_new(KEY)?, SigningSecret::from_bytes([7; 32])?);
        backend.seed_waitpoint_hmac_secret(signs).await?;
        let claimer = Claimer::of(Arc::clone(&backend))?;
        claimer.create_many(rows, &[]).await?;
        self.analyze().await?;
        Ok(claimer)
    }

    /// Statistics of what the store was filled with, where it keeps some.
    pub(crate) async fn analyze(&self) -> Result<(), Failure> {
        match self {
            Self::Postgres(_, stage) => stage.analyze().await,
            Self::Memory | Self::Valkey(..) => Ok(()),
        }
    }
}

/// A worker of the engine.
#[derive(Clone)]
pub(crate) struct Claimer {
    pub(crate) backend: Arc<dyn EngineBackend>,
    pub(crate) lane: LaneId,
    pub(crate) capabilities: CapabilitySet,
    pub(crate) policy: ClaimPolicy,
}

impl Claimer {
    /// A worker of `backend`.
    pub(crate) fn of(backend: Arc<dyn EngineBackend>) -> Result<Self, Failure> {
        let policy = ClaimPolicy::new(WorkerId::try_new("mailer")?, WorkerInstanceId::try_new("mailer-1")?, TTL);
        Ok(Self { backend, lane: LaneId::try_new("mail")?, capabilities: CapabilitySet::default(), policy })
    }

    /// New executions with this payload.
    pub(crate) async fn create_many(&self, rows: u64, payload: &[u8]) -> Result<(), Failure> {
        self.create_each(rows, |planned| planned.input_payload(payload.to_vec())).await
    }

    /// New executions that fall due at `due`.
    pub(crate) async fn create_delayed(&self, rows: u64, due: TimestampMs) -> Result<(), Failure> {
        self.create_each(rows, |planned| planned.delay_until(due)).await
    }

    /// New executions that require what no worker has.
    pub(crate) async fn create_for_others(&self, rows: u64) -> Result<(), Failure> {
        let policy = ExecutionPolicy::default().required_capabilities(CapabilitySet::try_new(["gpu"])?);
        self.create_each(rows, |planned| planned.policy(policy.clone())).await
    }

    async fn create_each(
        &self,
        rows: u64,
        shape: impl Fn(CreateExecutionArgs) -> CreateExecutionArgs,
    ) -> Result<(), Failure> {
        let namespace = Namespace::try_new("shop")?;
        let mut left = rows;
        while left > 0 {
            let some = left.min(CREATES);
            let batch = (0..some).map(|_| shape(self.planned(&namespace))).collect();
            for created in self.backend.create_executions(batch).await? {
                created?;
            }
            left -= some;
        }
        Ok(())
    }

    /// A new execution with this payload, in a call of its own.
    pub(crate) async fn create_one(&self, payload: &[u8]) -> Result<ExecutionId, Failure> {
        let planned = self.planned(&Namespace::try_new("shop")?).input_payload(payload.to_vec());
        let id = planned.execution_id;
        self.backend.create_execution(planned).await?;
        Ok(id)
    }

    fn planned(&self, namespace: &Namespace) -> CreateExecutionArgs {
        let id = ExecutionId::solo(&self.lane, PartitionConfig::default());
        CreateExecutionArgs::new(id, namespace.clone(), self.lane.clone(), "send_receipt")
    }
}

impl Create for Claimer {
    async fn create(&self) -> Result<(), Failure> {
        self.create_one(&[]).await.map(drop)
    }
}

impl Run for Claimer {
    type Work = Handle;

    async fn claim(&self) -> Result<Option<Handle>, Failure> {
        Ok(self.backend.claim(&self.lane, &self.capabilities, self.policy.clone()).await?)
    }

    async fn complete(&self, handle: Handle) -> Result<(), Failure> {
        Ok(self.backend.complete(&handle, None).await?)
    }

    async fn complete_and_claim(&self, handle: Handle) -> Result<Option<Handle>, Failure> {
        Ok(self.backend.complete_and_claim(&handle, None, &self.capabilities, self.policy.clone()).await?)
    }

    async fn suspend_and_signal(&self, handle: Handle) -> Result<(), Failure> {
        let any = ResumeCondition::Single { waitpoint_key: KEY.to_owned(), matcher: SignalMatcher::Wildcard };
        let waitpoints = vec![WaitpointBinding::fresh_with_key(KEY)];
        let waits = SuspendArgs::new(SuspensionId::new(), waitpoints, any, SuspensionReasonCode::WaitingForSignal);
        let SuspendOutcome::Suspended { details, .. } = self.backend.suspend(&handle, waits).await? else {
            return Err("a condition held without a signal".into());
        };
        let id = handle.decode(handle.backend().as_str())?.execution_id;
        let (door, token) = (details.waitpoint_id, details.waitpoint_token);
        let signal = DeliverSignalArgs::new(id, door, token, SignalId::new(), KEY);
        self.backend.deliver_signal(signal).await?;
        Ok(())
    }

    async fn claim_many(&self, most: u16) -> Result<Vec<Handle>, Failure> {
        let limit = PageLimit::new(u32::from(most))?;
        Ok(self.backend.claim_many(&self.lane, &self.capabilities, self.policy.clone(), limit).await?)
    }

    async fn complete_many(&self, handles: Vec<Handle>) -> Result<(), Failure> {
        let batch = handles.into_iter().map(|handle| CompleteArgs::new(handle, None)).collect();
        for completed in self.backend.complete_many(batch).await? {
            completed?;
        }
        Ok(())
    }
}
