//! The servers that a run measures on, opened when the first arm needs them.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc, time::Duration};

use ff_backend_postgres::PostgresBackend;
use ff_conformance::servers::{Owned, PostgresPermit, PostgresServer, ServerFacts, Servers, ValkeySlot};
use ff_core::BackendConfig;
use redis::{Client, ProtocolVersion, Value, aio::MultiplexedConnection};
use sqlx::{
    ConnectOptions, PgPool, Postgres, Row, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::OnceCell;

use crate::Failure;

/// What to run where a server is missing or would measure something else.
const REMEDY: &str = "run `./dev bench`, or `./dev bench memory` where no server is to be had";

/// The settings of each server that a figure depends on, by store.
pub(crate) type Settings = BTreeMap<String, BTreeMap<String, String>>;

/// A store that claims are measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// This process.
    Memory,
    /// PostgreSQL with fsync.
    Postgres,
    /// Valkey with an append-only file that is written through each second.
    Valkey,
}

impl Store {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Postgres, Self::Valkey];

    /// Executions that one run takes: some tenths of a second of work, and seconds where each of many connections has to
    /// plan its statements first.
    pub(crate) fn count(self, workers: usize) -> u64 {
        match (self, workers) {
            (Self::Memory, _) => 20_000,
            (Self::Postgres, 1) => 500,
            (Self::Postgres, ..64) => 2_000,
            (Self::Postgres, _) => 10_000,
            (Self::Valkey, 1) => 2_000,
            (Self::Valkey, _) => 8_000,
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memory => "memory",
            Self::Postgres => "postgres",
            Self::Valkey => "valkey",
        })
    }
}

/// All servers of a run.
pub(crate) struct Stage {
    servers: Servers,
    postgres: OnceCell<Arc<PostgresStage>>,
    valkey: OnceCell<Arc<ValkeyStage>>,
}

impl Stage {
    /// The servers that this process was lent; nothing is opened.
    pub(crate) fn new() -> Self {
        Self { servers: Servers::from_env(), postgres: OnceCell::new(), valkey: OnceCell::new() }
    }

    /// The database of this run.
    pub(crate) async fn postgres(&self) -> Result<Arc<PostgresStage>, Failure> {
        let server = self.servers.postgres.as_ref().map_err(|none| format!("{none}\n{REMEDY}"))?;
        let open = async || PostgresStage::open(server, "").await.map(Arc::new);
        self.postgres.get_or_try_init(open).await.cloned()
    }

    /// One more database, which whoever asks for it closes.
    pub(crate) async fn another(&self) -> Result<Arc<PostgresStage>, Failure> {
        let server = self.servers.postgres.as_ref().map_err(|none| format!("{none}\n{REMEDY}"))?;
        PostgresStage::open(server, "_another").await.map(Arc::new)
    }

    /// The Valkey server of this run.
    pub(crate) async fn valkey(&self) -> Result<Arc<ValkeyStage>, Failure> {
        let servers = self.servers.valkey.as_ref().map_err(|none| format!("{none}\n{REMEDY}"))?;
        let open = async || ValkeyStage::open(servers.take().await?, &servers.facts).await.map(Arc::new);
        self.valkey.get_or_try_init(open).await.cloned()
    }

    /// The settings of the servers that were opened.
    pub(crate) fn settings(&self) -> Settings {
        let postgres = self.postgres.get().map(|stage| (Store::Postgres.to_string(), stage.settings.clone()));
        let valkey = self.valkey.get().map(|stage| (Store::Valkey.to_string(), stage.settings.clone()));
        postgres.into_iter().chain(valkey).collect()
    }

    /// Takes away what this run has made.
    pub(crate) async fn close(&self) {
        if let Some(stage) = self.postgres.get()
            && let Err(error) = stage.close().await
        {
            eprintln!("claims: {error}");
        }
        if let Some(stage) = self.valkey.get() {
            let closed = async {
                stage.empty().await?;
                stage.restore().await
            };
            if let Err(error) = closed.await {
                eprintln!("claims: {error}");
            }
        }
    }
}

/// A database of this run alone.
pub(crate) struct PostgresStage {
    /// Its address.
    pub(crate) url: String,
    database: String,
    pool: PgPool,
    settings: BTreeMap<String, String>,
    server: PostgresServer,
    _permit: PostgresPermit,
}

impl PostgresStage {
    async fn open(server: &PostgresServer, suffix: &str) -> Result<Self, Failure> {
        let permit = server.permit().await?;
        let database = format!("ffc_bench_{}{suffix}", std::process::id());
        server.drop_database(&database).await?;
        let url = server.create_database(&database, None).await?;
        PostgresBackend::migrate(&BackendConfig::postgres(&url)).await?;
        let options = PgConnectOptions::from_str(&url)?.disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let mut settings = facts(&server.facts);
        for row in sqlx::query(include_str!("stage/settings.sql")).fetch_all(&pool).await? {
            settings.insert(row.try_get("name")?, row.try_get("setting")?);
        }
        if settings.get("fsync").is_none_or(|fsync| fsync != "on") {
            server.drop_database(&database).await?;
            return Err(format!("the Postgres server runs without fsync, which nobody's claims do: {REMEDY}").into());
        }
        Ok(Self { url, database, pool, settings, server: server.clone(), _permit: permit })
    }

    /// A session of its own.
    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A transaction that holds its snapshot until it ends: what dies meanwhile cannot be removed.
    pub(crate) async fn old_snapshot(&self) -> Result<Transaction<'_, Postgres>, Failure> {
        let mut transaction = self.pool.begin().await?;
        sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *transaction).await?;
        sqlx::raw_sql("SELECT FROM executions LIMIT 1").execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Drops the database.
    pub(crate) async fn close(&self) -> Result<(), Failure> {
        self.pool.close().await;
        Ok(self.server.drop_database(&self.database).await?)
    }

    /// Runs statements that write rows.
    pub(crate) async fn fill_with(&self, statements: &'static str) -> Result<(), Failure> {
        sqlx::raw_sql(statements).execute(&self.pool).await?;
        Ok(())
    }

    /// New, empty files for the engine's tables and indexes.
    pub(crate) async fn empty(&self) -> Result<(), Failure> {
        sqlx::raw_sql(include_str!("stage/empty.sql")).execute(&self.pool).await?;
        Ok(())
    }

    /// Statistics of the filled tables, so that no plan depends on when autovacuum comes by.
    pub(crate) async fn analyze(&self) -> Result<(), Failure> {
        sqlx::raw_sql("ANALYZE executions, lane_sets").execute(&self.pool).await?;
        Ok(())
    }
}

/// A Valkey server that nobody else uses meanwhile.
pub(crate) struct ValkeyStage {
    slot: ValkeySlot,
    is_ours: bool,
    settings: BTreeMap<String, String>,
}

/// From how many µs on a server of ours remembers calls, and how many of them, while somebody asks for the longest.
const WATCHED: [(&str, &str); 2] = [("slowlog-log-slower-than", "500"), ("slowlog-max-len", "10000")];

/// What a server of ours is set to; a rewrite of the file in the middle of a run would be measured too.
const DURABLE: [(&str, &str); 3] =
    [("appendonly", "yes"), ("appendfsync", "everysec"), ("auto-aof-rewrite-percentage", "0")];

impl ValkeyStage {
    async fn open(slot: ValkeySlot, server: &ServerFacts) -> Result<Self, Failure> {
        if server.cluster {
            return Err("the raw arm knows no cluster: set FF_VALKEY_URL to a single server".into());
        }
        let is_ours = server.owned == Owned::Ours;
        let mut stage = Self { slot, is_ours, settings: facts(server) };
        stage.empty().await?;
        let mut connection = stage.connection(ProtocolVersion::RESP2).await?;
        if is_ours {
            set(&mut connection, &DURABLE).await?;
        }
        for (name, wanted) in DURABLE {
            let found: Vec<String> = redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await?;
            let value = found.into_iter().nth(1).unwrap_or_default();
            if value != wanted && name != "auto-aof-rewrite-percentage" {
                return Err(format!("{name} is {value:?} on the Valkey server: CONFIG SET {name} {wanted}").into());
            }
            stage.settings.insert(name.to_owned(), value);
        }
        Ok(stage)
    }

    /// The address.
    pub(crate) fn url(&self) -> &str {
        &self.slot.url
    }

    /// A connection to the server.
    pub(crate) async fn connection(&self, protocol: ProtocolVersion) -> Result<MultiplexedConnection, Failure> {
        let info = Client::open(self.url())?.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(protocol);
        let client = Client::open(info.set_redis_settings(settings))?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// Bytes that the server has in use once it has given back what was removed.
    pub(crate) async fn used_memory(&self) -> Result<u64, Failure> {
        let mut connection = self.connection(ProtocolVersion::RESP2).await?;
        loop {
            let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
            let field = |name: &str| {
                let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                Ok::<u64, Failure>(line.ok_or_else(|| format!("INFO lacks {name}"))?.trim().parse()?)
            };
            if field("lazyfree_pending_objects")? == 0 {
                return field("used_memory");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// No keys and no functions.
    pub(crate) async fn empty(&self) -> Result<(), Failure> {
        Ok(self.slot.flush().await?)
    }

    /// From here on calls count for `longest_call_ms`.
    pub(crate) async fn watch_calls(&self) -> Result<(), Failure> {
        let mut connection = self.connection(ProtocolVersion::RESP2).await?;
        if self.is_ours {
            set(&mut connection, &WATCHED).await?;
        }
        Ok(redis::cmd("SLOWLOG").arg("RESET").exec_async(&mut connection).await?)
    }

    /// The time in the server of the longest function call since `watch_calls`; what it remembers calls from, if that is
    /// more.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub(crate) async fn longest_call_ms(&self) -> Result<f64, Failure> {
        type Entry = (u64, u64, u64, Vec<Vec<u8>>, Value, Value);
        let mut connection = self.connection(ProtocolVersion::RESP2).await?;
        let [_, from]: [String; 2] =
            redis::cmd("CONFIG").arg("GET").arg("slowlog-log-slower-than").query_async(&mut connection).await?;
        let calls: Vec<Entry> = redis::cmd("SLOWLOG").arg("GET").arg(-1).query_async(&mut connection).await?;
        let functions = calls.iter().filter(|call| call.3.first().is_some_and(|name| name == b"FCALL"));
        let longest_us = functions.map(|call| call.2).fold(from.parse()?, u64::max);
        Ok(longest_us as f64 / 1e3)
    }

    /// A server of ours is lent on to others, who want it fast.
    async fn restore(&self) -> Result<(), Failure> {
        if self.is_ours {
            set(&mut self.connection(ProtocolVersion::RESP2).await?, &[("appendonly", "no")]).await?;
        }
        Ok(())
    }
}

async fn set(connection: &mut MultiplexedConnection, settings: &[(&str, &str)]) -> Result<(), Failure> {
    for (name, value) in settings {
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec_async(connection).await?;
    }
    Ok(())
}

fn facts(server: &ServerFacts) -> BTreeMap<String, String> {
    let from =
        server.from.as_ref().map_or_else(|| server.source.to_string(), |from| format!("{}, {from}", server.source));
    BTreeMap::from([("server".to_owned(), format!("{} {}", server.product, server.version)), ("from".to_owned(), from)])
}
