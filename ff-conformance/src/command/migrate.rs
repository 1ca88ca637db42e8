//! `ff-conformance migrate`: the engine's tables in a Postgres database.

use std::process::ExitCode;

use clap::Args;
use ff_backend_postgres::PostgresBackend;
use ff_core::{BackendConfig, BackendConnection, EngineError, PartitionConfig, PostgresConnection, PrepareOutcome};

use crate::command::complain;

/// The arguments of `ff-conformance migrate`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The database: `postgres://user:password@host:port/database`.
    #[arg(long, env = "FF_POSTGRES_URL", hide_env_values = true)]
    url: String,
    /// The schema of the engine's tables; it is made if it is not there.
    #[arg(long, default_value = "public")]
    schema: String,
    /// How many partitions a store gets that has no tables yet; a store that has them keeps its number.
    #[arg(long, default_value_t = 1)]
    partitions: u16,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let runtime = match ff_conformance::runtime() {
        Ok(runtime) => runtime,
        Err(text) => return complain(&text),
    };
    match runtime.block_on(migrate(arguments)) {
        Ok(PrepareOutcome::NoOp) => println!("schema {}: up to date, nothing was changed", arguments.schema),
        Ok(PrepareOutcome::Applied { description }) => println!("schema {}: {description}", arguments.schema),
        Err(error) => {
            eprintln!("ff-conformance: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn migrate(arguments: &Arguments) -> Result<PrepareOutcome, EngineError> {
    let connection = PostgresConnection::new(&arguments.url).schema(&arguments.schema);
    let config = BackendConfig::new(BackendConnection::Postgres(connection));
    PostgresBackend::migrate(&config.partitions(PartitionConfig::new(arguments.partitions)?)).await
}
