//! The way to PostgreSQL.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ff_backend_postgres::PostgresBackend;
use ff_conformance::servers::{PostgresPermit, PostgresServer, Servers};
use ff_core::{BackendConfig, BackendTimeouts, CredentialSource, Credentials, PostgresConnection, TlsConfig};
#[expect(clippy::disallowed_types, reason = "tests make roles and settings by statements that take no parameters")]
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    front::{Address, Certificates, Front, Protocol},
    life::{Tried, create, live, refusal},
    page,
};

/// A database of a test's own, with the engine's tables in the schema `ff`, and perhaps a role.
struct Database {
    server: PostgresServer,
    name: String,
    url: String,
    _permit: PostgresPermit,
}

impl Database {
    async fn new(test: &str) -> Tried<Self> {
        let server = Servers::from_env().postgres?;
        let permit = server.permit().await?;
        let name = format!("ffc_connections_{test}_{}", std::process::id());
        let url = server.create_database(&name, None).await?;
        let database = Self { server, name, url, _permit: permit };
        PostgresBackend::migrate(&database.connection().into()).await?;
        Ok(database)
    }

    fn connection(&self) -> PostgresConnection {
        PostgresConnection::new(&self.url).schema("ff")
    }

    /// The same database at another place.
    fn at(&self, place: String) -> Tried<PostgresConnection> {
        Ok(PostgresConnection::new(Address::of(&self.url)?.at(place).url()).schema("ff"))
    }

    async fn front(&self, certificates: &Certificates, demands: bool) -> Tried<Front> {
        let target = Address::of(&self.url)?.target(5432).await?;
        Front::before(target, Protocol::Postgres, certificates, demands).await
    }

    /// Runs statements as the owner of the database.
    async fn run(&self, statements: String) -> Tried {
        let mut session = PgConnection::connect(&self.url).await?;
        // Also where the database is read-only by default.
        session.execute("SET default_transaction_read_only = off").await?;
        session.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await?;
        Ok(session.close().await?)
    }

    /// Makes the role of the operators' page under the name of the database.
    async fn role(&self) -> Tried<PostgresConnection> {
        let statements = page::block("A role on PostgreSQL")?.replace("ff_engine", &self.name);
        assert!(statements.contains("change-me") && statements.contains("IN SCHEMA ff "), "{statements}");
        self.run(statements).await?;
        Ok(PostgresConnection::new(Address::of(&self.url)?.user(&self.name, "change-me").url()).schema("ff"))
    }

    async fn drop_role(&self) -> Tried {
        self.run(format!("DROP OWNED BY \"{0}\"; DROP ROLE \"{0}\"", self.name)).await
    }

    async fn drop(self) -> Tried {
        Ok(self.server.drop_database(&self.name).await?)
    }
}

#[tokio::test]
async fn postgres_tls_is_verified_in_full() -> Tried {
    let database = Database::new("tls").await?;
    let certificates = Certificates::new()?;
    let front = database.front(&certificates, false).await?;
    let trusting = || TlsConfig::new().authorities(certificates.authority.clone());
    for host in ["localhost", "127.0.0.1"] {
        let connection = database.at(format!("{host}:{}", front.port))?.tls(trusting());
        live(&*PostgresBackend::connect(connection.into()).await?).await?;
    }

    let here = format!("localhost:{}", front.port);
    for untrusting in [database.at(here.clone())?.tls(TlsConfig::new()), weakly(&database, &here)?] {
        let (code, text) = refusal(PostgresBackend::connect(untrusting.into()).await);
        assert_eq!(code, "Transport(Connection, No)");
        assert!(text.contains("UnknownIssuer"), "{text}");
    }
    let elsewhere = database.at(format!("127.0.0.2:{}", front.port))?.tls(trusting());
    let (code, text) = refusal(PostgresBackend::connect(elsewhere.into()).await);
    assert_eq!(code, "Transport(Connection, No)");
    assert!(text.contains("not valid for name"), "{text}");
    database.drop().await
}

/// What other clients take for TLS without verification.
fn weakly(database: &Database, place: &str) -> Tried<PostgresConnection> {
    let url = Address::of(&database.url)?.at(place).url();
    let sign = if url.contains('?') { '&' } else { '?' };
    Ok(PostgresConnection::new(format!("{url}{sign}sslmode=require")).schema("ff"))
}

#[tokio::test]
async fn postgres_gets_the_client_certificate_that_it_demands() -> Tried {
    let database = Database::new("mutual").await?;
    let certificates = Certificates::new()?;
    let front = database.front(&certificates, true).await?;
    let connection = || database.at(format!("localhost:{}", front.port));
    let trusting = TlsConfig::new().authorities(certificates.authority.clone());

    let (code, text) = refusal(PostgresBackend::connect(connection()?.tls(trusting.clone()).into()).await);
    assert_eq!(code, "Transport(Connection, No)", "{text}");
    let (certificate, key) = certificates.client.clone();
    let connection = connection()?.tls(trusting.client(certificate, key));
    live(&*PostgresBackend::connect(connection.into()).await?).await?;
    database.drop().await
}

#[tokio::test]
async fn postgres_without_tls_is_plain_only_where_nothing_else_was_asked() -> Tried {
    let database = Database::new("plain").await?;
    // This machine by an address that does not say so.
    let far = |mode: &str| -> Tried<PostgresConnection> {
        let address = Address::of(&database.url)?;
        let place = format!("0.0.0.0:{}", address.port()?);
        let url = address.at(place).url();
        let sign = if url.contains('?') { '&' } else { '?' };
        Ok(PostgresConnection::new(format!("{url}{sign}{mode}")).schema("ff"))
    };
    live(&*PostgresBackend::connect(far("")?.into()).await?).await?;
    PostgresBackend::migrate(&far("")?.into()).await?;
    let (code, text) = refusal(PostgresBackend::connect(far("sslmode=require")?.into()).await);
    assert_eq!(code, "Transport(Connection, No)");
    assert!(text.contains("does not support TLS"), "{text}");
    database.drop().await
}

#[tokio::test]
async fn postgres_credentials_are_asked_at_each_connect() -> Tried {
    let database = Database::new("credentials").await?;
    let role = database.role().await?;
    let wrong = || Address::of(&database.url).map(|address| address.user(&database.name, "s3cret").url());
    let (code, text) = refusal(PostgresBackend::connect(PostgresConnection::new(wrong()?).schema("ff").into()).await);
    assert_eq!(code, "Transport(Auth, No)");
    assert!(!text.contains("s3cret"), "{text}");

    let asked = Arc::new(AtomicU32::new(0));
    let (count, user) = (Arc::clone(&asked), database.name.clone());
    let source = CredentialSource::new(move || {
        let password = if count.fetch_add(1, Ordering::Relaxed) == 0 { "change-me" } else { "changed" };
        let credentials = Credentials::new(password).user(user.clone());
        async move { Ok(credentials) }
    });
    let engine = PostgresBackend::connect(database.connection().credentials(source).max_connections(1).into()).await?;
    live(&*engine).await?;
    assert_eq!(asked.load(Ordering::Relaxed), 1, "one connection, one question");

    // The password changes and the connection ends: the next one is made with what the source says then.
    database.run(format!("ALTER ROLE \"{}\" PASSWORD 'changed'", database.name)).await?;
    database
        .run(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", database.name))
        .await?;
    // What was under way on the connection that ended may be lost; nothing else is.
    let _ = engine.ping().await;
    live(&*engine).await?;
    assert!(asked.load(Ordering::Relaxed) >= 2);

    let none = CredentialSource::new(|| async { Err("the token service is away".into()) });
    let (code, text) = refusal(PostgresBackend::connect(role.credentials(none).into()).await);
    assert_eq!(code, "Transport(Auth, No)");
    assert!(text.contains("the token service is away"), "{text}");
    database.drop_role().await?;
    database.drop().await
}

#[tokio::test]
async fn postgres_needs_no_more_rights_than_the_page_grants() -> Tried {
    let database = Database::new("rights").await?;
    let role = database.role().await?;
    let engine = PostgresBackend::connect(role.clone().into()).await?;
    live(&*engine).await?;
    let (code, _) = refusal(PostgresBackend::migrate(&role.clone().schema("elsewhere").into()).await);
    assert_eq!(code, "Transport(Forbidden, No)");

    database.run(format!("REVOKE INSERT ON ff.executions FROM \"{}\"", database.name)).await?;
    assert_eq!(refusal(create(&*engine).await).0, "Transport(Forbidden, No)");
    database.drop_role().await?;
    database.drop().await
}

#[tokio::test]
async fn postgres_is_used_in_the_schema_of_the_configuration() -> Tried {
    let database = Database::new("schema").await?;
    for schema in ["Quoted \"name\", with all", "ff2"] {
        let connection = PostgresConnection::new(&database.url).schema(schema);
        PostgresBackend::migrate(&connection.clone().into()).await?;
        live(&*PostgresBackend::connect(connection.into()).await?).await?;
    }
    let (code, text) = refusal(PostgresBackend::connect(BackendConfig::postgres(&database.url)).await);
    assert_eq!(code, "Validation(InvalidInput)");
    assert!(text.contains("ff-conformance migrate"), "{text}");
    database.drop().await
}

#[tokio::test]
async fn postgres_that_takes_no_writes_or_no_connections_says_so() -> Tried {
    let database = Database::new("trouble").await?;
    let role = database.role().await?;
    database.run(format!("ALTER DATABASE \"{}\" SET default_transaction_read_only = on", database.name)).await?;
    let engine = PostgresBackend::connect(database.connection().into()).await?;
    assert_eq!(refusal(create(&*engine).await).0, "Transport(ReadOnly, No)");
    database.run(format!("ALTER DATABASE \"{}\" RESET default_transaction_read_only", database.name)).await?;

    database.run(format!("ALTER ROLE \"{}\" CONNECTION LIMIT 0", database.name)).await?;
    let patience = Duration::from_millis(300);
    let timeouts = BackendTimeouts { acquire: patience, ..BackendTimeouts::default() };
    let (code, text) = refusal(PostgresBackend::connect(BackendConfig::from(role).timeouts(timeouts)).await);
    assert_eq!(code, "Transport(Busy, No)", "{text}");
    assert!(text.contains("too many connections"), "{text}");
    database.drop_role().await?;
    database.drop().await
}
