//! Tries the sources in their order, holds what was started, and removes it in the end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use testcontainers::{ContainerAsync, GenericImage};

use super::owner::{self, Owner, RunFolder};
use super::watch::Watchdog;
use super::{Kind, NoServer, Options, PostgresServer, Servers, Source, ValkeyServers, Wanted, docker, given, program};
use super::{Owned, ServerFacts, probe::Probe};

/// What a source came up with.
pub(crate) struct Found {
    pub(crate) urls: Vec<String>,
    pub(crate) facts: ServerFacts,
    pub(crate) handles: Vec<Handle>,
}

/// Something that lives as long as a run.
#[derive(Debug)]
pub(crate) enum Handle {
    Container(Box<ContainerAsync<GenericImage>>),
    Process(Owner),
    /// A file that is removed while its lock is still held.
    Lock {
        path: PathBuf,
        _file: File,
    },
}

/// Everything that a run has to remove; empty where another process is the owner.
#[derive(Debug, Default)]
pub(crate) struct Held {
    handles: Vec<Handle>,
    folder: Option<RunFolder>,
    watchdog: Option<Watchdog>,
    keep: bool,
}

impl Probe {
    pub(crate) fn facts(self, source: Source, owned: Owned) -> ServerFacts {
        ServerFacts {
            source,
            product: self.product,
            version: self.version,
            from: None,
            image_id: None,
            settings: self.settings,
            owned,
            concurrency: self.concurrency,
            cluster: self.primaries.is_some(),
        }
    }
}

impl Servers {
    /// Finds or starts the wanted servers; this process owns them until `shutdown`.
    ///
    /// Before that it removes what earlier runs left whose owner is gone.
    pub async fn start(wanted: Wanted, options: &Options) -> Self {
        let owner = Owner::current();
        tokio::join!(owner::sweep_folders(), docker::sweep());
        let folder = match RunFolder::create(&owner, options.keep) {
            Ok(folder) => folder,
            Err(error) => {
                let place = std::env::temp_dir();
                return Self::missing(&format!("cannot make a folder in {}: {error}", place.display()));
            }
        };
        let watchdog = options.watchdog.as_deref().filter(|_| !options.keep);
        let watchdog = watchdog.and_then(|program| match Watchdog::start(program, &owner) {
            Ok(watchdog) => Some(watchdog),
            Err(error) => {
                eprintln!("servers: no watchdog ({error}); after a kill -9 the next run removes what is left");
                None
            }
        });
        let (postgres, valkey) = tokio::join!(
            find(Kind::Postgres, wanted.postgres, options, &folder, &owner),
            find(Kind::Valkey, wanted.valkey, options, &folder, &owner),
        );
        let dir = folder.path.clone();
        let mut held = Held { handles: Vec::new(), watchdog, keep: options.keep, folder: None };
        let postgres = postgres.map(|found| {
            held.handles.extend(found.handles);
            PostgresServer {
                url: found.urls.into_iter().next().unwrap_or_default(),
                facts: found.facts,
                dir: dir.clone(),
            }
        });
        let valkey = valkey.map(|found| {
            held.handles.extend(found.handles);
            ValkeyServers { urls: found.urls, facts: found.facts, dir: dir.clone() }
        });
        let run = folder.run.clone();
        held.folder = Some(folder);
        Self { run, dir, postgres, valkey, held }
    }

    /// Removes what this run started; what another process owns is left to it.
    pub async fn shutdown(self) {
        let Held { handles, folder, watchdog, keep } = self.held;
        for handle in handles {
            match handle {
                Handle::Container(container) if keep => {
                    // Dropping the handle would remove the container.
                    eprintln!("servers: kept the container {}; remove it by `docker rm -f`", short(container.id()));
                    std::mem::forget(container);
                }
                Handle::Container(container) => {
                    let id = container.id().to_owned();
                    if let Err(error) = container.rm().await {
                        eprintln!("servers: cannot remove the container {}: {error}", short(&id));
                    }
                }
                Handle::Process(process) if keep => eprintln!("servers: kept the process {}", process.pid()),
                Handle::Process(process) => owner::end(&process).await,
                Handle::Lock { path, _file } => {
                    // One that stays is taken again by the next run.
                    let _ = fs::remove_file(path);
                }
            }
        }
        if let Some(folder) = folder.filter(|_| !keep)
            && let Err(error) = folder.remove()
        {
            eprintln!("servers: cannot remove {}: {error}", folder.path.display());
        }
        if let Some(watchdog) = watchdog {
            watchdog.dismiss();
        }
    }

    /// No servers at all, for one reason.
    pub(crate) fn missing(text: &str) -> Self {
        Self {
            run: String::new(),
            dir: std::env::temp_dir(),
            postgres: Err(NoServer::new(text)),
            valkey: Err(NoServer::new(text)),
            held: Held::default(),
        }
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Tries the sources in turn; a source that the user named explicitly is the last one tried.
async fn find(
    kind: Kind,
    wanted: bool,
    options: &Options,
    folder: &RunFolder,
    owner: &Owner,
) -> Result<Found, NoServer> {
    if !wanted {
        return Err(NoServer::new(format!("no {kind} server was asked for")));
    }
    let mut tried = Vec::new();
    for source in options.sources() {
        let answer = match (source, options.urls(kind)) {
            // An address that does not work is the user's to correct, not ours to replace.
            (Source::Url, Some(urls)) => return given::start(kind, urls, options).await,
            (Source::Url, None) => Err(format!("{} is not set", kind.url_variable())),
            (Source::Docker, _) => docker::start(kind, options, owner).await,
            (Source::Program, _) => program::start(kind, options, folder).await,
        };
        match answer {
            Ok(found) => return Ok(found),
            Err(text) => tried.push((source, text)),
        }
    }
    Err(none(kind, &tried))
}

fn none(kind: Kind, tried: &[(Source, String)]) -> NoServer {
    let mut text = format!("no {kind} server was found");
    for (source, reason) in tried {
        text.push_str(&format!("\n  {source:<8} {}", reason.trim().replace('\n', "\n           ")));
    }
    let (packages, address) = match kind {
        Kind::Postgres => ("postgresql", "postgres://user:password@host/postgres"),
        Kind::Valkey => ("valkey-server, or redis-server", "redis://host:6379"),
    };
    text.push_str(&format!(
        "\nStart Docker, or install the programs (Debian, Ubuntu: apt-get install {packages}), or set {}={address}",
        kind.url_variable()
    ));
    NoServer::new(text)
}

/// What one source could offer for one kind of server.
#[derive(Clone, Debug)]
pub struct Look {
    /// The kind of server.
    pub kind: Kind,
    /// The source that was looked at.
    pub source: Source,
    /// What it would use, or why it cannot.
    pub state: Result<String, String>,
}

/// Looks at every source without starting, pulling, building or writing anything.
pub async fn look(options: &Options) -> Vec<Look> {
    let mut looks = Vec::new();
    for kind in [Kind::Postgres, Kind::Valkey] {
        for source in options.sources() {
            let state = match (source, options.urls(kind)) {
                (Source::Url, Some(urls)) => given::look(kind, &urls, options).await.map_err(|error| error.to_string()),
                (Source::Url, None) => Err(format!("{} is not set", kind.url_variable())),
                (Source::Docker, _) => docker::look(kind).await,
                (Source::Program, _) => program::look(kind),
            };
            looks.push(Look { kind, source, state });
        }
    }
    looks
}

/// The last lines of a log, for an error.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
