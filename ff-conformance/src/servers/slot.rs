//! Shares servers among the processes of a run: one case a Valkey server, so many cases a Postgres server.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use super::guard;
use super::{Owned, PostgresServer, ServerError, ValkeyServers};

/// Exclusive use of one Valkey server, or of one cluster, until it is dropped.
#[derive(Debug)]
pub struct ValkeySlot {
    /// Its address; of a cluster, one node.
    pub url: String,
    /// All nodes that were given, where the server is a cluster.
    pub urls: Vec<String>,
    owned: Owned,
    _lock: File,
}

impl ValkeySlot {
    pub(crate) async fn take(servers: &ValkeyServers) -> Result<Self, ServerError> {
        let (index, lock) = lock_one(&servers.dir, "valkey", servers.facts.concurrency).await?;
        // A stranger's addresses are one server, whether or not it has several nodes.
        let urls = match servers.facts.owned {
            Owned::Ours => servers.urls.get(index..=index),
            Owned::Theirs => servers.urls.get(..),
        };
        let urls = urls.unwrap_or_default().to_vec();
        let url = urls.first().cloned().ok_or_else(|| ServerError::new("the pool of Valkey servers is empty"))?;
        Ok(Self { url, urls, owned: servers.facts.owned, _lock: lock })
    }

    /// Whether `FLUSHALL` may go to this server: we started it, or it carries the sandbox key now.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn may_flush(&self) -> Result<bool, ServerError> {
        match self.owned {
            Owned::Ours => Ok(true),
            Owned::Theirs => guard::has_sandbox_key(&self.urls).await,
        }
    }

    /// Empties the server: all keys and all functions; a stranger's sandbox key stays.
    ///
    /// # Errors
    /// If the server may not be flushed, or does not answer.
    pub async fn flush(&self) -> Result<(), ServerError> {
        if !self.may_flush().await? {
            return Err(ServerError::new(format!(
                "{} does not carry the key {}: nothing was flushed",
                guard::shown(&self.url),
                guard::SANDBOX
            )));
        }
        guard::flush(&self.urls, self.owned).await
    }
}

/// Leave to run one case on the Postgres server, until it is dropped.
#[derive(Debug)]
pub struct PostgresPermit {
    _lock: File,
}

impl PostgresPermit {
    pub(crate) async fn take(server: &PostgresServer) -> Result<Self, ServerError> {
        let (_, lock) = lock_one(&server.dir, "postgres", server.facts.concurrency).await?;
        Ok(Self { _lock: lock })
    }
}

/// Takes one of `count` locks that all processes of a run share; it is free again when the file is dropped.
async fn lock_one(folder: &Path, stem: &str, count: usize) -> Result<(usize, File), ServerError> {
    let mut files = Vec::with_capacity(count);
    for index in 0..count {
        let path = folder.join(format!("{stem}-{index}.lock"));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        files.push(Some(file.map_err(|error| ServerError::new(format!("cannot open {}: {error}", path.display())))?));
    }
    // Processes that start together begin at different locks.
    let first = std::process::id() as usize % count.max(1);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    // Not `until`: the future of an async closure is not `Send` for every lifetime, and a harness needs that.
    let taken = async {
        loop {
            tick.tick().await;
            let free = (first..first + count).map(|index| index % count).find_map(|index| {
                files[index].as_ref()?.try_lock().ok()?;
                files[index].take().map(|file| (index, file))
            });
            if let Some(taken) = free {
                return taken;
            }
        }
    };
    let taken = tokio::time::timeout(Duration::from_secs(1_800), taken).await;
    taken.map_err(|_| ServerError::new(format!("no {stem} came free within half an hour")))
}

#[cfg(test)]
mod tests {
    use super::lock_one;
    use crate::servers::owner::random_hex;

    #[tokio::test]
    async fn two_holders_never_share_a_lock() {
        let folder = std::env::temp_dir().join(format!("ff-conformance-locks-{}", random_hex(4).unwrap()));
        std::fs::create_dir(&folder).unwrap();
        let (first, held) = lock_one(&folder, "x", 2).await.unwrap();
        let (second, _other) = lock_one(&folder, "x", 2).await.unwrap();
        assert_ne!(first, second);
        drop(held);
        assert_eq!(lock_one(&folder, "x", 2).await.unwrap().0, first);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
