//! A database of a test's own on the server of the run.

use std::str::FromStr;

use ff_backend_postgres::PostgresBackend;
use ff_core::BackendConfig;
#[expect(
    clippy::disallowed_types,
    reason = "tests make databases and prepare statements that they read from files"
)]
use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor, PgConnection, Row,
    postgres::{PgConnectOptions, PgRow},
};
use uuid::Uuid;

/// A database that is dropped when the test is over; a test that fails leaves it for inspection.
pub(crate) struct Database {
    maintenance: String,
    name: String,
}

impl Database {
    /// An empty database.
    pub(crate) async fn empty() -> Self {
        let maintenance = std::env::var("FF_CONFORMANCE_POSTGRES")
            .expect("no PostgreSQL server was exported to this test: run through ./dev nextest");
        let name = format!("ffc_crate_{}", Uuid::new_v4().simple());
        let database = Self { maintenance, name };
        database.maintain(format!("CREATE DATABASE \"{}\"", database.name)).await;
        database
    }

    /// A database with the engine's tables.
    pub(crate) async fn migrated() -> Self {
        let database = Self::empty().await;
        PostgresBackend::migrate(&database.config()).await.unwrap();
        database
    }

    /// The configuration of a backend on this database.
    pub(crate) fn config(&self) -> BackendConfig {
        BackendConfig::postgres(self.options().to_url_lossy().to_string())
    }

    /// The options of a session with the server's own defaults.
    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::from_str(&self.maintenance).unwrap().database(&self.name).disable_statement_logging()
    }

    /// A session as the backend's own are.
    pub(crate) async fn session(&self) -> PgConnection {
        self.options().options(PostgresBackend::SESSION_SETTINGS).connect().await.unwrap()
    }

    /// Drops the database.
    pub(crate) async fn drop(self) {
        self.maintain(format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name)).await;
    }

    async fn maintain(&self, statement: String) {
        let options = PgConnectOptions::from_str(&self.maintenance).unwrap().disable_statement_logging();
        run(&mut options.connect().await.unwrap(), statement).await;
    }
}

/// Runs statements that take no parameters.
pub(crate) async fn run(session: &mut PgConnection, statements: String) {
    session.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await.unwrap();
}

/// The rows of a statement that takes no parameters.
pub(crate) async fn rows(session: &mut PgConnection, statement: String) -> Vec<PgRow> {
    sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(session).await.unwrap()
}

/// Until a session waits for the one whose process is `pid`.
pub(crate) async fn until_waiting(session: &mut PgConnection, pid: i32) {
    let asked = format!("SELECT count(*) FROM pg_stat_activity WHERE {pid} = ANY (pg_blocking_pids(pid))");
    while rows(session, asked.clone()).await[0].get::<i64, _>(0) == 0 {
        tokio::task::yield_now().await;
    }
}
