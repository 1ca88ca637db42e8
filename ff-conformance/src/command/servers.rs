//! `ff-conformance servers`: shows where servers would come from, and lends them to a command.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use ff_conformance::servers::{self, Kind, Look, NoServer, Options, ServerError, ServerFacts, Servers, Source, Wanted};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long a command may take to end after it was told to.
const GRACE: Duration = Duration::from_secs(10);

/// The arguments of `ff-conformance servers`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    switches: Switches,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show what each source offers and which one a run would use.
    List,
    /// Start the servers, run a command with their addresses, and remove them when it ends.
    Exec(Exec),
    /// Wait for the end of an owner and remove what it left; runs start this by themselves.
    #[command(hide = true)]
    Watch {
        /// The owner, as <pid>:<start>.
        owner: String,
    },
}

#[derive(Debug, Args)]
struct Exec {
    /// Start servers of one kind only.
    #[arg(long)]
    only: Option<Only>,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Only {
    Postgres,
    Valkey,
}

/// The switches that every subcommand with servers shares.
#[derive(Debug, Args)]
pub(crate) struct Switches {
    /// Take servers from one source only [env: FF_CONFORMANCE_SOURCE].
    #[arg(long, global = true, value_name = "url|docker|program", value_parser = source)]
    source: Option<Source>,
    /// Everything on a server given by URL may be lost [env: FF_CONFORMANCE_I_OWN_THIS_SERVER=1].
    #[arg(long, global = true)]
    i_own_this_server: bool,
    /// Leave servers running after the command [env: FF_CONFORMANCE_KEEP=1].
    #[arg(long, global = true)]
    keep: bool,
}

impl Switches {
    /// The variables, overruled by the switches; the watchdog is this program.
    pub(crate) fn options(&self) -> Result<Options, ServerError> {
        let mut options = Options::from_env()?;
        options.source = self.source.or(options.source);
        options.own_this_server |= self.i_own_this_server;
        options.keep |= self.keep;
        options.watchdog = std::env::current_exe().ok();
        Ok(options)
    }
}

fn source(name: &str) -> Result<Source, String> {
    Source::parse(name).ok_or_else(|| "url, docker or program".to_owned())
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let options = match arguments.switches.options() {
        Ok(options) => options,
        Err(error) => return failed(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    runtime.block_on(async {
        match arguments.task {
            None | Some(Task::List) => list(&options).await,
            Some(Task::Exec(arguments)) => exec(&arguments, &options).await.unwrap_or_else(|error| failed(&error)),
            Some(Task::Watch { owner }) => match servers::watch(&owner).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error),
            },
        }
    })
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("ff-conformance: {error}");
    ExitCode::FAILURE
}

async fn list(options: &Options) -> ExitCode {
    let looks = servers::look(options).await;
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    println!("{:<8}  {:<7}  {:<3}  state", "server", "source", "use");
    let mut decided = Vec::new();
    let mut missing = false;
    for Look { kind, source, state } in &looks {
        // An address that was given is used or refused; no other source stands in for it.
        let given = *source == Source::Url && options.urls(*kind).is_some();
        let used = state.is_ok() && !decided.contains(kind);
        if used || given {
            missing |= !used;
            decided.push(*kind);
        }
        let (on, off) = if used && colour { ("\x1b[32m", "\x1b[0m") } else { ("", "") };
        let (Ok(text) | Err(text)) = state;
        let text = text.replace('\n', &format!("\n{:25}", ""));
        println!("{kind:<8}  {source:<7}  {on}{:<3}{off}  {text}", if used { "yes" } else { "-" });
    }
    missing |= [Kind::Postgres, Kind::Valkey].iter().any(|kind| !decided.contains(kind));
    if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn exec(arguments: &Exec, options: &Options) -> io::Result<ExitCode> {
    let wanted = match arguments.only {
        None => Wanted::ALL,
        Some(Only::Postgres) => Wanted::only(Kind::Postgres),
        Some(Only::Valkey) => Wanted::only(Kind::Valkey),
    };
    let mut signals = Signals::install()?;
    let servers = tokio::select! {
        servers = Servers::start(wanted, options) => servers,
        // What was half started is removed by the watchdog when this process ends.
        (_, number) = signals.next() => return Ok(ExitCode::from(128 + number)),
    };
    if wanted.postgres {
        announce(Kind::Postgres, servers.postgres.as_ref().map(|server| &server.facts));
    }
    if wanted.valkey {
        announce(Kind::Valkey, servers.valkey.as_ref().map(|servers| &servers.facts));
    }
    let code = lend(&arguments.command, &servers, &mut signals).await;
    servers.shutdown().await;
    Ok(code)
}

fn announce(kind: Kind, facts: Result<&ServerFacts, &NoServer>) {
    match facts {
        Ok(facts) => eprintln!("servers: {kind:<8}  {facts}"),
        Err(none) => eprintln!("servers: {none}"),
    }
}

/// Runs the command to its end, passing signals on; its exit code is ours.
async fn lend(command: &[OsString], servers: &Servers, signals: &mut Signals) -> ExitCode {
    let Some((program, arguments)) = command.split_first() else { return ExitCode::FAILURE };
    let mut process = Command::new(program);
    for name in Servers::env_names() {
        process.env_remove(name);
    }
    let mut child = match process.args(arguments).envs(servers.env()).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("ff-conformance: cannot run {}: {error}", program.display());
            return ExitCode::from(127);
        }
    };
    let pid = child.id();
    let mut ended = tokio::task::spawn_blocking(move || Child::wait(&mut child));
    let mut told = false;
    let mut patience = tokio::time::interval(GRACE);
    loop {
        tokio::select! {
            status = &mut ended => return status.map_or(ExitCode::FAILURE, |status| exit_code(&status)),
            (name, number) = signals.next() => {
                // A terminal sends the signal of a key to the command as well; twice would mean something else.
                let by_key = number != 15 && io::stdin().is_terminal();
                if told || !by_key {
                    servers::signal(if told { "KILL" } else { name }, pid);
                }
                patience.reset();
                told = true;
            }
            _ = patience.tick(), if told => servers::signal("KILL", pid),
        }
    }
}

fn exit_code(status: &io::Result<ExitStatus>) -> ExitCode {
    let Ok(status) = status else { return ExitCode::FAILURE };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The signals that end a run.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The name and number of the next one.
    pub(crate) async fn next(&mut self) -> (&'static str, u8) {
        tokio::select! {
            _ = self.interrupt.recv() => ("INT", 2),
            _ = self.terminate.recv() => ("TERM", 15),
            _ = self.hangup.recv() => ("HUP", 1),
        }
    }
}
