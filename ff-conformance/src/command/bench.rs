//! `ff-conformance bench`: the open loop on real stores.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use ff_conformance::{
    load::{self, Failure, Ground},
    report,
    servers::{Options, Servers, Wanted},
};

use crate::command::{
    complain,
    servers::{Signals, Switches},
};

/// The arguments of `ff-conformance bench`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Measure this backend; both without it.
    #[arg(long, value_enum, value_name = "NAME")]
    backend: Option<Backend>,
    /// Write the figures into this folder instead of `target/ff-conformance`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    switches: Switches,
}

/// The backends with a store to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// On PostgreSQL.
    Postgres,
    /// On Valkey or Redis.
    Valkey,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let options = match arguments.switches.options() {
        // Claims are measured as they last.
        Ok(options) => Options { durable: true, valkey_pool: 1, ..options },
        Err(error) => return complain(&error.to_string()),
    };
    let runtime = match ff_conformance::runtime() {
        Ok(runtime) => runtime,
        Err(text) => return complain(&text),
    };
    runtime.block_on(async {
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            Err(error) => return complain(&format!("signals: {error}")),
        };
        let wanted = Wanted {
            postgres: arguments.backend != Some(Backend::Valkey),
            valkey: arguments.backend != Some(Backend::Postgres),
        };
        let servers = tokio::select! {
            servers = Servers::start(wanted, &options) => servers,
            (_, number) = signals.next() => return ExitCode::from(128 + number),
        };
        let folder = arguments.out.clone().unwrap_or_else(report::folder);
        let measured = tokio::select! {
            measured = measure(wanted, &servers, &folder) => measured,
            (_, number) = signals.next() => {
                servers.shutdown().await;
                return ExitCode::from(128 + number);
            }
        };
        servers.shutdown().await;
        match measured {
            Ok(tables) => {
                println!("{tables}\nwrote load.json, load.md and load.html in {}", folder.display());
                ExitCode::SUCCESS
            }
            Err(failure) => complain(&failure.to_string()),
        }
    })
}

async fn measure(wanted: Wanted, servers: &Servers, folder: &std::path::Path) -> Result<String, Failure> {
    let mut grounds = Vec::new();
    if wanted.postgres {
        grounds.push(Ground::postgres(servers.postgres.as_ref().map_err(Clone::clone)?).await?);
    }
    if wanted.valkey {
        grounds.push(Ground::valkey(servers.valkey.as_ref().map_err(Clone::clone)?).await?);
    }
    let told = load::measure(&grounds, folder).await;
    for ground in &grounds {
        ground.close().await?;
    }
    told
}
