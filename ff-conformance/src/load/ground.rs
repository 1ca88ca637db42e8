//! The stores that the open loop runs on, and its workers.

use std::{collections::BTreeMap, fmt, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use ff_backend_postgres::PostgresBackend;
use ff_backend_valkey::ValkeyBackend;
use ff_core::{
    BackendConfig, BackendConnection, CapabilitySet, ClaimPolicy, CreateExecutionArgs, EngineBackend, EngineError,
    ExecutionId, Handle, LaneId, Namespace, PartitionConfig, PostgresConnection, WorkerId, WorkerInstanceId,
};
use sqlx::{
    ConnectOptions, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::Failure;
use crate::servers::{Owned, PostgresPermit, PostgresServer, ServerFacts, ValkeyServers, ValkeySlot};

/// Creates in one call while a store is filled.
const CREATES: u64 = 500;

/// Longer than any measurement of claims: no lease lapses.
const TTL: Duration = Duration::from_secs(3_600);

/// A store of this run alone.
pub struct Ground {
    store: Store,
    settings: BTreeMap<String, String>,
}

enum Store {
    Postgres { url: String, database: String, pool: PgPool, server: PostgresServer, _permit: PostgresPermit },
    Valkey { slot: ValkeySlot, is_ours: bool },
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.store {
            Store::Postgres { .. } => "postgres",
            Store::Valkey { .. } => "valkey",
        })
    }
}

impl Ground {
    /// A database of its own, on a server that writes through to the disk.
    ///
    /// # Errors
    /// If the server runs without `fsync`, or refuses.
    pub async fn postgres(server: &PostgresServer) -> Result<Self, Failure> {
        let permit = server.permit().await?;
        let settings = facts(&server.facts);
        if settings.get("fsync").is_none_or(|fsync| fsync != "on") {
            return Err("the Postgres server runs without fsync: nobody's claims do".into());
        }
        let database = format!("ffc_load_{}", std::process::id());
        server.drop_database(&database).await?;
        let url = server.create_database(&database, None).await?;
        PostgresBackend::migrate(&BackendConfig::postgres(&url)).await?;
        let options = PgConnectOptions::from_str(&url)?.disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let store = Store::Postgres { url, database, pool, server: server.clone(), _permit: permit };
        Ok(Self { store, settings })
    }

    /// A server that nobody else uses meanwhile; one of ours appends to a file that is written through each second.
    ///
    /// # Errors
    /// If there is none, or it is a cluster, or refuses.
    pub async fn valkey(servers: &ValkeyServers) -> Result<Self, Failure> {
        let mut settings = facts(&servers.facts);
        if servers.facts.cluster {
            return Err("the open loop knows no cluster: set FF_VALKEY_URL to a single server".into());
        }
        let is_ours = servers.facts.owned == Owned::Ours;
        let ground = Self { store: Store::Valkey { slot: servers.take().await?, is_ours }, settings: BTreeMap::new() };
        if is_ours {
            ground.append(true).await?;
            settings.extend(
                [("appendonly", "yes"), ("appendfsync", "everysec")].map(|(n, v)| (n.to_owned(), v.to_owned())),
            );
        }
        Ok(Self { settings, ..ground })
    }

    /// The settings that a figure depends on.
    #[must_use]
    pub const fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// Takes away what was made.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn close(&self) -> Result<(), Failure> {
        match &self.store {
            Store::Postgres { database, pool, server, .. } => {
                pool.close().await;
                server.drop_database(database).await?;
            }
            Store::Valkey { slot, is_ours } => {
                slot.flush().await?;
                if *is_ours {
                    // It is lent on to others, who want it fast.
                    self.append(false).await?;
                }
            }
        }
        Ok(())
    }

    async fn append(&self, on: bool) -> Result<(), Failure> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        for (name, value) in [("appendfsync", "everysec"), ("appendonly", if on { "yes" } else { "no" })] {
            redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec_async(&mut connection).await?;
        }
        Ok(())
    }

    fn url(&self) -> &str {
        match &self.store {
            Store::Postgres { url, .. } => url,
            Store::Valkey { slot, .. } => &slot.url,
        }
    }

    /// Host and port.
    pub(super) fn address(&self) -> Result<&str, Failure> {
        let (_, rest) = self.url().split_once("://").ok_or("the address of a store has a scheme")?;
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        Ok(host.split(['/', '?']).next().unwrap_or(host))
    }

    /// Statistics of a filled store, so that no plan depends on when autovacuum comes by.
    pub(super) async fn analyze(&self) -> Result<(), Failure> {
        if let Store::Postgres { pool, .. } = &self.store {
            sqlx::raw_sql("ANALYZE executions, lane_sets").execute(pool).await?;
        }
        Ok(())
    }

    /// A transaction that holds its snapshot until it ends, where the store has such: what dies meanwhile stays.
    pub(super) async fn old_snapshot(&self) -> Result<Option<Transaction<'_, Postgres>>, Failure> {
        let Store::Postgres { pool, .. } = &self.store else { return Ok(None) };
        let mut transaction = pool.begin().await?;
        sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *transaction).await?;
        sqlx::raw_sql("SELECT FROM executions LIMIT 1").execute(&mut *transaction).await?;
        Ok(Some(transaction))
    }

    /// A client of its own on the emptied store, through `by` if there is one.
    pub(super) async fn worker(&self, by: Option<SocketAddr>, connections: usize) -> Result<Worker, Failure> {
        let url = match by {
            Some(by) => self.url().replacen(self.address()?, &by.to_string(), 1),
            None => self.url().to_owned(),
        };
        let backend: Arc<dyn EngineBackend> = match &self.store {
            Store::Postgres { pool, .. } => {
                sqlx::raw_sql(include_str!("ground/empty.sql")).execute(pool).await?;
                let mut connection = PostgresConnection::new(&url);
                connection.max_connections = u32::try_from(connections)?;
                PostgresBackend::connect(BackendConfig::new(BackendConnection::Postgres(connection))).await?
            }
            Store::Valkey { slot, .. } => {
                slot.flush().await?;
                let backend = ValkeyBackend::connect(BackendConfig::valkey(&url)).await?;
                backend.prepare().await?;
                backend
            }
        };
        Worker::of(backend)
    }
}

fn facts(server: &ServerFacts) -> BTreeMap<String, String> {
    let mut facts = server.settings.clone();
    facts.insert("server".to_owned(), server.to_string());
    facts
}

/// A worker, and who makes work for it.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) backend: Arc<dyn EngineBackend>,
    pub(super) lane: LaneId,
    pub(super) capabilities: CapabilitySet,
    pub(super) policy: ClaimPolicy,
    namespace: Namespace,
}

impl Worker {
    fn of(backend: Arc<dyn EngineBackend>) -> Result<Self, Failure> {
        let policy = ClaimPolicy::new(WorkerId::try_new("mailer")?, WorkerInstanceId::try_new("mailer-1")?, TTL);
        let (lane, namespace) = (LaneId::try_new("mail")?, Namespace::try_new("shop")?);
        Ok(Self { backend, lane, capabilities: CapabilitySet::default(), policy, namespace })
    }

    pub(super) async fn claim(&self) -> Result<Option<Handle>, EngineError> {
        self.backend.claim(&self.lane, &self.capabilities, self.policy.clone()).await
    }

    /// New executions.
    pub(super) async fn create_many(&self, rows: u64) -> Result<(), Failure> {
        let mut left = rows;
        while left > 0 {
            let some = left.min(CREATES);
            for created in self.backend.create_executions((0..some).map(|_| self.planned()).collect()).await? {
                created?;
            }
            left -= some;
        }
        Ok(())
    }

    /// A new execution, in a call of its own.
    pub(super) async fn create_one(&self) -> Result<ExecutionId, EngineError> {
        let planned = self.planned();
        let id = planned.execution_id;
        self.backend.create_execution(planned).await?;
        Ok(id)
    }

    fn planned(&self) -> CreateExecutionArgs {
        let id = ExecutionId::solo(&self.lane, PartitionConfig::default());
        CreateExecutionArgs::new(id, self.namespace.clone(), self.lane.clone(), "send_receipt")
    }
}
