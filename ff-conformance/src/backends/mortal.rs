//! Servers of the run's own that cases may kill, with a store of the backend on them.

use std::sync::Arc;

use async_trait::async_trait;
use ff_backend_postgres::PostgresBackend;
use ff_backend_valkey::ValkeyBackend;
use ff_core::{BackendConfig, EngineBackend};
use tokio::{runtime::Handle, sync::Mutex, task::spawn_blocking};

use crate::{
    HarnessError, MortalServer, ServerControl, WriteThrough,
    servers::{self, Kind},
};

/// Starts servers of one kind.
pub(super) struct OwnServers(pub(super) Kind);

#[async_trait]
impl ServerControl for OwnServers {
    async fn start(&self, through: WriteThrough) -> Result<Box<dyn MortalServer>, HarnessError> {
        let kind = self.0;
        let own = aside(move || async move {
            let server = servers::MortalServer::start(kind, through).await?;
            let url = server.url.clone();
            if let Err(error) = ready(kind, &url).await {
                server.remove().await;
                return Err(error);
            }
            Ok(OwnServer { kind, url, server: Arc::new(Mutex::new(server)) })
        });
        Ok(Box::new(own.await?))
    }
}

struct OwnServer {
    kind: Kind,
    url: String,
    server: Arc<Mutex<servers::MortalServer>>,
}

#[async_trait]
impl MortalServer for OwnServer {
    async fn connect(&self) -> Result<Arc<dyn EngineBackend>, HarnessError> {
        connect(self.kind, &self.url).await
    }

    async fn kill(&mut self) -> Result<(), HarnessError> {
        let server = Arc::clone(&self.server);
        aside(move || async move { Ok(server.lock().await.kill().await?) }).await
    }

    /// A server without a file has forgotten its functions as well.
    async fn restart(&mut self) -> Result<(), HarnessError> {
        let (server, kind, url) = (Arc::clone(&self.server), self.kind, self.url.clone());
        let again = move || async move {
            server.lock().await.restart().await?;
            ready(kind, &url).await
        };
        aside(again).await
    }

    async fn remove(self: Box<Self>) -> Result<(), HarnessError> {
        let Some(server) = Arc::into_inner(self.server) else {
            return Err(HarnessError::new("the server is still in use"));
        };
        aside(move || async move {
            server.into_inner().remove().await;
            Ok(())
        })
        .await
    }
}

async fn connect(kind: Kind, url: &str) -> Result<Arc<dyn EngineBackend>, HarnessError> {
    Ok(match kind {
        Kind::Postgres => PostgresBackend::connect(BackendConfig::postgres(url)).await?,
        Kind::Valkey => ValkeyBackend::connect(BackendConfig::valkey(url)).await?,
    })
}

async fn ready(kind: Kind, url: &str) -> Result<(), HarnessError> {
    if kind == Kind::Postgres {
        PostgresBackend::migrate(&BackendConfig::postgres(url)).await?;
    }
    connect(kind, url).await?.prepare().await?;
    Ok(())
}

/// Runs what cannot be sent between threads on one of its own.
async fn aside<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<T, HarnessError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, HarnessError>>,
{
    let here = Handle::current();
    let done = spawn_blocking(move || here.block_on(work())).await;
    done.map_err(|error| HarnessError::new(error.to_string()))?
}
