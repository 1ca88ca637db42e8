//! What an author gives the suite: how to open an empty store of a backend, and how to reach it.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, sync::Arc};

use async_trait::async_trait;
use ff_core::{EngineBackend, EngineError, ScannerConfig};
use serde::{Deserialize, Serialize};

use crate::{Control, Controls};

/// Why a harness could not do what it was asked; the case is `errored`, and nothing is said about the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarnessError(String);

impl HarnessError {
    /// An error with the words that help its reader.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for HarnessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HarnessError {}

impl From<EngineError> for HarnessError {
    fn from(error: EngineError) -> Self {
        Self(error.to_string())
    }
}

/// Who is under test, as printed in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The name of the backend.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where to read about it.
    pub url: String,
}

impl Identity {
    /// A backend by name, version and place to read about it.
    pub fn new(name: impl Into<String>, version: impl Into<String>, url: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), url: url.into() }
    }
}

/// Where the store of a profile lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// In the process of the suite.
    InProcess,
    /// One server.
    Single,
    /// Several servers that share the data.
    Cluster,
}

impl Topology {
    /// True if a store that lives there can have `control`: in the suite's process nothing has an address, and nothing
    /// waits inside a store; there are no sessions and no server either.
    #[must_use]
    pub const fn can_have(self, control: Control) -> bool {
        let of_a_server = matches!(control, Control::Address | Control::Hold | Control::Sessions | Control::Server);
        !(matches!(self, Self::InProcess) && of_a_server)
    }
}

/// What `source` says of a server that was given by URL: it is somebody else's, so the suite never kills it.
const THEIRS: &str = "url";

/// True if a store that lives in `topology`, on a server found by `source`, can have `control`.
pub(crate) fn can_have(topology: Topology, source: &str, control: Control) -> bool {
    topology.can_have(control) && !(source == THEIRS && control == Control::Server)
}

/// Facts about the store for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The profile: backend, server version and topology in one word, such as `postgres-17`.
    pub profile: String,
    /// The server and its version.
    pub server: String,
    /// How the server was found: `url` if it is somebody else's, `docker`, `program` or `in process`.
    pub source: String,
    /// The image and its digest, if there is one.
    pub image: Option<String>,
    /// Where the store lives.
    pub topology: Topology,
    /// Settings that matter for what the report says.
    pub settings: BTreeMap<String, String>,
}

impl Environment {
    /// A store that nothing is known of.
    pub fn unknown(profile: impl Into<String>) -> Self {
        Self {
            profile: profile.into(),
            server: "unknown".to_owned(),
            source: "unknown".to_owned(),
            image: None,
            topology: Topology::Single,
            settings: BTreeMap::new(),
        }
    }

    /// A store that lives in the process of the suite: nothing stands between it and its clients.
    pub fn in_process(profile: impl Into<String>) -> Self {
        let (server, source) = ("none".to_owned(), "in process".to_owned());
        Self { server, source, topology: Topology::InProcess, ..Self::unknown(profile) }
    }
}

/// Opens empty stores of one backend.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// Who is under test, as printed in the report.
    fn identity(&self) -> Identity;

    /// An empty store that no other case can see.
    ///
    /// # Errors
    /// If there is no server, or it does not do as it is told.
    async fn open(&self) -> Result<Box<dyn Store>, HarnessError>;

    /// Facts for the report: server version, image digest, settings.
    fn environment(&self) -> Environment {
        Environment::unknown(self.identity().name)
    }
}

/// One empty store and the ways to reach it.
#[async_trait]
pub trait Store: Send + Sync {
    /// One more client, with its own connections; several cases need two or more.
    ///
    /// # Errors
    /// If the store cannot be reached.
    async fn connect(&self, client: Client) -> Result<Arc<dyn EngineBackend>, HarnessError>;

    /// What the suite may do to this store; what is absent is reported as not run.
    fn controls(&self) -> Controls {
        Controls::none()
    }

    /// Drops the store; `failed` asks to keep it for inspection.
    ///
    /// # Errors
    /// If the store could not be dropped.
    async fn close(self: Box<Self>, failed: bool) -> Result<(), HarnessError> {
        let _ = failed;
        Ok(())
    }
}

/// One client of a store.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where to connect instead of the store's own address: a proxy of the suite.
    pub address: Option<SocketAddr>,
    /// Connections of its pool.
    pub pool_size: NonZeroU32,
    /// Its name in reports.
    pub name: String,
    /// Its background loops.
    pub scanners: Option<ScannerConfig>,
}

impl Client {
    /// A client with four connections.
    pub fn new(name: impl Into<String>) -> Self {
        Self { address: None, pool_size: NonZeroU32::MIN.saturating_add(3), name: name.into(), scanners: None }
    }

    /// The same with background loops.
    #[must_use]
    pub fn scanners(mut self, scanners: ScannerConfig) -> Self {
        self.scanners = Some(scanners);
        self
    }

    /// The same behind a proxy.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }
}
