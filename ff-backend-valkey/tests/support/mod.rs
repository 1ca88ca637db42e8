//! A server of one's own for one test, and the library with its clock replaced.

use std::{fs::OpenOptions, path::PathBuf, sync::Arc};

use ff_backend_valkey::{ValkeyBackend, library};
use ff_core::{BackendConfig, EngineBackend};
use redis::{Cmd, Value, cmd};

/// The first server of the run, without anything of the engine on it, for as long as this lives.
pub(crate) struct Server {
    pub(crate) url: String,
    _slot: std::fs::File,
}

impl Server {
    pub(crate) async fn new() -> Self {
        let urls = std::env::var("FF_CONFORMANCE_VALKEY").expect("no server: run through ./dev nextest");
        let url = urls.split(',').next().expect("a URL").to_owned();
        // The lock by which the cases of a run share this server.
        let folder = std::env::var_os("FF_CONFORMANCE_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let slot = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("valkey-0.lock"));
        let slot = slot.expect("the lock file");
        slot.lock().expect("the lock");
        let server = Self { url, _slot: slot };
        server.clear().await;
        server
    }

    /// Removes what the engine keeps, and nothing else.
    async fn clear(&self) {
        let keys: Vec<String> = self.ask(cmd("KEYS").arg("ff:{*")).await.expect("keys");
        for key in keys {
            self.ask::<()>(cmd("DEL").arg(key)).await.expect("a key is deleted");
        }
        // The library need not be there.
        let _ = self.ask::<()>(cmd("FUNCTION").arg("DELETE").arg("ff")).await;
    }

    /// Sends one command on a connection of its own.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url.as_str())?;
        command.query_async(&mut client.get_multiplexed_async_connection().await?).await
    }

    /// A connected backend on a server that nobody prepared.
    pub(crate) async fn connected(&self) -> Arc<ValkeyBackend> {
        ValkeyBackend::connect(BackendConfig::valkey(&self.url)).await.expect("connect")
    }

    /// A prepared backend.
    pub(crate) async fn backend(&self) -> Arc<ValkeyBackend> {
        let backend = self.connected().await;
        backend.prepare().await.expect("prepare");
        backend
    }

    /// Replaces the library.
    pub(crate) async fn load(&self, text: &str) {
        let loaded: Value = self.ask(cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(text)).await.expect("load");
        assert_ne!(loaded, Value::Nil);
    }

    /// Replaces the library by one whose clock stands at `now_ms`.
    pub(crate) async fn set_clock(&self, now_ms: i64) {
        self.load(&substitute("lib/time.lua", &format!("ff.now_ms = function() return {now_ms} end\n"))).await;
    }
}

/// The library with one file replaced.
pub(crate) fn substitute(path: &str, body: &str) -> String {
    let text = library();
    let mark = format!("-- file: {path}\n");
    let (before, rest) = text.split_once(&mark).expect("the file is in the library");
    let after = rest.split_once("-- file: ").map(|(_, after)| format!("-- file: {after}")).unwrap_or_default();
    format!("{before}{mark}do\n{body}end\n{after}")
}
