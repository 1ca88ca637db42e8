//! The database that every case is a copy of: migrated, with a clock that the suite moves.

use std::{str::FromStr, time::Duration};

use ff_backend_postgres::PostgresBackend;
use ff_core::BackendConfig;
#[expect(clippy::disallowed_types, reason = "ALTER DATABASE takes no parameters; the names are made here")]
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use super::failed;
use crate::{HarnessError, servers::PostgresServer};

/// Changes with the files of this folder, as the digest of the schema does with the migrations.
const CLOCK_FORM: u32 = 1;

/// The key of the lock under which a template is made; any number that others are unlikely to use.
const LOCK: i64 = 0x0066_665f_7465_6d70;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(30);

/// The name of the template for this schema, which is there afterwards.
pub(super) async fn ready(server: &PostgresServer) -> Result<String, HarnessError> {
    let name = format!("ffc_template_{}_{CLOCK_FORM}", PostgresBackend::schema_digest());
    let mut conn = connect(&server.url).await?;
    if !exists(&mut conn, &name).await? {
        // The lock ends with the connection.
        let locked = sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut conn).await;
        locked.map_err(failed("lock the template"))?;
        if !exists(&mut conn, &name).await? {
            make(server, &mut conn, &name).await?;
        }
    }
    // All is done; how the connection ends changes nothing.
    let _ = conn.close().await;
    Ok(name)
}

/// Makes the template under another name first, so that it is complete as soon as it is there.
async fn make(server: &PostgresServer, conn: &mut PgConnection, name: &str) -> Result<(), HarnessError> {
    let draft = format!("{name}_draft");
    server.drop_database(&draft).await?;
    let url = server.create_database(&draft, None).await?;
    PostgresBackend::migrate(&BackendConfig::postgres(&url)).await.map_err(failed("migrate the template"))?;
    let mut inside = connect(&url).await?;
    for statement in [include_str!("template/clock_sequence.sql"), include_str!("template/clock_function.sql")] {
        sqlx::query(statement).execute(&mut inside).await.map_err(failed("give the template its clock"))?;
    }
    inside.close().await.map_err(failed("leave the template"))?;
    let rename = AssertSqlSafe(format!("ALTER DATABASE \"{draft}\" RENAME TO \"{name}\""));
    sqlx::query(rename).execute(conn).await.map(drop).map_err(failed("name the template"))
}

async fn exists(conn: &mut PgConnection, name: &str) -> Result<bool, HarnessError> {
    let found = sqlx::query("SELECT FROM pg_database WHERE datname = $1").bind(name).fetch_optional(conn).await;
    found.map(|row| row.is_some()).map_err(failed("look for the template"))
}

async fn connect(url: &str) -> Result<PgConnection, HarnessError> {
    let options = PgConnectOptions::from_str(url).map_err(failed("the server's URL"))?.disable_statement_logging();
    let opened = tokio::time::timeout(CONNECT, options.connect()).await;
    opened.map_err(failed("connect"))?.map_err(failed("connect"))
}
