//! The backend itself: how it is made, prepared and closed.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use ff_core::{
    BackendConfig, BackendTimeouts, Background, Capabilities, CredentialSource, Durability, EngineBackend, EngineError,
    ExecutionId, Handle, HandlePayload, Limits, Operation, PartitionConfig, PrepareOutcome, RetentionConfig,
    ScannerConfig,
};
use ff_observe::{Metrics, Observer, watch};
use redis::Client;

use crate::{
    capabilities::capabilities,
    claims::{Crowds, Wakes},
    config,
    error::ValkeyError,
    fcall::{Call, Server},
    keys::Keys,
    library,
    reply::Items,
    subscriptions::Hub,
    waitpoints::Ring,
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
    pub(crate) ring: Ring,
    pub(crate) crowds: Crowds,
    pub(crate) keys: Keys,
    pub(crate) limits: Limits,
    durability: Durability,
    partitions: PartitionConfig,
    observer: Observer,
    pub(crate) retention: RetentionConfig,
    background: OnceLock<Background>,
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
        Self::open(config, Observer::new(LABEL)).await
    }

    /// The same with `partition_config` in place of the one in `config`, and with instruments.
    ///
    /// # Errors
    /// Those of [`Self::connect`].
    pub async fn connect_with_metrics(
        config: BackendConfig,
        partition_config: PartitionConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, EngineError> {
        let backend = Self::open(config.partitions(partition_config), Observer::with_metrics(LABEL, metrics)).await?;
        if let Some(metrics) = backend.observer.metrics() {
            backend.server.show_pool(metrics);
        }
        Ok(backend)
    }

    async fn open(config: BackendConfig, observer: Observer) -> Result<Arc<Self>, EngineError> {
        let span = ff_observe::span!("connect", observer);
        let seen = observer.clone();
        // Boxed, or the callers of a caller would reach the compiler's limit for nested futures.
        watch(&seen, Operation::Connect, None, span, Box::pin(Self::reach(config, observer))).await
    }

    async fn reach(config: BackendConfig, observer: Observer) -> Result<Arc<Self>, EngineError> {
        let (client, credentials) = config::client(&config)?;
        library::check_count(config.partitions.count().get())?;
        let mut backend = Self::new(client, credentials, config.timeouts, config.partitions);
        backend.observer = observer;
        backend.durability = config::inspect(&backend.server).await?;
        backend.retention = config.retention;
        match backend.server.check().await {
            Ok(()) | Err(ValkeyError::NotPrepared(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let mut backend = Arc::new(backend);
        if let Some(scanners) = config.scanners {
            backend.with_scanners(scanners);
        }
        Ok(backend)
    }

    /// A backend on a client that the caller made, with default time-outs; nothing is sent.
    ///
    /// What `connect` checks at once, the first operation checks here; the server's settings are not looked at, so
    /// the durability is declared as none.
    #[must_use]
    pub fn from_client(client: Client, partitions: PartitionConfig) -> Arc<Self> {
        Arc::new(Self::new(client, None, BackendTimeouts::default(), partitions))
    }

    fn new(
        client: Client,
        credentials: Option<CredentialSource>,
        timeouts: BackendTimeouts,
        partitions: PartitionConfig,
    ) -> Self {
        let count = partitions.count().get();
        Self {
            server: Arc::new(Server::new(client, timeouts, count).signing(credentials)),
            hub: Hub::new(Keys::of(0)),
            wakes: Wakes::new(&Keys::of(0)),
            ring: Ring::default(),
            crowds: Crowds::default(),
            keys: Keys::of(0),
            limits: Limits::of_partitions(count),
            durability: Durability::None,
            partitions,
            observer: Observer::new(LABEL),
            retention: RetentionConfig::default(),
            background: OnceLock::new(),
        }
    }

    /// What sees the operations.
    pub(crate) const fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Starts the background loops of this backend, which end with it; a runtime must be there.
    ///
    /// False, and nothing is started, if the `Arc` has clones or the loops run already. `BackendConfig::scanners` has no
    /// such condition.
    pub fn with_scanners(self: &mut Arc<Self>, config: ScannerConfig) -> bool {
        Arc::get_mut(self).is_some() && self.background.set(Background::start(&Arc::downgrade(self), &config)).is_ok()
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

    /// Calls a function with the items of a batch, those that were not refused before, and answers for each item.
    ///
    /// `tell` appends an item to the call, `read` reads what the function answers for it. Without items nothing is sent.
    pub(crate) async fn each<I, T>(
        &self,
        call: Call,
        items: Vec<Result<I, EngineError>>,
        tell: impl Fn(Call, &I) -> Call,
        read: impl Fn(&mut Items, &I) -> Result<T, ValkeyError>,
    ) -> Result<Vec<Result<T, EngineError>>, ValkeyError> {
        let mut replies = match items.iter().flatten().next() {
            Some(_) => self.items(items.iter().flatten().fold(call, tell)).await?,
            None => Items::none(),
        };
        let answer = |item: Result<I, EngineError>| match item {
            Err(refusal) => Ok(Err(refusal)),
            Ok(item) => {
                let mut reply =
                    replies.next_items()?.ok_or_else(|| ValkeyError::Reply("an answer is missing".to_owned()))?;
                Ok(read(&mut reply, &item).map_err(EngineError::from))
            }
        };
        items.into_iter().map(answer).collect()
    }

    /// Calls a function whose reply is an array.
    pub(crate) async fn items(&self, call: Call) -> Result<Items, ValkeyError> {
        Items::of(self.server.call(call).await?)
    }
}

#[ff_observe::observed]
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
        let drained = async {
            if let Some(background) = self.background.get() {
                let _drained = tokio::time::timeout(grace, background.drain()).await;
            }
        };
        tokio::join!(self.server.close(grace), drained);
        Ok(())
    }
}
