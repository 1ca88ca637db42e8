//! A server that may be killed, in a container.

use std::time::Duration;

use testcontainers::bollard::Docker;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

use super::{ask, settings};
use crate::WriteThrough;
use crate::servers::docker::{FILES, FIRST_VALKEY_PORT, POSTGRES_FILES, engine, ready, request};
use crate::servers::owner::{self, Owner};
use crate::servers::program::free_ports;
use crate::servers::{Kind, Options, images};

/// How long a killed container may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// A container whose files outlive its process, on a port that stays the same.
#[derive(Debug)]
pub(super) struct Container {
    docker: Docker,
    container: ContainerAsync<GenericImage>,
}

impl Container {
    pub(super) async fn start(kind: Kind, through: WriteThrough) -> Result<(String, Self), String> {
        let docker = engine().await?;
        let image = images::get(&docker, kind).await?;
        let port = free_ports(1).map_err(|error| error.to_string())?[0];
        let password = owner::random_hex(16).map_err(|error| error.to_string())?;
        let (inside, url, program) = match kind {
            Kind::Postgres => (5432, format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres"), None),
            Kind::Valkey => (FIRST_VALKEY_PORT, format!("redis://127.0.0.1:{port}"), Some("sh")),
        };
        let (options, owner) = (Options { durable: true, ..Options::default() }, Owner::current());
        let request = request(&image, program, &[(inside, port)], &options, &owner);
        let request = match kind {
            Kind::Postgres => request
                .with_cmd(["postgres".to_owned()].into_iter().chain(settings(kind, through)))
                .with_env_var("POSTGRES_PASSWORD", &password)
                .with_env_var("PGDATA", POSTGRES_FILES)
                .with_env_var("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --no-sync")
                .with_env_var("LANG", "C.UTF-8")
                .with_shm_size(256 << 20),
            Kind::Valkey => {
                let script = "exec \"$(command -v valkey-server || command -v redis-server)\" \"$@\"";
                let place = ["-c", script, "sh", "--port", &inside.to_string(), "--bind", "0.0.0.0", "--dir", FILES];
                let place = place.into_iter().chain(["--protected-mode", "no"]).map(str::to_owned);
                request.with_cmd(place.chain(settings(kind, through)).collect::<Vec<_>>())
            }
        };
        let container = request.start().await.map_err(|error| error.to_string())?;
        ready(&container, async || ask(kind, &url).await).await?;
        Ok((url, Self { docker, container }))
    }

    pub(super) async fn launch(&mut self, kind: Kind, url: &str) -> Result<(), String> {
        self.docker.start_container(self.container.id(), None).await.map_err(|error| error.to_string())?;
        ready(&self.container, async || ask(kind, url).await).await.map(|_| ())
    }

    pub(super) async fn kill(&mut self) -> Result<(), String> {
        self.docker.kill_container(self.container.id(), None).await.map_err(|error| error.to_string())?;
        let ended = async || matches!(self.container.is_running().await, Ok(false)).then_some(());
        owner::until(GONE, ended).await.ok_or_else(|| "it runs on".to_owned())
    }

    pub(super) async fn remove(self) {
        if let Err(error) = self.container.rm().await {
            eprintln!("servers: cannot remove a container: {error}");
        }
    }
}
