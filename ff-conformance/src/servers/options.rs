//! What is wanted of the servers, and the switches that say how to get them.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Kind, ServerError};

/// A way to get a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `FF_POSTGRES_URL` and `FF_VALKEY_URL`.
    Url,
    /// A container of a Docker Engine.
    Docker,
    /// Programs of this machine.
    Program,
}

impl Source {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Url, Self::Docker, Self::Program];

    /// Reads a source's name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.to_string() == name)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Url => "url",
            Self::Docker => "docker",
            Self::Program => "program",
        })
    }
}

/// Which servers a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whether Postgres is needed.
    pub postgres: bool,
    /// Whether Valkey is needed.
    pub valkey: bool,
}

impl Wanted {
    /// Both servers.
    pub const ALL: Self = Self { postgres: true, valkey: true };

    /// One server.
    #[must_use]
    pub fn only(kind: Kind) -> Self {
        Self { postgres: kind == Kind::Postgres, valkey: kind == Kind::Valkey }
    }
}

/// How servers are found and treated.
#[derive(Clone, Debug)]
pub struct Options {
    /// The only source to try; all of them in turn if absent.
    pub source: Option<Source>,
    /// The Postgres server to use, by the address of its maintenance database.
    pub postgres_url: Option<String>,
    /// The Valkey server to use; of a cluster all primaries, separated by commas.
    pub valkey_url: Option<String>,
    /// How many Valkey servers the pool has where we start them.
    pub valkey_pool: usize,
    /// Postgres writes through to the disk, at the price of slower cases.
    pub durable: bool,
    /// The caller says that a server given by URL may be emptied, whatever is on it.
    pub own_this_server: bool,
    /// What was started stays after the run.
    pub keep: bool,
    /// The `ff-conformance` program, which removes what we started should this process be killed.
    pub watchdog: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            source: None,
            postgres_url: None,
            valkey_url: None,
            valkey_pool: 8,
            durable: false,
            own_this_server: false,
            keep: false,
            watchdog: None,
        }
    }
}

impl Options {
    /// The defaults, changed by `FF_POSTGRES_URL`, `FF_VALKEY_URL` and the `FF_CONFORMANCE_…` variables.
    ///
    /// # Errors
    /// If a variable holds something else than it may.
    pub fn from_env() -> Result<Self, ServerError> {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let switch = |name: &str| text(name).is_some_and(|value| value != "0");
        let mut options = Self {
            postgres_url: text("FF_POSTGRES_URL"),
            valkey_url: text("FF_VALKEY_URL"),
            durable: switch("FF_CONFORMANCE_DURABLE"),
            own_this_server: switch("FF_CONFORMANCE_I_OWN_THIS_SERVER"),
            keep: switch("FF_CONFORMANCE_KEEP"),
            ..Self::default()
        };
        if let Some(name) = text("FF_CONFORMANCE_SOURCE") {
            let source = Source::parse(&name).ok_or_else(|| {
                ServerError::new(format!("FF_CONFORMANCE_SOURCE is `{name}`: it may be url, docker or program"))
            })?;
            options.source = Some(source);
        }
        if let Some(count) = text("FF_CONFORMANCE_VALKEY_POOL") {
            let pool = count.parse().ok().filter(|pool| (1..=64).contains(pool));
            options.valkey_pool = pool.ok_or_else(|| {
                ServerError::new(format!("FF_CONFORMANCE_VALKEY_POOL is `{count}`: it may be 1 to 64"))
            })?;
        }
        Ok(options)
    }

    /// The addresses given for one kind of server; several are the primaries of one cluster.
    #[must_use]
    pub fn urls(&self, kind: Kind) -> Option<Vec<String>> {
        let text = match kind {
            Kind::Postgres => self.postgres_url.as_ref()?,
            Kind::Valkey => self.valkey_url.as_ref()?,
        };
        let urls: Vec<_> = text.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect();
        Some(urls).filter(|urls| !urls.is_empty())
    }

    pub(crate) fn sources(&self) -> Vec<Source> {
        self.source.map_or_else(|| Source::ALL.to_vec(), |source| vec![source])
    }
}
