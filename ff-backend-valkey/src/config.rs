//! What is asked of a server before the engine uses it, read once when a backend connects.

use std::time::Duration;

use ff_core::{
    Applied, BackendConfig, BackendConnection, CredentialSource, Durability, EngineError, Operation, TlsConfig,
    TransportKind,
};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, FromRedisValue, InfoDict, IntoConnectionInfo, TlsCertificates, Value, cmd,
};

use crate::{backend::LABEL, error::ValkeyError, fcall::Server};

/// The least version of each server program.
const VALKEY: Version = (7, 2);
const REDIS: Version = (7, 0);

/// `appendfsync everysec` lets up to two seconds pass before it blocks writers.
const EVERY_SECOND: Duration = Duration::from_secs(2);

type Version = (u32, u32);

/// The client for the server that `config` names, and where its credentials come from if not from the URL.
pub(crate) fn client(config: &BackendConfig) -> Result<(Client, Option<CredentialSource>), EngineError> {
    let BackendConnection::Valkey(connection) = &config.connection else {
        return Err(EngineError::unavailable(Operation::Connect));
    };
    let url = &connection.url;
    // The client's own words may repeat the URL, and with it a password.
    let malformed = |_| EngineError::invalid_input(format!("not a URL of a Valkey server: {url:?}"));
    let info = url.expose().into_connection_info().map_err(malformed)?;
    let encrypted = match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => {
            return Err(EngineError::invalid_input("#insecure: certificates are always verified; give the authority"));
        }
        ConnectionAddr::TcpTls { .. } => true,
        _ => false,
    };
    let client = match &connection.tls {
        None => Client::open(info).map_err(malformed)?,
        Some(_) if !encrypted => {
            return Err(EngineError::invalid_input("TLS is configured, but the URL does not begin with rediss://"));
        }
        Some(tls) => Client::build_with_tls(info, certificates(tls)).map_err(|_| {
            EngineError::invalid_input("the authorities or the client certificate are not PEM, or do not fit the key")
        })?,
    };
    Ok((client, connection.credentials.clone()))
}

fn certificates(tls: &TlsConfig) -> TlsCertificates {
    let client = tls.client.clone();
    TlsCertificates {
        client_tls: client.map(|shown| ClientTlsConfig { client_cert: shown.certificate, client_key: shown.key }),
        root_cert: tls.authorities.clone(),
    }
}

/// Refuses a server that the engine cannot live on, and tells how durable the other ones are.
///
/// What the server forbids to ask is not held against it: its durability is then declared as none.
pub(crate) async fn inspect(server: &Server) -> Result<Durability, EngineError> {
    let info = allowed::<InfoDict>(server.look(cmd("INFO").arg("everything")).await)?;
    let fact = |name: &str| info.as_ref().and_then(|info| info.get::<String>(name));
    check_version(fact("valkey_version"), fact("redis_version"))?;
    if fact("role").is_some_and(|role| role == "slave") {
        return Err(EngineError::transport(
            LABEL,
            TransportKind::ReadOnly,
            Applied::No,
            "the server is a replica: connect to its primary",
        ));
    }
    let settings = settings(server).await?;
    let setting = |name: &str| settings.iter().find_map(|(key, value)| (key == name).then_some(value.as_str()));
    let policy = fact("maxmemory_policy").or_else(|| setting("maxmemory-policy").map(str::to_owned));
    if let Some(policy) = policy.filter(|policy| policy != "noeviction") {
        return Err(EngineError::invalid_input(format!(
            "the server may evict keys (maxmemory-policy {policy}): CONFIG SET maxmemory-policy noeviction"
        )));
    }
    Ok(durability(setting("appendonly"), setting("appendfsync")))
}

async fn settings(server: &Server) -> Result<Vec<(String, String)>, EngineError> {
    let mut ask = cmd("CONFIG");
    ask.arg("GET").arg("appendonly").arg("appendfsync").arg("maxmemory-policy");
    let Some(reply) = allowed::<Value>(server.look(&ask).await)? else { return Ok(Vec::new()) };
    Vec::from_redis_value(reply).map_err(|error| ValkeyError::Reply(format!("CONFIG GET: {error}")).into())
}

/// The answer, or none if the server forbids the question or does not know it.
fn allowed<T>(answer: Result<T, ValkeyError>) -> Result<Option<T>, EngineError> {
    match answer.map_err(EngineError::from) {
        Ok(answer) => Ok(Some(answer)),
        Err(EngineError::Transport(fault)) if matches!(fault.kind, TransportKind::Forbidden | TransportKind::Other) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn check_version(valkey: Option<String>, redis: Option<String>) -> Result<(), EngineError> {
    let (name, text, least) = match (valkey, redis) {
        (Some(text), _) => ("Valkey", text, VALKEY),
        (None, Some(text)) => ("Redis", text, REDIS),
        (None, None) => return Ok(()),
    };
    if version(&text).is_some_and(|version| version >= least) {
        return Ok(());
    }
    Err(EngineError::invalid_input(format!(
        "the server is {name} {text}; the engine needs Valkey {}.{} or Redis {}.{} or later",
        VALKEY.0, VALKEY.1, REDIS.0, REDIS.1
    )))
}

fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn durability(appendonly: Option<&str>, appendfsync: Option<&str>) -> Durability {
    match (appendonly, appendfsync) {
        (Some("yes"), Some("always")) => Durability::Sync,
        (Some("yes"), Some("everysec")) => Durability::Bounded(EVERY_SECOND),
        _ => Durability::None,
    }
}

#[cfg(test)]
mod tests {
    use ff_core::ValkeyConnection;

    use super::*;

    #[test]
    fn old_servers_are_refused_by_name() {
        let check = |valkey: Option<&str>, redis: Option<&str>| {
            check_version(valkey.map(str::to_owned), redis.map(str::to_owned)).map_err(|error| error.to_string())
        };
        assert_eq!(check(Some("8.1.1"), Some("7.2.4")), Ok(()));
        assert_eq!(check(Some("7.2.0"), Some("7.2.4")), Ok(()));
        assert_eq!(check(None, Some("7.0.15")), Ok(()));
        assert_eq!(check(None, None), Ok(()));
        assert!(check(None, Some("6.2.14")).unwrap_err().contains("Redis 6.2.14"));
        assert!(check(Some("7.1.0"), Some("7.2.4")).unwrap_err().contains("Valkey 7.1.0"));
        assert!(check(None, Some("unstable")).is_err());
    }

    #[test]
    fn durability_follows_from_the_append_only_file() {
        assert_eq!(durability(Some("yes"), Some("always")), Durability::Sync);
        assert_eq!(durability(Some("yes"), Some("everysec")), Durability::Bounded(EVERY_SECOND));
        assert_eq!(durability(Some("yes"), Some("no")), Durability::None);
        assert_eq!(durability(Some("no"), Some("always")), Durability::None);
        assert_eq!(durability(None, None), Durability::None);
    }

    #[test]
    fn tls_is_never_half_a_thing() {
        let refused = |connection: ValkeyConnection| client(&connection.into()).map(drop).unwrap_err().to_string();
        let given = || TlsConfig::new().authorities("no PEM");
        assert!(refused(ValkeyConnection::new("redis://cache").tls(given())).contains("rediss://"));
        assert!(refused(ValkeyConnection::new("rediss://cache/#insecure")).contains("always verified"));
        assert!(refused(ValkeyConnection::new("rediss://cache").tls(given().client("x", "y"))).contains("PEM"));
        assert!(client(&BackendConfig::valkey("rediss://cache")).is_ok());
    }

    #[test]
    fn only_the_valkey_arm_is_taken_and_no_password_is_repeated() {
        assert_eq!(
            client(&BackendConfig::postgres("postgres://db/ff")).map(drop).unwrap_err().code(),
            "Unavailable(connect)"
        );
        let error = client(&BackendConfig::valkey("redis://ann:s3cret@ho st:no")).map(drop).unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
