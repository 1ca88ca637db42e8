//! The harness of the Valkey backend: every case has a server of the run to itself.

mod clock;
mod dump;
mod hold;
mod sessions;

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use ff_backend_valkey::ValkeyBackend;
use ff_core::{BackendConfig, EngineBackend};
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisError, aio::MultiplexedConnection};

use super::mortal::OwnServers;
use crate::{
    Client, Controls, Environment, Harness, HarnessError, Identity, Store,
    servers::{Kind, NoServer, Owned, Servers, ValkeyServers, ValkeySlot},
};
use clock::Clock;
use dump::Everything;
use hold::Pause;
use sessions::Sessions;

/// The Valkey backend of this project, on the Valkey servers of the run.
pub struct Valkey {
    servers: Result<ValkeyServers, NoServer>,
}

impl Valkey {
    /// The harness on the servers of `run`.
    #[must_use]
    pub fn new(run: &Servers) -> Self {
        Self { servers: run.valkey.clone() }
    }

    /// The harness on the servers that the owner of this run exported.
    #[must_use]
    pub fn from_env() -> Self {
        Self::new(&Servers::from_env())
    }
}

#[async_trait]
impl Harness for Valkey {
    fn identity(&self) -> Identity {
        let place = "https://github.com/ff-conformance/ff-conformance";
        Identity::new("valkey", env!("CARGO_PKG_VERSION"), place)
    }

    async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
        let servers = self.servers.clone()?;
        let slot = servers.take().await?;
        // Whatever a case left that was ended half-way.
        slot.flush().await?;
        let root = ValkeyBackend::connect(BackendConfig::valkey(&slot.url)).await.map_err(failed("connect"))?;
        root.prepare().await.map_err(failed("prepare"))?;
        let connection = connection(&slot.url).await.map_err(failed("connect"))?;
        let clock = Clock::install(connection.clone()).await?;
        let address = address(&slot.url).await?;
        let owned = servers.facts.owned == Owned::Ours;
        Ok(Box::new(ValkeyStore { slot, connection, clock: Arc::new(clock), address, owned }))
    }

    fn environment(&self) -> Environment {
        match &self.servers {
            Ok(servers) => servers.facts.environment(),
            Err(_) => Environment::unknown("valkey"),
        }
    }
}

struct ValkeyStore {
    slot: ValkeySlot,
    connection: MultiplexedConnection,
    clock: Arc<Clock>,
    address: SocketAddr,
    /// Whether this run started the servers, so that it may start more of them.
    owned: bool,
}

#[async_trait]
impl Store for ValkeyStore {
    async fn connect(&self, client: Client) -> Result<Arc<dyn EngineBackend>, HarnessError> {
        let url = match client.address {
            Some(address) => through(&self.slot.url, address),
            None => self.slot.url.clone(),
        };
        let mut config = BackendConfig::valkey(url);
        config.scanners = client.scanners;
        let backend = ValkeyBackend::connect(config).await;
        Ok(backend.map_err(failed("connect"))?)
    }

    fn controls(&self) -> Controls {
        Controls {
            clock: Some(Arc::clone(&self.clock) as _),
            dump: Some(Arc::new(Everything(self.connection.clone()))),
            hold: Some(Arc::new(Pause(self.connection.clone()))),
            address: Some(self.address),
            sessions: Some(Arc::new(Sessions { connection: self.connection.clone() })),
            server: self.owned.then(|| Arc::new(OwnServers(Kind::Valkey)) as _),
        }
    }

    async fn close(self: Box<Self>, failed: bool) -> Result<(), HarnessError> {
        // The next case needs the server, so nothing is kept; the report has the operations of a failed case.
        let _ = failed;
        Ok(self.slot.flush().await?)
    }
}

/// A connection that waits for its answers as long as a held write may keep them back.
async fn connection(url: &str) -> Result<MultiplexedConnection, RedisError> {
    let client = redis::Client::open(url)?;
    let info = client.get_connection_info().clone();
    // The third version of the protocol takes subscriptions beside commands.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = redis::Client::open(info.set_redis_settings(settings))?;
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(std::time::Duration::from_secs(30)));
    client.get_multiplexed_async_connection_with_config(&config).await
}

async fn address(url: &str) -> Result<SocketAddr, HarnessError> {
    let client = redis::Client::open(url).map_err(failed("the server's URL"))?;
    let place = client.get_connection_info().addr().to_string();
    let mut found = tokio::net::lookup_host(place).await.map_err(failed("the server's address"))?;
    found.next().ok_or_else(|| HarnessError::new("the server's name has no address"))
}

/// The same URL with another place.
fn through(url: &str, address: SocketAddr) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    let user = place.rsplit_once('@').map(|(user, _)| format!("{user}@")).unwrap_or_default();
    format!("{scheme}://{user}{address}{path}")
}

/// Says what the harness wanted when it failed.
fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> HarnessError {
    move |error| HarnessError::new(format!("valkey: {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::through;

    #[test]
    fn a_proxy_takes_the_place_and_nothing_else() {
        let proxy = "127.0.0.1:9".parse().unwrap();
        for (url, expected) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:9"),
            ("redis://ann:s@h:1/3?protocol=resp3", "redis://ann:s@127.0.0.1:9/3?protocol=resp3"),
            ("redis://:p%40w@[::1]:6379/", "redis://:p%40w@127.0.0.1:9/"),
        ] {
            assert_eq!(through(url, proxy), expected);
        }
    }
}
