//! Asks a server what it is: product, version, settings, room for connections.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Two clients a case with pools of four connections.
const CONNECTIONS_PER_CASE: i64 = 8;

/// What a server tells about itself.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) product: String,
    pub(crate) version: String,
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) concurrency: usize,
    /// Of a cluster's node: how many primaries the cluster has.
    pub(crate) primaries: Option<usize>,
}

pub(crate) async fn connect_postgres(url: &str) -> Result<PgConnection, String> {
    let options = PgConnectOptions::from_str(url).map_err(|error| error.to_string())?.disable_statement_logging();
    match tokio::time::timeout(CONNECT, options.connect()).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", CONNECT.as_secs())),
    }
}

pub(crate) async fn connect_valkey(url: &str) -> Result<MultiplexedConnection, String> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(2 * CONNECT));
    let client = Client::open(url).map_err(|error| error.to_string())?;
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| error.to_string())
}

/// Refuses a server that is too old, or a role that may not create databases.
pub(crate) async fn postgres(url: &str) -> Result<Probe, String> {
    let mut connection = connect_postgres(url).await?;
    let answer = ask_postgres(&mut connection).await.map_err(|error| error.to_string())?;
    // The answer is complete; how the connection ends changes nothing.
    let _ = connection.close().await;
    answer
}

async fn ask_postgres(connection: &mut PgConnection) -> Result<Result<Probe, String>, sqlx::Error> {
    let rows: Vec<(String, String)> =
        sqlx::query_as(include_str!("probe/settings.sql")).fetch_all(&mut *connection).await?;
    let settings: BTreeMap<_, _> = rows.into_iter().collect();
    let (role, may_create, room): (String, bool, i64) =
        sqlx::query_as(include_str!("probe/room.sql")).fetch_one(&mut *connection).await?;
    // A distribution adds its own revision after a space.
    let told = settings.get("server_version").and_then(|told| told.split_whitespace().next());
    let version = told.unwrap_or_default().to_owned();
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default();
    Ok(if major < 15 {
        Err(format!("it is PostgreSQL {version}; 15 or later is needed"))
    } else if !may_create {
        Err(format!("the role {role} may not create databases; allow it: ALTER ROLE \"{role}\" CREATEDB"))
    } else if room < CONNECTIONS_PER_CASE {
        Err(format!("{room} connections are free and one case needs {CONNECTIONS_PER_CASE}; raise max_connections"))
    } else {
        let concurrency = usize::try_from(room / CONNECTIONS_PER_CASE).unwrap_or(1);
        Ok(Probe { product: "PostgreSQL".to_owned(), version, settings, concurrency, primaries: None })
    })
}

/// Refuses a server that is too old.
pub(crate) async fn valkey(url: &str) -> Result<Probe, String> {
    let mut connection = connect_valkey(url).await?;
    ask_valkey(&mut connection).await?
}

async fn ask_valkey(connection: &mut MultiplexedConnection) -> Result<Result<Probe, String>, String> {
    let mut command = redis::cmd("INFO");
    let info = command.arg("server").arg("persistence").query_async(connection).await;
    let info: String = info.map_err(|error| error.to_string())?;
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
    };
    // It answers this and little else until it has read its file.
    if field("loading").as_deref() == Some("1") {
        return Err("it is loading its data".to_owned());
    }
    let (product, version, oldest) = match field("valkey_version") {
        Some(version) => ("Valkey", version, (7, 2)),
        None => ("Redis", field("redis_version").unwrap_or_default(), (7, 0)),
    };
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    if (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) < oldest {
        return Ok(Err(format!("it is {product} {version}; {}.{} or later is needed", oldest.0, oldest.1)));
    }
    let cluster = field("redis_mode").or_else(|| field("server_mode")).is_some_and(|mode| mode == "cluster");
    let primaries = if cluster { Some(primaries(connection).await.map_err(|error| error.to_string())?) } else { None };
    let mut settings = BTreeMap::new();
    for name in ["save", "appendonly", "appendfsync", "maxmemory-policy"] {
        // A managed server may refuse CONFIG; what it does not tell is not reported.
        let told: Result<Vec<String>, _> = redis::cmd("CONFIG").arg("GET").arg(name).query_async(connection).await;
        if let Ok([_, value]) = told.as_deref() {
            settings.insert(name.to_owned(), value.clone());
        }
    }
    Ok(Ok(Probe { product: product.to_owned(), version, settings, concurrency: 1, primaries }))
}

async fn primaries(connection: &mut MultiplexedConnection) -> Result<usize, redis::RedisError> {
    let told: String = redis::cmd("CLUSTER").arg("INFO").query_async(connection).await?;
    let size = told.lines().find_map(|line| line.strip_prefix("cluster_size:")?.trim().parse().ok());
    Ok(size.unwrap_or_default())
}

/// An address without its name and password, for people to read.
pub(crate) fn shown(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (place, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
            // Parameters may hold a password too.
            let tail = tail.split('?').next().unwrap_or_default();
            format!("{scheme}://{place}{tail}")
        }
        None => "an address without a scheme".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_shown_address_has_no_password() {
        assert_eq!(shown("postgres://me:s3cret@db:5432/x?password=s3cret"), "postgres://db:5432/x");
        assert_eq!(shown("rediss://:s3cret@cache"), "rediss://cache");
        assert_eq!(shown("s3cret"), "an address without a scheme");
    }
}
