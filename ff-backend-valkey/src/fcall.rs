//! The connection to the server, and the only place that sends a function call.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ff_core::{BackendTimeouts, CredentialSource, HandlePayload, Namespace, ScannerFilter};
use ff_observe::{Metrics, PoolUse};
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, ProtocolVersion, PushInfo, PushKind, RedisResult, ToRedisArgs,
    aio::MultiplexedConnection,
};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, watch};

use crate::{
    backend::LABEL,
    error::{self, ValkeyError},
    library,
};

/// A call of one function: its keys, then its arguments.
pub(crate) struct Call {
    command: Cmd,
    looks: bool,
}

impl Call {
    /// A call that may write.
    pub(crate) fn write(function: &str, keys: &[String]) -> Self {
        Self::new("FCALL", function, keys, false)
    }

    /// A call that only looks.
    pub(crate) fn read(function: &str, keys: &[String]) -> Self {
        Self::new("FCALL_RO", function, keys, true)
    }

    fn new(verb: &str, function: &str, keys: &[String], looks: bool) -> Self {
        let mut command = redis::cmd(verb);
        command.arg(function).arg(keys.len()).arg(keys);
        Self { command, looks }
    }

    /// The same with the five arguments that every holder operation begins with.
    pub(crate) fn fenced(self, held: &HandlePayload) -> Self {
        self.arg(held.execution_id.as_uuid().to_string())
            .arg(held.fence.lease_id.to_string())
            .arg(held.fence.lease_epoch.0)
            .arg(held.fence.attempt_id.to_string())
            .arg(held.attempt_index.0)
    }

    /// The same with the three arguments of a filter; an empty namespace or label key asks for nothing.
    pub(crate) fn filtered(self, filter: &ScannerFilter) -> Self {
        let (key, value) = filter.instance_tag.as_ref().map_or(("", ""), |(key, value)| (key, value));
        self.arg(namespace(filter)).arg(key).arg(value)
    }

    /// The same with one more argument.
    pub(crate) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }
}

/// The namespace that a filter asks for; empty for any.
pub(crate) fn namespace(filter: &ScannerFilter) -> &str {
    filter.namespace.as_ref().map_or("", Namespace::as_str)
}

/// A server, reached through one connection that all calls share; after a break the next call makes another.
///
/// A request is handed to a connection once. What comes back as `Unsent` was never handed over.
pub(crate) struct Server {
    client: Client,
    /// Asked before a connection is made, if there is one.
    credentials: Option<CredentialSource>,
    timeouts: BackendTimeouts,
    partitions: u16,
    link: Arc<RwLock<Option<Link>>>,
    connecting: Mutex<()>,
    /// Library and partition count were seen to fit.
    checked: AtomicBool,
    closed: watch::Sender<bool>,
    running: Semaphore,
}

/// A connection, and whether it was seen to end.
#[derive(Clone)]
struct Link {
    connection: MultiplexedConnection,
    broken: Arc<AtomicBool>,
}

impl Link {
    /// Sends a command; a connection that ends meanwhile is not used again.
    async fn send<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        let reply = command.query_async(&mut self.connection).await;
        if let Err(error) = &reply
            && error::ends_connection(error)
        {
            self.broken.store(true, Ordering::Release);
        }
        reply
    }
}

/// More calls than can run at once.
const RUNNING: u32 = 1 << 20;

impl Server {
    /// The server that `client` names; nothing is sent.
    pub(crate) fn new(client: Client, timeouts: BackendTimeouts, partitions: u16) -> Self {
        // Only the third version of the protocol tells a client at once that its connection has ended.
        let info = client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Self {
            client: Client::open(info.set_redis_settings(settings)).unwrap_or(client),
            credentials: None,
            timeouts,
            partitions,
            link: Arc::new(RwLock::new(None)),
            connecting: Mutex::new(()),
            checked: AtomicBool::new(false),
            closed: watch::Sender::new(false),
            running: Semaphore::new(RUNNING as usize),
        }
    }

    /// The same with credentials from a source.
    pub(crate) fn signing(mut self, source: Option<CredentialSource>) -> Self {
        self.credentials = source;
        self
    }

    /// Tells `metrics` whether the connection that all calls share is there, for as long as this lives.
    pub(crate) fn show_pool(&self, metrics: &Metrics) {
        let link = Arc::downgrade(&self.link);
        metrics.watch_pool(LABEL, move || {
            let link = link.upgrade()?;
            let used = u64::from(link.read().unwrap_or_else(PoisonError::into_inner).is_some());
            Some(PoolUse { used, idle: 0, max: 1 })
        });
    }

    /// The client with the credentials of this moment; every connection is made by it.
    async fn client(&self) -> Result<Client, ValkeyError> {
        let Some(source) = &self.credentials else { return Ok(self.client.clone()) };
        let credentials = source.get().await.map_err(ValkeyError::Credentials)?;
        let info = self.client.get_connection_info().clone();
        let mut settings = info.redis_settings().clone().set_password(credentials.password);
        if let Some(user) = credentials.user {
            settings = settings.set_username(user);
        }
        Client::open(info.set_redis_settings(settings)).map_err(ValkeyError::Unsent)
    }

    /// Calls a function of the library.
    pub(crate) async fn call<T: FromRedisValue>(&self, call: Call) -> Result<T, ValkeyError> {
        let _permit = self.enter().await?;
        let mut link = self.link().await?;
        self.check_once(&mut link).await?;
        let reply = link.send(&call.command).await.map_err(ValkeyError::Sent);
        reply.map_err(|error| if call.looks { error.of_a_look() } else { error })
    }

    /// Refuses a store that this client cannot work with as it stands.
    pub(crate) async fn check(&self) -> Result<(), ValkeyError> {
        let _permit = self.enter().await?;
        self.check_once(&mut self.link().await?).await
    }

    async fn check_once(&self, link: &mut Link) -> Result<(), ValkeyError> {
        if !self.checked.load(Ordering::Acquire) {
            Box::pin(library::check(&mut link.connection, self.partitions)).await?;
            self.checked.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Sends a command that is no function call and changes nothing.
    pub(crate) async fn look<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, ValkeyError> {
        let _permit = self.enter().await?;
        self.link().await?.send(command).await.map_err(ValkeyError::Unsent)
    }

    /// A connection that nobody else uses.
    pub(crate) async fn own_connection(&self) -> Result<(MultiplexedConnection, SemaphorePermit<'_>), ValkeyError> {
        let permit = self.enter().await?;
        let connection = self.client().await?.get_multiplexed_async_connection_with_config(&self.config()).await;
        Ok((connection.map_err(ValkeyError::Unsent)?, permit))
    }

    /// A connection for commands that block: it waits for an answer without limit, and no shutdown waits for it.
    pub(crate) async fn blocking_connection(&self) -> Result<MultiplexedConnection, ValkeyError> {
        drop(self.enter().await?);
        let config = self.config().set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connection.map_err(ValkeyError::Unsent)
    }

    /// A connection that hands everything that comes over `channel`, and its own end, to `push`.
    pub(crate) async fn listening_connection(
        &self,
        channel: &str,
        push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, ValkeyError> {
        drop(self.enter().await?);
        let config = self.config().set_push_sender(move |info: PushInfo| {
            push(info);
            Ok::<(), redis::aio::SendError>(())
        });
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connection.map_err(ValkeyError::Unsent)?;
        connection.subscribe(channel).await.map_err(ValkeyError::Unsent)?;
        Ok(connection)
    }

    /// How long to wait for the answer to one request.
    pub(crate) fn patience(&self) -> Duration {
        self.timeouts.request
    }

    /// Comes back once the backend is shut down.
    pub(crate) async fn closed(&self) {
        // The sender lives as long as this does.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Refuses new calls, waits for the running ones, and lets go of the connection, all within `grace`.
    pub(crate) async fn close(&self, grace: Duration) {
        self.closed.send_replace(true);
        // Elapsed: what still runs keeps its own copy of the connection until it is done.
        let _drained = tokio::time::timeout(grace, self.running.acquire_many(RUNNING)).await;
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn enter(&self) -> Result<SemaphorePermit<'_>, ValkeyError> {
        if *self.closed.borrow() {
            return Err(ValkeyError::Closed);
        }
        let permit = self.running.acquire().await.map_err(|_| ValkeyError::Closed)?;
        if *self.closed.borrow() { Err(ValkeyError::Closed) } else { Ok(permit) }
    }

    async fn link(&self) -> Result<Link, ValkeyError> {
        match self.live() {
            Some(link) => Ok(link),
            // Apart: every operation would have room for it.
            None => Box::pin(self.connect()).await,
        }
    }

    async fn connect(&self) -> Result<Link, ValkeyError> {
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(link) = self.live() {
            return Ok(link);
        }
        let broken = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&broken);
        let config = self.config().set_push_sender(move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                seen.store(true, Ordering::Release);
            }
            Ok::<(), redis::aio::SendError>(())
        });
        let connection = self.client().await?.get_multiplexed_async_connection_with_config(&config).await;
        let link = Link { connection: connection.map_err(ValkeyError::Unsent)?, broken };
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = Some(link.clone());
        Ok(link)
    }

    fn live(&self) -> Option<Link> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        link.as_ref().filter(|link| !link.broken.load(Ordering::Acquire)).cloned()
    }

    /// Both limits explicitly: the client's default for an answer is half a second.
    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeouts.connect))
            .set_response_timeout(Some(self.timeouts.request))
    }
}
