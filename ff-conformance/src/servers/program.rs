//! Servers from programs of this machine, in the run's folder and on free ports of 127.0.0.1.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::owner::{self, Owner, RunFolder, own_uid};
use super::probe::{self, Probe};
use super::start::{Found, Handle, tail};
use super::{Kind, Options, Owned, Source};

/// How long a program may take until it answers.
const READY: Duration = Duration::from_secs(30);

/// The settings of a Postgres server that we start.
pub(crate) fn postgres_settings(durable: bool) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![("max_connections", "200"), ("timezone", "UTC")];
    if !durable {
        settings.extend([
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
            ("max_wal_size", "256MB"),
        ]);
    }
    settings
}

/// A shell script that keeps one Valkey server a port alive: one that a case kills or stops comes back empty.
pub(crate) fn valkey_loop(program: &str, bind: &str, folder: &str, ports: &[u16]) -> String {
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    format!(
        "program={program}; for port in {}; do (while :; do \
         \"$program\" --port $port --bind {bind} --protected-mode no --dir {folder} --loglevel warning \
         --save '' --appendonly no --maxmemory-policy noeviction; sleep 0.1; done) & done; wait",
        ports.join(" ")
    )
}

/// Says which programs would be used.
pub(crate) fn look(kind: Kind) -> Result<String, String> {
    programs(kind).map(|programs| programs.told)
}

/// Starts the servers of a kind.
pub(crate) async fn start(kind: Kind, options: &Options, folder: &RunFolder) -> Result<Found, String> {
    let programs = programs(kind)?;
    let home = Home::create(folder, kind).map_err(|error| format!("cannot prepare a folder: {error}"))?;
    match kind {
        Kind::Postgres => postgres(&programs, &home, options, folder).await,
        Kind::Valkey => valkey(&programs, &home, options, folder).await,
    }
}

/// A server program and how people know it.
pub(super) struct Programs {
    pub(super) server: PathBuf,
    told: String,
}

pub(super) fn programs(kind: Kind) -> Result<Programs, String> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let (names, beside): (&[&str], &[&str]) = match kind {
        Kind::Postgres => (&["postgres"], &["initdb"]),
        Kind::Valkey => (&["valkey-server", "redis-server"], &[]),
    };
    if kind == Kind::Postgres {
        folders.extend(packaged_postgres());
    }
    folders.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    for folder in &folders {
        for name in names {
            let server = folder.join(name);
            if server.is_file() && beside.iter().all(|name| folder.join(name).is_file()) {
                let told = format!("{} ({})", server.display(), version(&server)?);
                return Ok(Programs { server, told });
            }
        }
    }
    let needed: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    Err(match kind {
        Kind::Postgres => "no `postgres` with `initdb` on PATH or under /usr/lib/postgresql".to_owned(),
        Kind::Valkey => format!("no {} on PATH", needed.join(" or ")),
    })
}

/// Where distributions keep what is not on PATH, the newest version first.
fn packaged_postgres() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, folder)| folder).collect()
}

fn version(program: &Path) -> Result<String, String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(|error| format!("{} does not run: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text
        .split_whitespace()
        .map(|word| word.trim_start_matches("v="))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    Ok(number.unwrap_or("version unknown").to_owned())
}

/// A folder that belongs to the user that the server runs as.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    log: PathBuf,
    /// Somebody unprivileged, where we are root: Postgres refuses to run as root, and nothing here needs it.
    user: Option<(u32, u32)>,
}

impl Home {
    pub(super) fn create(folder: &RunFolder, kind: Kind) -> std::io::Result<Self> {
        let path = folder.path.join(kind.to_string());
        let log = folder.path.join(format!("{kind}.log"));
        let user = (own_uid() == Some(0)).then(unprivileged);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        if let Some((uid, gid)) = user {
            chown(&path, Some(uid), Some(gid))?;
        }
        Ok(Self { path, log, user })
    }

    /// A command that runs as the user, in the folder, in a process group of its own, and writes to the log.
    pub(super) fn command(&self, program: &Path) -> std::io::Result<Command> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(program);
        command.current_dir(&self.path).env("HOME", &self.path).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        Ok(command)
    }

    fn trouble(&self, error: impl std::fmt::Display) -> String {
        format!("{error}\n{}", tail(&self.log))
    }
}

/// The user and group of `nobody`.
fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let numbers = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("nobody:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    numbers.unwrap_or((65_534, 65_534))
}

async fn postgres(programs: &Programs, home: &Home, options: &Options, folder: &RunFolder) -> Result<Found, String> {
    let password = owner::random_hex(16).map_err(|error| error.to_string())?;
    let data = home.path.join("data");
    initialise(programs, home, &data, &password)?;
    let port = free_ports(1).map_err(|error| error.to_string())?[0];
    let mut command = home.command(&programs.server).map_err(|error| error.to_string())?;
    command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    for (name, value) in postgres_settings(options.durable) {
        command.args(["-c", &format!("{name}={value}")]);
    }
    let process = launch(command, folder).map_err(|error| error.to_string())?;
    let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
    let told = ready(&process, home, async || probe::postgres(&url).await).await;
    found(told, programs, vec![url], process).await
}

pub(super) fn initialise(programs: &Programs, home: &Home, data: &Path, password: &str) -> Result<(), String> {
    let secret = home.path.join("password");
    let written = fs::write(&secret, password).and_then(|()| {
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        home.user.map_or(Ok(()), |(uid, gid)| chown(&secret, Some(uid), Some(gid)))
    });
    written.map_err(|error| error.to_string())?;
    let mut command = home.command(&programs.server.with_file_name("initdb")).map_err(|error| error.to_string())?;
    command.arg("-D").arg(data).arg("--pwfile").arg(&secret);
    command.args(["-U", "postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    let status = command.status().map_err(|error| home.trouble(error))?;
    fs::remove_file(&secret).map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(home.trouble(format!("initdb ended with {status}"))) }
}

async fn valkey(programs: &Programs, home: &Home, options: &Options, folder: &RunFolder) -> Result<Found, String> {
    let ports = free_ports(options.valkey_pool).map_err(|error| error.to_string())?;
    let mut command = home.command(Path::new("sh")).map_err(|error| error.to_string())?;
    // Paths go in as variables: they may hold any character.
    command.env("FF_PROGRAM", &programs.server).env("FF_FOLDER", &home.path);
    command.arg("-c").arg(valkey_loop("\"$FF_PROGRAM\"", "127.0.0.1", "\"$FF_FOLDER\"", &ports));
    let process = launch(command, folder).map_err(|error| error.to_string())?;
    let urls: Vec<_> = ports.iter().map(|port| format!("redis://127.0.0.1:{port}")).collect();
    let mut told = Err("a pool of no servers was asked for".to_owned());
    for url in &urls {
        told = ready(&process, home, async || ours(url, home).await).await;
        if told.is_err() {
            break;
        }
    }
    let told = told.map(|probe| Probe { concurrency: urls.len(), ..probe });
    found(told, programs, urls, process).await
}

/// Somebody else may have taken the port after we found it free: only our server works in our folder.
async fn ours(url: &str, home: &Home) -> Result<Probe, String> {
    let mut connection = probe::connect_valkey(url).await?;
    let dir: Vec<String> = redis::cmd("CONFIG")
        .arg("GET")
        .arg("dir")
        .query_async(&mut connection)
        .await
        .map_err(|error| error.to_string())?;
    let inode = |path: &Path| fs::metadata(path).ok().map(|folder| (folder.dev(), folder.ino()));
    match dir.as_slice() {
        [_, dir] if inode(Path::new(dir)).is_some_and(|it| Some(it) == inode(&home.path)) => probe::valkey(url).await,
        _ => Err("another server answers on this port".to_owned()),
    }
}

/// Ports that were free a moment ago, all different.
pub(super) fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Starts a process and notes it for the sweep.
pub(super) fn launch(mut command: Command, folder: &RunFolder) -> std::io::Result<Owner> {
    let mut child: Child = command.spawn()?;
    let process = Owner::of(child.id());
    // Somebody has to collect its exit, or it would count as alive.
    std::thread::spawn(move || child.wait());
    let process = process.ok_or_else(|| std::io::Error::other("the server ended at once"))?;
    folder.note_process(&process)?;
    Ok(process)
}

pub(super) async fn ready(
    process: &Owner,
    home: &Home,
    ask: impl AsyncFn() -> Result<Probe, String>,
) -> Result<Probe, String> {
    let mut last = String::new();
    let answer = owner::until(READY, async || match ask().await {
        Ok(probe) => Some(Ok(probe)),
        Err(error) => {
            last = error;
            (!process.alive()).then(|| Err(home.trouble("the server ended")))
        }
    });
    let answer = answer.await;
    answer.unwrap_or_else(|| Err(home.trouble(format!("no usable answer within {} s: {last}", READY.as_secs()))))
}

async fn found(
    told: Result<Probe, String>,
    programs: &Programs,
    urls: Vec<String>,
    process: Owner,
) -> Result<Found, String> {
    match told {
        Ok(probe) => {
            let mut facts = probe.facts(Source::Program, Owned::Ours);
            facts.from = Some(programs.server.display().to_string());
            Ok(Found { urls, facts, handles: vec![Handle::Process(process)] })
        }
        Err(error) => {
            owner::end(&process).await;
            Err(error)
        }
    }
}
