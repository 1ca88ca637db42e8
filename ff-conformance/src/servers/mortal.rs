//! A server of its own that a test may kill, pause and start again with what it has on disk.

mod container;
mod process;

use super::probe::{self, Probe};
use super::program::postgres_settings;
use super::{Kind, Options, ServerError, Source};
use crate::WriteThrough;
use container::Container;
use process::Process;

/// A server of its own that may be killed.
#[derive(Debug)]
pub struct MortalServer {
    /// Where it answers, also after each start.
    pub url: String,
    kind: Kind,
    host: Host,
}

/// Where it runs.
#[derive(Debug)]
enum Host {
    Container(Box<Container>),
    Process(Process),
}

impl MortalServer {
    /// Starts one in a container, or else of a program of this machine; `FF_CONFORMANCE_SOURCE` may choose.
    ///
    /// A server that was given by URL is not ours to kill, so that source chooses nothing.
    ///
    /// # Errors
    /// If neither is to be had, or it does not answer.
    pub async fn start(kind: Kind, through: WriteThrough) -> Result<Self, ServerError> {
        let chosen = Options::from_env()?.source.filter(|source| *source != Source::Url);
        let mut tried = Vec::new();
        for source in [Source::Docker, Source::Program] {
            if chosen.is_some_and(|chosen| chosen != source) {
                continue;
            }
            let started = if source == Source::Docker {
                Container::start(kind, through)
                    .await
                    .map(|(url, container)| (url, Host::Container(Box::new(container))))
            } else {
                Process::start(kind, through).await.map(|(url, process)| (url, Host::Process(process)))
            };
            match started {
                Ok((url, host)) => return Ok(Self { url, kind, host }),
                Err(error) => tried.push(format!("{source}: {error}")),
            }
        }
        Err(ServerError::new(format!("no {kind} server that may be killed: {}", tried.join("; "))))
    }

    /// Ends it at once, as a loss of power to its process would: nothing is asked, nothing is flushed.
    ///
    /// # Errors
    /// If it still runs.
    pub async fn kill(&mut self) -> Result<(), ServerError> {
        let killed = match &mut self.host {
            Host::Container(container) => container.kill().await,
            Host::Process(process) => process.kill().await,
        };
        killed.map_err(ServerError::new)
    }

    /// Starts it again with what it has on disk.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        let url = self.url.clone();
        let started = match &mut self.host {
            Host::Container(container) => container.launch(self.kind, &url).await,
            Host::Process(process) => process.launch(self.kind, &url).await,
        };
        started.map_err(ServerError::new)
    }

    /// Ends it and removes what it wrote.
    pub async fn remove(self) {
        match self.host {
            Host::Container(container) => container.remove().await,
            Host::Process(process) => process.remove().await,
        }
    }
}

async fn ask(kind: Kind, url: &str) -> Result<Probe, String> {
    match kind {
        Kind::Postgres => probe::postgres(url).await,
        Kind::Valkey => probe::valkey(url).await,
    }
}

/// What a server is started with, so that it writes through or not: with `fsync` and `synchronous_commit`, or
/// `appendfsync always`; or without the latter of Postgres and with no file at all.
fn settings(kind: Kind, through: WriteThrough) -> Vec<String> {
    match kind {
        Kind::Postgres => {
            let mut settings = postgres_settings(true);
            if through == WriteThrough::Never {
                settings.extend([("synchronous_commit", "off"), ("wal_writer_delay", "10s")]);
            }
            settings.iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]).collect()
        }
        Kind::Valkey => {
            let file = if through == WriteThrough::Always { "yes" } else { "no" };
            let words = ["--loglevel", "warning", "--save", "", "--appendonly", file, "--appendfsync", "always"];
            words.into_iter().chain(["--maxmemory-policy", "noeviction"]).map(str::to_owned).collect()
        }
    }
}
