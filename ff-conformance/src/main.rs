//! The `ff-conformance` command.

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Proves that execution engine backends are the same engine.
#[derive(Debug, Parser)]
#[command(name = "ff-conformance", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the suite, print the matrix, write the reports; exits 0 certified, 1 failed, 2 partial, 3 invalid.
    Run(command::run::Arguments),
    /// Join events, show, check and compare reports.
    Report(command::report::Arguments),
    /// Print the matrix of reports.
    Matrix(command::matrix::Arguments),
    /// Make the engine's tables in a Postgres database, or bring them to this version.
    Migrate(command::migrate::Arguments),
    /// Load real stores on schedule: the rate they sustain, waits at 70 % of it, phases with trouble, every job looked up.
    Bench(command::bench::Arguments),
    /// Show, start and lend the servers that tests need.
    Servers(command::servers::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Run(arguments) => command::run::run(arguments),
        Task::Report(arguments) => command::report::run(arguments),
        Task::Matrix(arguments) => command::matrix::run(&arguments),
        Task::Migrate(arguments) => command::migrate::run(&arguments),
        Task::Bench(arguments) => command::bench::run(&arguments),
        Task::Servers(arguments) => command::servers::run(arguments),
    }
}
