//! A server that may be killed, of a program of this machine.

use std::path::PathBuf;

use super::{ask, settings};
use crate::WriteThrough;
use crate::servers::Kind;
use crate::servers::owner::{self, Owner, RunFolder, signal};
use crate::servers::program::{Home, free_ports, initialise, launch, programs, ready};

/// How often it is launched until it runs: what a killed server leaves behind may hold its memory for a moment.
const LAUNCHES: u32 = 10;
/// How long a killed server may take to be gone.
const GONE: std::time::Duration = std::time::Duration::from_secs(10);

/// A process and what it has on disk.
#[derive(Debug)]
pub(super) struct Process {
    home: Home,
    folder: RunFolder,
    arguments: Vec<String>,
    program: PathBuf,
    leader: Option<Owner>,
}

impl Process {
    pub(super) async fn start(kind: Kind, through: WriteThrough) -> Result<(String, Self), String> {
        let program = programs(kind)?;
        let folder = RunFolder::create(&Owner::current(), false).map_err(|error| error.to_string())?;
        let home = Home::create(&folder, kind).map_err(|error| error.to_string())?;
        let port = free_ports(1).map_err(|error| error.to_string())?[0];
        let (mut arguments, url) = match kind {
            Kind::Postgres => {
                let password = owner::random_hex(16).map_err(|error| error.to_string())?;
                let data = home.path.join("data");
                initialise(&program, &home, &data, &password)?;
                let (data, port_text) = (data.display().to_string(), port.to_string());
                let place = ["-D", &data, "-p", &port_text, "-c", "listen_addresses=127.0.0.1"];
                let place = place.into_iter().chain(["-c", "unix_socket_directories="]).map(str::to_owned);
                (place.collect::<Vec<_>>(), format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres"))
            }
            Kind::Valkey => {
                let (dir, port_text) = (home.path.display().to_string(), port.to_string());
                let place = ["--port", &port_text, "--bind", "127.0.0.1", "--dir", &dir];
                (place.map(str::to_owned).to_vec(), format!("redis://127.0.0.1:{port}"))
            }
        };
        arguments.extend(settings(kind, through));
        let mut process = Self { home, folder, arguments, program: program.server, leader: None };
        process.launch(kind, &url).await?;
        Ok((url, process))
    }

    pub(super) async fn launch(&mut self, kind: Kind, url: &str) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..LAUNCHES {
            let mut command = self.home.command(&self.program).map_err(|error| error.to_string())?;
            command.args(&self.arguments);
            let leader = launch(command, &self.folder).map_err(|error| error.to_string())?;
            match ready(&leader, &self.home, async || ask(kind, url).await).await {
                Ok(_) => {
                    self.leader = Some(leader);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) async fn kill(&mut self) -> Result<(), String> {
        let Some(leader) = self.leader.take() else { return Ok(()) };
        signal("KILL", &format!("-{}", leader.pid()));
        owner::until(GONE, async || owner::has_ended(&leader).then_some(()))
            .await
            .ok_or_else(|| "it runs on".to_owned())
    }

    pub(super) async fn remove(mut self) {
        if let Some(leader) = self.leader.take() {
            owner::end(&leader).await;
        }
        if let Err(error) = self.folder.remove() {
            eprintln!("servers: {}: {error}", self.folder.path.display());
        }
    }
}
