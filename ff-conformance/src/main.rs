//! The `ff-conformance` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod command {
    pub(crate) mod servers;
}

/// Proves that execution engine backends are the same engine.
#[derive(Debug, Parser)]
#[command(name = "ff-conformance", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show, start and lend the servers that tests need.
    Servers(command::servers::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Servers(arguments) => command::servers::run(arguments),
    }
}
