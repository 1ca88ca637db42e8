//! From the configuration of the contract to a pool whose sessions depend on no default of the server.

use std::{net::IpAddr, str::FromStr, time::Duration};

use ff_core::{
    BackendConfig, BackendConnection, BackendTimeouts, CredentialSource, EngineError, Operation, PostgresConnection,
};
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
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
    let mut options = PgConnectOptions::from_str(connection.url.expose()).map_err(PgError::Acquire)?;
    let mode = match wish(connection, &options) {
        Wish::Never => PgSslMode::Disable,
        Wish::IfOffered | Wish::Always => PgSslMode::VerifyFull,
    };
    options = options.ssl_mode(mode);
    if let Some(tls) = &connection.tls {
        if let Some(pem) = &tls.authorities {
            options = options.ssl_root_cert_from_pem(pem.clone());
        }
        if let Some(client) = &tls.client {
            options = options.ssl_client_cert_from_pem(&client.certificate).ssl_client_key_from_pem(&client.key);
        }
    }
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

/// `options` with the credentials of this moment.
pub(crate) async fn signed(options: PgConnectOptions, source: &CredentialSource) -> Result<PgConnectOptions, PgError> {
    let credentials = source.get().await.map_err(PgError::Credentials)?;
    let options = match &credentials.user {
        Some(user) => options.username(user),
        None => options,
    };
    Ok(options.password(&credentials.password))
}

/// What a configuration says of TLS. Where there is TLS, the certificate is verified in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Never,
    /// Unless the server has none.
    IfOffered,
    Always,
}

fn wish(connection: &PostgresConnection, url: &PgConnectOptions) -> Wish {
    match url.get_ssl_mode() {
        _ if connection.tls.is_some() => Wish::Always,
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => Wish::Always,
        PgSslMode::Disable => Wish::Never,
        PgSslMode::Allow | PgSslMode::Prefer if is_local(url) => Wish::Never,
        PgSslMode::Allow | PgSslMode::Prefer => Wish::IfOffered,
    }
}

/// True if what is sent does not leave this machine.
fn is_local(url: &PgConnectOptions) -> bool {
    let host = url.get_host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    url.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || address.is_ok_and(|it| it.is_loopback())
}

/// Gives TLS up if the configuration allows it and the server said that it has none; true if `pool` is plain now.
pub(crate) fn go_plain(connection: &PostgresConnection, pool: &PgPool, refusal: &PgError) -> bool {
    let options = pool.connect_options();
    let goes = may_go_plain(connection, refusal);
    if goes {
        pool.set_connect_options(options.as_ref().clone().ssl_mode(PgSslMode::Disable));
    }
    goes
}

fn may_go_plain(connection: &PostgresConnection, refusal: &PgError) -> bool {
    // The driver says this only when the server answered that it does not speak TLS.
    let has_none = matches!(refusal, PgError::Acquire(sqlx::Error::Tls(said)) if said.to_string() == NO_TLS);
    let url = PgConnectOptions::from_str(connection.url.expose());
    has_none && url.is_ok_and(|url| wish(connection, &url) == Wish::IfOffered)
}

const NO_TLS: &str = "server does not support TLS";

/// A connection without a pool and without a limit for its statements.
pub(crate) async fn alone(connection: &PostgresConnection) -> Result<PgConnection, PgError> {
    let mut options = session(connection, None)?;
    if let Some(source) = &connection.credentials {
        options = signed(options, source).await?;
    }
    match options.connect().await.map_err(PgError::Acquire) {
        Err(refusal) if may_go_plain(connection, &refusal) => {
            options.ssl_mode(PgSslMode::Disable).connect().await.map_err(PgError::Acquire)
        }
        answer => answer,
    }
}

/// An identifier as SQL takes it.
pub(crate) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use ff_core::TlsConfig;

    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_is_plain_unless_asked_for() {
        let wish = |url: &str| wish(&PostgresConnection::new(url), &PgConnectOptions::from_str(url).unwrap());
        for (url, expected) in [
            ("postgres://db/ff", Wish::IfOffered),
            ("postgres://10.0.0.7/ff", Wish::IfOffered),
            ("postgres://db/ff?sslmode=prefer", Wish::IfOffered),
            ("postgres://db/ff?sslmode=require", Wish::Always),
            ("postgres://db/ff?sslmode=verify-ca", Wish::Always),
            ("postgres://localhost/ff?sslmode=verify-full", Wish::Always),
            ("postgres://db/ff?sslmode=disable", Wish::Never),
            ("postgres://localhost/ff", Wish::Never),
            ("postgres://127.0.0.1/ff", Wish::Never),
            ("postgres://[::1]/ff", Wish::Never),
            ("postgres:///ff?host=/run/postgresql", Wish::Never),
        ] {
            assert_eq!(wish(url), expected, "{url}");
        }
    }

    #[test]
    fn tls_is_never_without_full_verification() {
        let mode = |connection: &PostgresConnection| session(connection, None).unwrap().get_ssl_mode();
        for url in ["postgres://db/ff", "postgres://db/ff?sslmode=require", "postgres://db/ff?sslmode=verify-ca"] {
            assert!(matches!(mode(&PostgresConnection::new(url)), PgSslMode::VerifyFull), "{url}");
        }
        let given = PostgresConnection::new("postgres://localhost/ff?sslmode=disable").tls(TlsConfig::new());
        assert!(matches!(mode(&given), PgSslMode::VerifyFull));
    }
}
