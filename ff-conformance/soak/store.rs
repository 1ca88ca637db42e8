//! The store of a soak: made for it, worked on by its processes, and read afterwards behind the engine's back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use clap::ValueEnum;
use ff_backend_postgres::PostgresBackend;
use ff_backend_valkey::ValkeyBackend;
use ff_conformance::servers::{PostgresServer, Servers, ValkeySlot};
use ff_core::{BackendConfig, EngineBackend, EngineError};
use redis::{AsyncCommands, AsyncConnectionConfig, aio::MultiplexedConnection, streams::StreamRangeReply};
use sqlx::{Connection, PgConnection};

use crate::Tried;

/// The backends that have a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    Postgres,
    Valkey,
}

impl Backend {
    /// The label in handles.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Valkey => "valkey",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// A client of a store that is prepared.
pub(crate) async fn connect(backend: Backend, url: &str) -> Result<Arc<dyn EngineBackend>, EngineError> {
    Ok(match backend {
        Backend::Postgres => PostgresBackend::connect(BackendConfig::postgres(url)).await?,
        Backend::Valkey => ValkeyBackend::connect(BackendConfig::valkey(url)).await?,
    })
}

/// One attempt as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) phase: String,
    pub(crate) epoch: u64,
}

/// What the store says in the end, by execution.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) attempts: BTreeMap<String, Vec<Attempt>>,
    pub(crate) completions: BTreeMap<String, Vec<String>>,
    pub(crate) results: BTreeMap<String, String>,
}

enum Place {
    Postgres { server: PostgresServer, name: String },
    Valkey { slot: ValkeySlot, connection: MultiplexedConnection },
}

/// A store that only this soak uses.
pub(crate) struct Store {
    backend: Backend,
    url: String,
    place: Place,
}

const COMPLETIONS: &str = "ff:{fp:0}:events:completion";
const ATTEMPTS: &str = "ff:{fp:0}:at:";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Events that one look reads.
const PAGE: usize = 10_000;

impl Store {
    pub(crate) async fn open(backend: Backend, servers: &Servers) -> Tried<Self> {
        let (url, place) = match backend {
            Backend::Postgres => {
                let server = servers.postgres.clone()?;
                let name = format!("ffc_soak_{}", std::process::id());
                let url = server.create_database(&name, None).await?;
                PostgresBackend::migrate(&BackendConfig::postgres(&url)).await?;
                (url, Place::Postgres { server, name })
            }
            Backend::Valkey => {
                let slot = servers.valkey.clone()?.take().await?;
                slot.flush().await?;
                let url = slot.url.clone();
                let client = redis::Client::open(url.as_str())?;
                // The client's default is half a second, which a busy machine takes.
                let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
                let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
                (url, Place::Valkey { slot, connection })
            }
        };
        let store = Self { backend, url, place };
        store.engine().await?.prepare().await?;
        Ok(store)
    }

    pub(crate) fn backend(&self) -> Backend {
        self.backend
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn engine(&self) -> Tried<Arc<dyn EngineBackend>> {
        Ok(connect(self.backend, &self.url).await?)
    }

    /// How many completions were told.
    pub(crate) async fn ended(&self) -> Tried<usize> {
        let count: i64 = match &self.place {
            Place::Postgres { .. } => {
                let mut session = PgConnection::connect(&self.url).await?;
                sqlx::query_scalar("SELECT count(*) FROM completion_events").fetch_one(&mut session).await?
            }
            Place::Valkey { connection, .. } => connection.clone().xlen(COMPLETIONS).await?,
        };
        Ok(usize::try_from(count)?)
    }

    /// Everything that the judgement needs of what was created.
    pub(crate) async fn facts(&self, created: &BTreeSet<String>) -> Tried<Facts> {
        let mut facts = match &self.place {
            Place::Postgres { .. } => postgres(&self.url).await?,
            Place::Valkey { connection, .. } => valkey(&mut connection.clone(), created).await?,
        };
        let engine = self.engine().await?;
        for execution in facts.attempts.keys() {
            if let Some(result) = engine.get_execution_result(&execution.parse()?).await? {
                facts.results.insert(execution.clone(), String::from_utf8(result)?);
            }
        }
        Ok(facts)
    }

    /// Removes it.
    pub(crate) async fn close(&self) -> Tried {
        match &self.place {
            Place::Postgres { server, name } => server.drop_database(name).await?,
            Place::Valkey { slot, .. } => slot.flush().await?,
        }
        Ok(())
    }
}

async fn postgres(url: &str) -> Tried<Facts> {
    let mut session = PgConnection::connect(url).await?;
    let mut facts = Facts::default();
    let attempts = "SELECT execution_id, phase, lease_epoch FROM attempts ORDER BY execution_id, attempt_index";
    let attempts: Vec<(String, String, i64)> = sqlx::query_as(attempts).fetch_all(&mut session).await?;
    for (execution, phase, epoch) in attempts {
        let attempt = Attempt { phase, epoch: u64::try_from(epoch)? };
        facts.attempts.entry(execution).or_default().push(attempt);
    }
    let completions = "SELECT execution_id, outcome FROM completion_events ORDER BY id";
    let completions: Vec<(String, String)> = sqlx::query_as(completions).fetch_all(&mut session).await?;
    for (execution, outcome) in completions {
        facts.completions.entry(execution).or_default().push(outcome);
    }
    Ok(facts)
}

async fn valkey(connection: &mut MultiplexedConnection, created: &BTreeSet<String>) -> Tried<Facts> {
    let mut facts = Facts::default();
    for id in created {
        let uuid = id.rsplit(':').next().unwrap_or_default();
        let fields: BTreeMap<String, String> = connection.hgetall(format!("{ATTEMPTS}{uuid}")).await?;
        let mut attempts = Vec::new();
        for (name, begin) in fields.iter().filter(|(name, _)| !name.ends_with('e')) {
            let epoch = begin.split('\0').nth(3).ok_or("an attempt without its epoch")?.parse()?;
            let end = fields.get(&format!("{name}e"));
            let phase = end.and_then(|end| end.split('\0').next()).unwrap_or("started").to_owned();
            attempts.push((name.parse::<u32>()?, Attempt { phase, epoch }));
        }
        attempts.sort_by_key(|(index, _)| *index);
        let attempts = attempts.into_iter().map(|(_, attempt)| attempt).collect();
        facts.attempts.insert(id.clone(), attempts);
    }
    let mut from = "-".to_owned();
    loop {
        let page: StreamRangeReply = connection.xrange_count(COMPLETIONS, &from, "+", PAGE).await?;
        let Some(last) = page.ids.last() else { return Ok(facts) };
        from = format!("({}", last.id);
        for event in &page.ids {
            let id: String = event.get("x").ok_or("an event without its execution")?;
            let outcome = event.get("o").ok_or("an event without its outcome")?;
            facts.completions.entry(execution(&id)).or_default().push(outcome);
        }
    }
}

fn execution(uuid: &str) -> String {
    format!("{{fp:0}}:{uuid}")
}
