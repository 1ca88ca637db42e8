//! Servers given by URL: used as they are, after the guard has let them pass.

use std::fs::{self, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;

use super::owner::own_uid;
use super::probe::{self, shown};
use super::start::{Found, Handle};
use super::{Kind, NoServer, Options, Owned, ServerFacts, Source, guard};

impl Kind {
    /// The variable that gives a server of this kind.
    pub(crate) fn url_variable(self) -> &'static str {
        match self {
            Self::Postgres => "FF_POSTGRES_URL",
            Self::Valkey => "FF_VALKEY_URL",
        }
    }
}

/// Says what the given servers are, without a write.
pub(crate) async fn look(kind: Kind, urls: &[String], options: &Options) -> Result<String, NoServer> {
    let facts = examine(kind, urls, options).await?;
    let places: Vec<_> = urls.iter().map(|url| shown(url)).collect();
    Ok(format!("{} {} at {}", facts.product, facts.version, places.join(", ")))
}

/// Takes the given servers into use.
pub(crate) async fn start(kind: Kind, urls: Vec<String>, options: &Options) -> Result<Found, NoServer> {
    let facts = examine(kind, &urls, options).await?;
    let mut handles = Vec::new();
    if kind == Kind::Valkey {
        handles.push(reserve(&urls)?);
        guard::mark(&urls).await.map_err(|error| NoServer::new(error.to_string()))?;
    }
    Ok(Found { urls, facts, handles })
}

async fn examine(kind: Kind, urls: &[String], options: &Options) -> Result<ServerFacts, NoServer> {
    if kind == Kind::Postgres && urls.len() > 1 {
        return Err(NoServer::new("FF_POSTGRES_URL holds several addresses; give one"));
    }
    if kind == Kind::Valkey && !options.own_this_server {
        guard::inspect(urls).await?;
    }
    let mut told = Vec::with_capacity(urls.len());
    for url in urls {
        let probe = match kind {
            Kind::Postgres => probe::postgres(url).await,
            Kind::Valkey => probe::valkey(url).await,
        };
        told.push(probe.map_err(|error| NoServer::new(format!("{} at {}: {error}", kind.url_variable(), shown(url))))?);
    }
    if urls.len() > 1 && told.iter().any(|probe| probe.primaries.is_none()) {
        return Err(NoServer::new("FF_VALKEY_URL holds several addresses that are not nodes of one cluster; give one"));
    }
    // A node that was not given was not looked at, and would be written to all the same.
    if let Some(primaries) = told.iter().find_map(|probe| probe.primaries.filter(|count| *count != urls.len())) {
        return Err(NoServer::new(format!(
            "the cluster has {primaries} primaries and FF_VALKEY_URL names {} of its nodes; give exactly the primaries",
            urls.len()
        )));
    }
    let probe = told.into_iter().next().ok_or_else(|| NoServer::new("no address was given"))?;
    Ok(probe.facts(Source::Url, Owned::Theirs))
}

/// Keeps a second run of this machine off the same servers: cases there run one at a time.
fn reserve(urls: &[String]) -> Result<Handle, NoServer> {
    let mut hasher = DefaultHasher::new();
    urls.iter().map(|url| shown(url)).collect::<Vec<_>>().hash(&mut hasher);
    let name = format!("ff-conformance-given-{}-{:016x}.lock", own_uid().unwrap_or_default(), hasher.finish());
    let path = std::env::temp_dir().join(name);
    let trouble = |error: std::io::Error| NoServer::new(format!("cannot lock {}: {error}", path.display()));
    loop {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(trouble)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = "another run on this machine uses the server that FF_VALKEY_URL names; wait for its end";
                return Err(NoServer::new(text));
            }
            Err(TryLockError::Error(error)) => return Err(trouble(error)),
        }
        // The run before us may have removed the file between our two steps; a lock on a removed file keeps nobody off.
        let ours = file.metadata().map_err(trouble)?.ino();
        if fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
            return Ok(Handle::Lock { path, _file: file });
        }
    }
}
