//! A server of one's own for one test, and the library with its clock replaced.

use std::{fs::OpenOptions, path::PathBuf, sync::Arc, time::Duration};

use ff_backend_valkey::{LIBRARY_VERSION, ValkeyBackend, library};
use ff_core::{
    BackendConfig, CapabilitySet, ClaimPolicy, CreateExecutionArgs, EngineBackend, ExecutionId, Handle, LaneId,
    Namespace, PartitionConfig, WorkerId, WorkerInstanceId,
};
use redis::{Cmd, Value, cmd};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
};

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
    pub(crate) async fn set_clock(&self, now_ms: u64) {
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

/// A stretch of wire in front of a server that a test can cut, or stop the answers on.
pub(crate) struct Forward {
    pub(crate) url: String,
    held: Arc<watch::Sender<bool>>,
    cut: Arc<watch::Sender<()>>,
}

impl Forward {
    pub(crate) async fn to(server: &Server) -> Self {
        let client = redis::Client::open(server.url.as_str()).expect("URL");
        let target = client.get_connection_info().addr().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("redis://{}", listener.local_addr().expect("its address"));
        let (held, cut) = (Arc::new(watch::Sender::new(false)), Arc::new(watch::Sender::new(())));
        let (hold, end) = (Arc::clone(&held), Arc::clone(&cut));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.expect("server");
                let ((mut requests, answers), (replies, mut calls)) = (near.into_split(), far.into_split());
                let (held, mut end) = (hold.subscribe(), end.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy(&mut requests, &mut calls) => {}
                        () = answer(replies, answers, held) => {}
                        _ = end.changed() => {}
                    }
                });
            }
        });
        Self { url, held, cut }
    }

    /// Ends every connection.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }

    /// Keeps what the server says back, or lets it through.
    pub(crate) fn hold_replies(&self, held: bool) {
        self.held.send_replace(held);
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut held: watch::Receiver<bool>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if held.wait_for(|held| !held).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Waits until `holds` answers yes.
pub(crate) async fn eventually(holds: impl AsyncFn() -> bool) {
    let looks = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looks).await.expect("it came true within ten seconds");
}

/// The lane of all tests.
pub(crate) fn lane() -> LaneId {
    LaneId::try_new("mail").unwrap()
}

/// A new execution.
pub(crate) fn args() -> CreateExecutionArgs {
    let id = ExecutionId::solo(&lane(), PartitionConfig::default());
    CreateExecutionArgs::new(id, Namespace::try_new("tests").unwrap(), lane(), "send")
}

/// The next handle of the lane.
pub(crate) async fn claim(backend: &dyn EngineBackend) -> Option<Handle> {
    let worker = WorkerId::try_new("w").unwrap();
    let policy = ClaimPolicy::new(worker, WorkerInstanceId::try_new("w-1").unwrap(), Duration::from_secs(30));
    backend.claim(&lane(), &CapabilitySet::default(), policy).await.unwrap()
}

/// The code of the error that a create comes to.
pub(crate) async fn refused(backend: &dyn EngineBackend) -> String {
    backend.create_execution(args()).await.unwrap_err().code()
}

/// The library as if it were of another version.
pub(crate) fn versioned(version: u32, oldest_client: u32) -> String {
    let ours = format!("return {{ {LIBRARY_VERSION}, 1 }}");
    library().replace(&ours, &format!("return {{ {version}, {oldest_client} }}"))
}

/// The version of the library on the server.
pub(crate) async fn installed(server: &Server) -> Vec<u32> {
    server.ask(cmd("FCALL_RO").arg("ff_version").arg(0)).await.unwrap()
}
