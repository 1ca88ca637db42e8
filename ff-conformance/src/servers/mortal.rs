//! A server of a program of this machine that a test may kill, pause and start again with what it has on disk.

use std::path::PathBuf;
use std::process::Command;

use super::owner::{self, Owner, RunFolder, signal};
use super::probe;
use super::program::{Home, free_ports, initialise, launch, postgres_settings, programs, ready};
use super::{Kind, ServerError, ServerFacts};
use super::{Owned, Source};

/// Whether the server writes through to the disk before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteThrough {
    /// It does: `fsync` and `synchronous_commit`, or `appendfsync always`.
    Always,
    /// It does not: `synchronous_commit = off`, or no file at all.
    Never,
}

/// A server of its own that may be killed.
#[derive(Debug)]
pub struct MortalServer {
    /// Where it answers, also after each start.
    pub url: String,
    kind: Kind,
    home: Home,
    folder: RunFolder,
    arguments: Vec<String>,
    program: PathBuf,
    process: Option<Owner>,
}

impl MortalServer {
    /// Starts one.
    ///
    /// # Errors
    /// If there is no program, or it does not answer.
    pub async fn start(kind: Kind, through: WriteThrough) -> Result<Self, ServerError> {
        Self::prepared(kind, through).await.map_err(ServerError::new)
    }

    async fn prepared(kind: Kind, through: WriteThrough) -> Result<Self, String> {
        let folder = RunFolder::create(&Owner::current(), false).map_err(|error| error.to_string())?;
        let program = programs(kind)?;
        let home = Home::create(&folder, kind).map_err(|error| error.to_string())?;
        let port = free_ports(1).map_err(|error| error.to_string())?[0];
        let (arguments, url) = match kind {
            Kind::Postgres => {
                let password = owner::random_hex(16).map_err(|error| error.to_string())?;
                let data = home.path.join("data");
                initialise(&program, &home, &data, &password)?;
                let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
                (postgres(&data.display().to_string(), port, through), url)
            }
            Kind::Valkey => {
                (valkey(&home.path.display().to_string(), port, through), format!("redis://127.0.0.1:{port}"))
            }
        };
        let mut server = Self { url, kind, home, folder, arguments, program: program.server, process: None };
        server.launch().await?;
        Ok(server)
    }

    async fn launch(&mut self) -> Result<(), String> {
        let mut last = String::new();
        // The children of a killed Postgres hold its memory until they have noticed.
        for _ in 0..50 {
            let mut command: Command = self.home.command(&self.program).map_err(|error| error.to_string())?;
            command.args(&self.arguments);
            let process = launch(command, &self.folder).map_err(|error| error.to_string())?;
            let (kind, url) = (self.kind, self.url.clone());
            let told = ready(&process, &self.home, async || match kind {
                Kind::Postgres => probe::postgres(&url).await,
                Kind::Valkey => probe::valkey(&url).await,
            });
            match told.await {
                Ok(_) => {
                    self.process = Some(process);
                    return Ok(());
                }
                Err(error) => last = error,
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Err(last)
    }

    /// What it tells about itself.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn facts(&self) -> Result<ServerFacts, ServerError> {
        let told = match self.kind {
            Kind::Postgres => probe::postgres(&self.url).await,
            Kind::Valkey => probe::valkey(&self.url).await,
        };
        Ok(told.map_err(ServerError::new)?.facts(Source::Program, Owned::Ours))
    }

    /// Ends it at once, as a loss of power to its process would: nothing is asked, nothing is flushed.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            signal("KILL", &format!("-{}", process.pid()));
        }
    }

    /// Stops it in its steps; whoever calls meanwhile waits.
    pub fn pause(&self) {
        if let Some(process) = &self.process {
            signal("STOP", &format!("-{}", process.pid()));
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        if let Some(process) = &self.process {
            signal("CONT", &format!("-{}", process.pid()));
        }
    }

    /// Starts it again with what it has on disk.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        self.launch().await.map_err(ServerError::new)
    }

    /// Ends it and removes what it wrote.
    pub async fn remove(mut self) {
        if let Some(process) = self.process.take() {
            owner::end(&process).await;
        }
        if let Err(error) = self.folder.remove() {
            eprintln!("servers: {}: {error}", self.folder.path.display());
        }
    }
}

fn postgres(data: &str, port: u16, through: WriteThrough) -> Vec<String> {
    let mut arguments = vec!["-D".to_owned(), data.to_owned(), "-p".to_owned(), port.to_string()];
    let mut settings = postgres_settings(true);
    settings.extend([("listen_addresses", "127.0.0.1"), ("unix_socket_directories", "")]);
    if through == WriteThrough::Never {
        settings.extend([("synchronous_commit", "off"), ("wal_writer_delay", "10s")]);
    }
    for (name, value) in settings {
        arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    arguments
}

fn valkey(folder: &str, port: u16, through: WriteThrough) -> Vec<String> {
    let port = port.to_string();
    let file = if through == WriteThrough::Always { "yes" } else { "no" };
    let words = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--dir",
        folder,
        "--loglevel",
        "warning",
        "--save",
        "",
        "--appendonly",
        file,
        "--appendfsync",
        "always",
        "--maxmemory-policy",
        "noeviction",
    ];
    words.map(str::to_owned).to_vec()
}
