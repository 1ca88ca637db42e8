//! From the configuration of the contract to a pool whose sessions depend on no default of the server.

use std::{str::FromStr, time::Duration};

use ff_core::{BackendConfig, BackendConnection, BackendTimeouts, EngineError, Operation, PostgresConnection};
use sqlx::{
    ConnectOptions, Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{backend::PostgresBackend, error::PgError};

/// A pooled connection that rested longer than this answers a ping before it is used again: the server may have gone.
const RESTED: Duration = Duration::from_secs(5);

/// The Postgres arm of a configuration.
pub(crate) fn arm(config: &BackendConfig) -> Result<&PostgresConnection, EngineError> {
    match &config.connection {
        BackendConnection::Postgres(connection) => Ok(connection),
        _ => Err(EngineError::unavailable(Operation::Connect)),
    }
}

/// A pool that opens its first connection when it is asked for one.
pub(crate) fn pool(connection: &PostgresConnection, timeouts: &BackendTimeouts) -> Result<PgPool, PgError> {
    let options = session(connection, Some(timeouts.request))?;
    Ok(PgPoolOptions::new()
        .max_connections(connection.max_connections)
        .min_connections(connection.min_connections)
        .acquire_timeout(timeouts.acquire)
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move {
                if meta.idle_for >= RESTED {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options))
}

/// The options of one session. The settings travel with the start of the connection and cost no round trip.
pub(crate) fn session(connection: &PostgresConnection, request: Option<Duration>) -> Result<PgConnectOptions, PgError> {
    let options = PgConnectOptions::from_str(connection.url.expose()).map_err(PgError::Acquire)?;
    let name = options.get_application_name().unwrap_or("ff-backend-postgres").to_owned();
    let statement_timeout = request.map_or(0, |limit| limit.as_millis().clamp(1, i32::MAX as u128));
    let own = [
        ("search_path", quoted(&connection.schema)),
        ("statement_timeout", format!("{statement_timeout}ms")),
        ("idle_in_transaction_session_timeout", "60s".to_owned()),
    ];
    let options = options.application_name(&name).disable_statement_logging().options(own);
    Ok(options.options(PostgresBackend::SESSION_SETTINGS))
}

/// An identifier as SQL takes it.
pub(crate) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
