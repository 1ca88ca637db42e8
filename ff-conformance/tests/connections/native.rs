//! The servers' own TLS, on servers that are started for these tests and then speak nothing else.

use std::{path::PathBuf, time::Duration};

use ff_backend_postgres::PostgresBackend;
use ff_backend_valkey::ValkeyBackend;
use ff_conformance::servers::{Kind, Options, Servers, Source, Wanted};
use ff_core::{BackendConfig, EngineBackend, PostgresConnection, TlsConfig, ValkeyConnection};
#[expect(clippy::disallowed_types, reason = "the server is set up by statements that take no parameters")]
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    front::{Address, Certificates},
    life::{Tried, live, refusal},
};

/// Who may come: over TLS only, with a password and a certificate.
const RULES: &str = "hostssl all all all scram-sha-256 clientcert=verify-ca";

/// How long a server may take to read its settings again.
const RELOAD: Duration = Duration::from_secs(10);

/// A server of a kind that nobody else uses. A stranger's would keep its settings, so none is taken.
async fn start(kind: Kind) -> Tried<Servers> {
    let mut options = Options::from_env()?;
    (options.postgres_url, options.valkey_url, options.valkey_pool) = (None, None, 1);
    options.source = options.source.filter(|source| *source != Source::Url);
    options.watchdog = Some(PathBuf::from(env!("CARGO_BIN_EXE_ff-conformance")));
    Ok(Servers::start(Wanted::only(kind), &options).await)
}

#[tokio::test]
async fn postgres_speaks_its_own_tls() -> Tried {
    let servers = start(Kind::Postgres).await?;
    let url = servers.postgres.clone()?.url;
    let certificates = Certificates::new()?;
    PostgresBackend::migrate(&PostgresConnection::new(&url).schema("ff").into()).await?;
    let mut admin = PgConnection::connect(&url).await?;
    set_up(&mut admin, &certificates).await?;

    let (certificate, key) = certificates.client.clone();
    let trusting = TlsConfig::new().authorities(certificates.authority.clone());
    let at = |host: &str, tls: &TlsConfig| -> Tried<BackendConfig> {
        let address = Address::of(&url)?;
        let place = format!("{host}:{}", address.port()?);
        Ok(PostgresConnection::new(address.at(place).url()).schema("ff").tls(tls.clone()).into())
    };
    let known = trusting.clone().client(certificate, key);
    reloaded(&at("localhost", &known)?).await?;
    live(&*PostgresBackend::connect(at("localhost", &known)?).await?).await?;
    live(&*PostgresBackend::connect(at("127.0.0.1", &known)?).await?).await?;

    let (code, text) = refusal(PostgresBackend::connect(at("localhost", &TlsConfig::new())?).await);
    assert_eq!(code, "Transport(Connection, No)");
    assert!(text.contains("UnknownIssuer"), "{text}");
    let (code, text) = refusal(PostgresBackend::connect(at("localhost", &trusting)?).await);
    assert_eq!(code, "Transport(Auth, No)", "{text}");
    assert!(text.contains("certificate"), "{text}");
    // Without TLS there is no way in.
    let plain = BackendConfig::from(PostgresConnection::new(&url).schema("ff"));
    let (code, text) = refusal(PostgresBackend::connect(plain).await);
    assert_eq!(code, "Transport(Auth, No)");
    assert!(text.contains("no encryption"), "{text}");
    admin.close().await?;
    servers.shutdown().await;
    Ok(())
}

/// Gives the server its certificate, its key and its rules, and lets it read them.
async fn set_up(admin: &mut PgConnection, certificates: &Certificates) -> Tried {
    let (certificate, key) = certificates.server();
    for (file, text) in [
        ("ca.crt", certificates.authority.as_str()),
        ("server.crt", certificate),
        ("server.key", key),
        ("pg_hba.conf", RULES),
    ] {
        // A line a row: the text form of COPY would escape line breaks.
        let copy = format!(
            "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'umask 077 && cat > {file}'",
            text.trim_end()
        );
        admin.execute(sqlx::raw_sql(AssertSqlSafe(copy))).await?;
    }
    admin.execute("ALTER SYSTEM SET ssl_ca_file = 'ca.crt'").await?;
    admin.execute("ALTER SYSTEM SET ssl = on").await?;
    admin.execute("SELECT pg_reload_conf()").await?;
    Ok(())
}

/// Waits until the server goes by its new settings.
async fn reloaded(config: &BackendConfig) -> Tried {
    let mut last = String::new();
    let looks = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while let Err(error) = PostgresBackend::connect(config.clone()).await {
            last = error.to_string();
            tick.tick().await;
        }
    };
    let seen = tokio::time::timeout(RELOAD, looks).await;
    Ok(seen.map_err(|_| format!("the server did not read its settings: {last}"))?)
}

#[tokio::test]
async fn valkey_speaks_its_own_tls() -> Tried {
    let servers = start(Kind::Valkey).await?;
    let slot = servers.valkey.clone()?.take().await?;
    let certificates = Certificates::new()?;
    let mut admin = redis::Client::open(slot.url.as_str())?.get_multiplexed_async_connection().await?;
    // What the server saves holds the text between bytes of its own, which readers of PEM pass over.
    let (certificate, key) = certificates.server();
    let pem = format!("\n{certificate}\n{}\n{key}\n", certificates.authority);
    let ports: Vec<String> = redis::cmd("CONFIG").arg("GET").arg("port").query_async(&mut admin).await?;
    let port = ports.last().ok_or("a port")?;
    redis::pipe()
        .cmd("CONFIG")
        .arg(&["SET", "rdbcompression", "no", "port", "0"])
        .cmd("SET")
        .arg("pem")
        .arg(pem)
        .cmd("SAVE")
        .cmd("CONFIG")
        .arg(&["SET", "tls-cert-file", "dump.rdb", "tls-key-file", "dump.rdb", "tls-ca-cert-file", "dump.rdb"])
        .arg(&["tls-auth-clients", "yes", "tls-port", port])
        .query_async::<()>(&mut admin)
        .await?;

    let (certificate, key) = certificates.client.clone();
    let trusting = TlsConfig::new().authorities(certificates.authority.clone());
    let connection = ValkeyConnection::new(Address::of(&slot.url)?.scheme("rediss").url());
    let engine =
        ValkeyBackend::connect(connection.clone().tls(trusting.clone().client(certificate, key)).into()).await?;
    engine.prepare().await?;
    live(&*engine).await?;

    let (code, text) = refusal(ValkeyBackend::connect(connection.clone().into()).await);
    assert_eq!(code, "Transport(Connection, No)");
    assert!(text.contains("UnknownIssuer"), "{text}");
    let (code, text) = refusal(ValkeyBackend::connect(connection.tls(trusting).into()).await);
    assert_eq!(code, "Transport(Connection, No)", "{text}");
    let plain = ValkeyBackend::connect(BackendConfig::valkey(&slot.url)).await;
    assert_eq!(refusal(plain).0, "Transport(Connection, No)");
    drop(slot);
    servers.shutdown().await;
    Ok(())
}
