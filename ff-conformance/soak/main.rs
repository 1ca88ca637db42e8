//! Lets processes work and kills them, for minutes, and counts from outside what was lost and what was doubled:
//! `./dev soak --minutes 30`.

mod crew;
mod journal;
mod judge;
mod producer;
mod store;
mod worker;

use std::{
    error::Error,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use ff_conformance::servers::Servers;

use crew::Crew;
use judge::Verdict;
use producer::Producer;
use store::{Backend, Store};

/// What a part of the soak comes to.
pub(crate) type Tried<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// How often a worker is killed.
const KILL_EVERY: Duration = Duration::from_secs(3);

/// How often the numbers are told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How long the workers may take, at the end, for what is left; a lease of the dead lapses meanwhile.
const DRAIN: Duration = Duration::from_secs(120);

/// Kills workers for minutes, and counts what was lost and what was doubled.
#[derive(Debug, Parser)]
#[command(name = "./dev soak")]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// How long.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Only on this backend; on both without it.
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    /// Processes that claim, on each backend.
    #[arg(long, default_value_t = 8)]
    workers: usize,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// One process that claims and works until its standard input ends.
    #[command(hide = true)]
    Work {
        /// Which backend.
        #[arg(long, value_enum)]
        backend: Backend,
        /// Where its store is.
        #[arg(long)]
        url: String,
        /// Where it writes what it did.
        #[arg(long)]
        journal: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match ff_conformance::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error),
    };
    let done = runtime.block_on(async {
        match &arguments.task {
            Some(Task::Work { backend, url, journal }) => worker::work(*backend, url, journal).await.map(|()| true),
            None => soak(&arguments).await,
        }
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => complain(&error.to_string()),
    }
}

fn complain(text: &str) -> ExitCode {
    eprintln!("soak: {text}");
    ExitCode::from(3)
}

/// Runs on the backends side by side; true if nothing was lost or doubled on any.
async fn soak(arguments: &Arguments) -> Tried<bool> {
    let servers = Servers::from_env();
    let backends = arguments.backend.map_or_else(|| vec![Backend::Postgres, Backend::Valkey], |only| vec![only]);
    let runs = backends.into_iter().map(|backend| one(backend, arguments, &servers));
    let mut good = true;
    for verdict in futures::future::join_all(runs).await {
        let (backend, verdict) = verdict?;
        println!("{backend}: {verdict}");
        good &= verdict.is_good();
    }
    println!("{}", if good { "PASSED" } else { "FAILED" });
    Ok(good)
}

async fn one(backend: Backend, arguments: &Arguments, servers: &Servers) -> Tried<(Backend, Verdict)> {
    let store = Arc::new(Store::open(backend, servers).await?);
    let journals = servers.dir.join(format!("soak-{backend}-{}", std::process::id()));
    std::fs::create_dir_all(&journals)?;
    let mut crew = Crew::muster(&store, &journals, arguments.workers)?;
    let mut producer = Producer::start(store.engine().await?);
    let begun = now();
    let until = Duration::from_secs(arguments.minutes * 60);
    let (mut kill, mut tell) = (tokio::time::interval(KILL_EVERY), tokio::time::interval(TELL_EVERY));
    while begun.elapsed() < until {
        tokio::select! {
            _ = kill.tick() => crew.replace_one()?,
            _ = tell.tick() => {
                let done = journal::done(&journals)?;
                producer.ended(done);
                let seconds = begun.elapsed().as_secs();
                eprintln!("{backend:<8} {seconds:>5} s  {} created, {done} done, {} killed", producer.created(), crew.killed());
            }
        }
        producer.ended(journal::done(&journals)?);
    }
    let created = producer.stop().await?;
    drain(&store, created.len()).await?;
    let killed = crew.killed();
    drop(crew);
    let verdict = judge::judge(&created, &journal::read(&journals)?, &store.facts(&created).await?, killed);
    store.close().await?;
    std::fs::remove_dir_all(&journals)?;
    Ok((backend, verdict))
}

/// Waits until everything has ended, or for as long as it may take; what has not is then counted as lost.
async fn drain(store: &Store, created: usize) -> Tried {
    let begun = now();
    let mut look = tokio::time::interval(Duration::from_secs(1));
    while begun.elapsed() < DRAIN && store.ended().await? < created {
        look.tick().await;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the length of the soak is measured; nothing in a store follows from it")]
fn now() -> Instant {
    Instant::now()
}
