//! The harness of the Postgres backend: every case has a database of its own, cloned from a migrated template.

mod clock;
mod dump;
mod hold;
mod sessions;
mod template;

use std::{net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use ff_backend_postgres::PostgresBackend;
use ff_core::{BackendConfig, BackendConnection, BackendTimeouts, EngineBackend, PostgresConnection};
use sqlx::{
    ConnectOptions, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use super::mortal::OwnServers;
use crate::{
    Client, ClockControl, Controls, Environment, Harness, HarnessError, Identity, Store,
    servers::{Kind, NoServer, Owned, PostgresPermit, PostgresServer, Servers},
};
use clock::{BEGIN, Clock};
use dump::Everything;
use hold::RowLocks;
use sessions::Sessions;

/// How long a client waits: longer than by default, because many cases share one server.
const PATIENCE: Duration = Duration::from_secs(30);

/// The Postgres backend of this project, on the Postgres server of the run.
pub struct Postgres {
    server: Result<PostgresServer, NoServer>,
}

impl Postgres {
    /// The harness on the server of `run`.
    #[must_use]
    pub fn new(run: &Servers) -> Self {
        Self { server: run.postgres.clone() }
    }

    /// The harness on the server that the owner of this run exported.
    #[must_use]
    pub fn from_env() -> Self {
        Self::new(&Servers::from_env())
    }
}

#[async_trait]
impl Harness for Postgres {
    fn identity(&self) -> Identity {
        let place = "https://github.com/ff-conformance/ff-conformance";
        Identity::new("postgres", env!("CARGO_PKG_VERSION"), place)
    }

    async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
        let server = self.server.clone()?;
        let permit = server.permit().await?;
        let template = template::ready(&server).await?;
        let database = format!("ffc_case_{}", Uuid::new_v4().simple());
        let url = server.create_database(&database, Some(&template)).await?;
        let options = PgConnectOptions::from_str(&url).map_err(failed("the server's URL"))?.disable_statement_logging();
        let address = address(&options).await?;
        let pool = PgPoolOptions::new().max_connections(3).acquire_timeout(PATIENCE).connect_lazy_with(options);
        let clock = Arc::new(Clock(pool.clone()));
        clock.set(BEGIN).await?;
        Ok(Box::new(PostgresStore { server, database, url, pool, clock, address, _permit: permit }))
    }

    fn environment(&self) -> Environment {
        match &self.server {
            Ok(server) => server.facts.environment(),
            Err(_) => Environment::unknown("postgres"),
        }
    }
}

struct PostgresStore {
    server: PostgresServer,
    database: String,
    url: String,
    pool: PgPool,
    clock: Arc<Clock>,
    address: SocketAddr,
    _permit: PostgresPermit,
}

#[async_trait]
impl Store for PostgresStore {
    async fn connect(&self, client: Client) -> Result<Arc<dyn EngineBackend>, HarnessError> {
        let url = match client.address {
            Some(address) => through(&self.url, address),
            None => self.url.clone(),
        };
        let mut connection = PostgresConnection::new(url);
        connection.max_connections = client.pool_size.get();
        let timeouts = BackendTimeouts { connect: PATIENCE, acquire: PATIENCE, request: PATIENCE };
        let mut config = BackendConfig::new(BackendConnection::Postgres(connection)).timeouts(timeouts);
        config.scanners = client.scanners;
        Ok(PostgresBackend::connect(config).await.map_err(failed("connect"))?)
    }

    fn controls(&self) -> Controls {
        Controls {
            clock: Some(Arc::clone(&self.clock) as _),
            dump: Some(Arc::new(Everything(self.pool.clone()))),
            hold: Some(Arc::new(RowLocks(self.pool.clone()))),
            address: Some(self.address),
            sessions: Some(Arc::new(Sessions(self.pool.clone()))),
            server: (self.server.facts.owned == Owned::Ours).then(|| Arc::new(OwnServers(Kind::Postgres)) as _),
        }
    }

    async fn close(self: Box<Self>, failed: bool) -> Result<(), HarnessError> {
        self.pool.close().await;
        if failed {
            return Ok(());
        }
        Ok(self.server.drop_database(&self.database).await?)
    }
}

async fn address(options: &PgConnectOptions) -> Result<SocketAddr, HarnessError> {
    let place = (options.get_host(), options.get_port());
    let mut found = tokio::net::lookup_host(place).await.map_err(failed("the server's address"))?;
    found.next().ok_or_else(|| HarnessError::new("postgres: the server's name has no address"))
}

/// The same URL with another place.
fn through(url: &str, address: SocketAddr) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    let user = place.rsplit_once('@').map(|(user, _)| format!("{user}@")).unwrap_or_default();
    format!("{scheme}://{user}{address}{path}")
}

/// Says what the harness wanted when it failed.
fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> HarnessError {
    move |error| HarnessError::new(format!("postgres: {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::through;

    #[test]
    fn a_proxy_takes_the_place_and_nothing_else() {
        let proxy = "127.0.0.1:9".parse().unwrap();
        for (url, expected) in [
            ("postgres://127.0.0.1:5432/a", "postgres://127.0.0.1:9/a"),
            ("postgresql://ann:p%40w@h:1/a?sslmode=disable", "postgresql://ann:p%40w@127.0.0.1:9/a?sslmode=disable"),
            ("postgres://ann@[::1]/a", "postgres://ann@127.0.0.1:9/a"),
        ] {
            assert_eq!(through(url, proxy), expected);
        }
    }
}
