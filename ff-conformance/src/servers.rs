//! Finds or starts the Postgres and Valkey servers of a run, and removes what it started.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Environment, HarnessError, Topology};

mod databases;
mod docker;
mod environment;
mod given;
mod guard;
mod images;
mod mortal;
mod options;
mod owner;
mod probe;
mod program;
mod slot;
mod start;
mod watch;

pub use guard::SANDBOX;
pub use mortal::MortalServer;
pub use options::{Options, Source, Wanted};
pub use slot::{PostgresPermit, ValkeySlot};
pub use start::{Look, look};
pub use watch::{signal, watch};

/// The two kinds of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL 15 or later.
    Postgres,
    /// Valkey 7.2 or later, or Redis 7.0 or later.
    Valkey,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Postgres => "postgres",
            Self::Valkey => "valkey",
        })
    }
}

/// Whose server it is, and so what may be done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owned {
    /// This run started it and removes it.
    Ours,
    /// It was given by URL.
    Theirs,
}

/// What a report says about a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// How it was found.
    pub source: Source,
    /// `PostgreSQL`, `Valkey` or `Redis`.
    pub product: String,
    /// The version that it tells.
    pub version: String,
    /// The image it runs from, or the folder of the program.
    pub from: Option<String>,
    /// The image's id, which does not change when a tag moves.
    pub image_id: Option<String>,
    /// Settings that matter for a verdict, as the server tells them.
    pub settings: BTreeMap<String, String>,
    /// Whose it is.
    pub owned: Owned,
    /// How many cases may use it at once.
    pub concurrency: usize,
    /// Whether several nodes form one cluster.
    pub cluster: bool,
}

impl fmt::Display for ServerFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} by {}", self.product, self.version, self.source)?;
        self.from.as_ref().map_or(Ok(()), |from| write!(f, ", {from}"))
    }
}

impl ServerFacts {
    /// What a report says of a profile that runs on this server, such as `postgres-17` or `valkey-8.1`.
    #[must_use]
    pub fn environment(&self) -> Environment {
        // PostgreSQL counts its releases by one number, the others by two.
        let (name, numbers) = match self.product.as_str() {
            "PostgreSQL" => ("postgres".to_owned(), 1),
            product => (product.to_lowercase(), 2),
        };
        let release: Vec<_> = self.version.split('.').take(numbers).collect();
        let image = self.from.as_ref().filter(|_| self.source == Source::Docker);
        Environment {
            profile: format!("{name}-{}", release.join(".")),
            server: format!("{} {}", self.product, self.version),
            source: self.source.to_string(),
            image: image.map(|name| format!("{name} {}", self.image_id.as_deref().unwrap_or_default())),
            topology: if self.cluster { Topology::Cluster } else { Topology::Single },
            settings: self.settings.clone(),
        }
    }
}

/// The Postgres server of a run.
#[derive(Clone, Debug)]
pub struct PostgresServer {
    /// The address of its maintenance database.
    pub url: String,
    /// What a report says about it.
    pub facts: ServerFacts,
    dir: PathBuf,
}

impl PostgresServer {
    /// Waits for leave to run one case, so that all processes together stay below `max_connections`.
    ///
    /// # Errors
    /// If no case ends within half an hour, or the run's folder is gone.
    pub async fn permit(&self) -> Result<PostgresPermit, ServerError> {
        PostgresPermit::take(self).await
    }
}

/// The Valkey servers of a run.
#[derive(Clone, Debug)]
pub struct ValkeyServers {
    /// One address a server; if `facts.cluster`, one a node.
    pub urls: Vec<String>,
    /// What a report says about them; they are all alike.
    pub facts: ServerFacts,
    dir: PathBuf,
}

impl ValkeyServers {
    /// Waits for exclusive use of one server, across all processes of the run.
    ///
    /// # Errors
    /// If none comes free within half an hour, or the run's folder is gone.
    pub async fn take(&self) -> Result<ValkeySlot, ServerError> {
        ValkeySlot::take(self).await
    }
}

/// The servers of one run.
#[derive(Debug)]
pub struct Servers {
    /// The run's id.
    pub run: String,
    /// The run's folder for temporary files, shared by its processes.
    pub dir: PathBuf,
    /// The Postgres server, or why there is none.
    pub postgres: Result<PostgresServer, NoServer>,
    /// The Valkey servers, or why there are none.
    pub valkey: Result<ValkeyServers, NoServer>,
    held: start::Held,
}

/// There is no server of a kind; the text says what was tried and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoServer {
    text: String,
}

impl NoServer {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl fmt::Display for NoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for NoServer {}

/// A server that was found did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    text: String,
}

impl ServerError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ServerError {}

impl From<NoServer> for HarnessError {
    fn from(none: NoServer) -> Self {
        Self::new(none.text)
    }
}

impl From<ServerError> for HarnessError {
    fn from(error: ServerError) -> Self {
        Self::new(error.text)
    }
}
