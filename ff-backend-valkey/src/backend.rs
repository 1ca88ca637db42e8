//! The backend itself: how it is made, prepared and closed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ff_core::{
    BackendConfig, BackendTimeouts, Capabilities, Durability, EngineBackend, EngineError, ExecutionId, Handle,
    HandlePayload, Limits, PartitionConfig, PrepareOutcome,
};
use redis::Client;

use crate::{
    capabilities::capabilities,
    claims::Wakes,
    config,
    error::ValkeyError,
    fcall::{Call, Server},
    keys::Keys,
    library,
    reply::Items,
    subscriptions::Hub,
};

/// The label in handles, logs and reports.
pub(crate) const LABEL: &str = "valkey";

/// The execution engine on one Valkey or Redis primary.
///
/// All calls share one connection. After a break the next call makes another; no request is ever sent twice.
/// An operation against a server without the function library answers `Transport` of kind `NotPrepared`.
pub struct ValkeyBackend {
    pub(crate) server: Arc<Server>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) wakes: Wakes,
    pub(crate) keys: Keys,
    pub(crate) limits: Limits,
    durability: Durability,
    partitions: PartitionConfig,
}

impl ValkeyBackend {
    /// Connects to the server that `config` names.
    ///
    /// A server that was never prepared is accepted; everything but `prepare` then answers `NotPrepared`.
    ///
    /// # Errors
    /// `Unavailable` for another store's configuration. `Validation(InvalidInput)` for a URL that is none, a server
    /// that is too old or may evict keys, a library that is too new, and a partition count that is not the store's.
    /// `Transport` if the server cannot be reached, refuses the credentials, or is a replica (`ReadOnly`).
    pub async fn connect(config: BackendConfig) -> Result<Arc<Self>, EngineError> {
        let client = config::client(&config)?;
        library::check_count(config.partitions.count().get())?;
        let mut backend = Self::new(client, config.timeouts, config.partitions);
        backend.durability = config::inspect(&backend.server).await?;
        match backend.server.check().await {
            Ok(()) | Err(ValkeyError::NotPrepared(_)) => Ok(Arc::new(backend)),
            Err(error) => Err(error.into()),
        }
    }

    /// A backend on a client that the caller made, with default time-outs; nothing is sent.
    ///
    /// What `connect` checks at once, the first operation checks here; the server's settings are not looked at, so
    /// the durability is declared as none.
    #[must_use]
    pub fn from_client(client: Client, partitions: PartitionConfig) -> Arc<Self> {
        Arc::new(Self::new(client, BackendTimeouts::default(), partitions))
    }

    fn new(client: Client, timeouts: BackendTimeouts, partitions: PartitionConfig) -> Self {
        let count = partitions.count().get();
        Self {
            server: Arc::new(Server::new(client, timeouts, count)),
            hub: Hub::new(Keys::of(0)),
            wakes: Wakes::new(&Keys::of(0)),
            keys: Keys::of(0),
            limits: Limits::of_partitions(count),
            durability: Durability::None,
            partitions,
        }
    }

    /// The content of a handle that this backend minted, for an execution that the store may hold.
    pub(crate) fn opened(&self, handle: &Handle) -> Result<HandlePayload, EngineError> {
        let payload = handle.decode(LABEL)?;
        self.checked(&payload.execution_id)?;
        Ok(payload)
    }

    /// Refuses an id of a partition that the store lacks.
    pub(crate) fn checked(&self, id: &ExecutionId) -> Result<(), EngineError> {
        id.check_partition(self.limits.partitions)
    }

    /// Calls a function whose reply is an array.
    pub(crate) async fn items(&self, call: Call) -> Result<Items, ValkeyError> {
        Items::of(self.server.call(call).await?)
    }
}

#[async_trait]
impl EngineBackend for ValkeyBackend {
    fn backend_label(&self) -> &'static str {
        LABEL
    }

    fn capabilities(&self) -> Capabilities {
        capabilities(self.durability, self.limits.partitions)
    }

    async fn ping(&self) -> Result<(), EngineError> {
        Ok(self.server.look::<()>(&redis::cmd("PING")).await?)
    }

    async fn prepare(&self) -> Result<PrepareOutcome, EngineError> {
        let (mut connection, _permit) = self.server.own_connection().await?;
        Ok(library::prepare(&mut connection, self.partitions).await?)
    }

    async fn shutdown_prepare(&self, grace: Duration) -> Result<(), EngineError> {
        self.server.close(grace).await;
        Ok(())
    }
}
