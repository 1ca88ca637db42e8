//! The way to Valkey and Redis.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use ff_backend_valkey::{ValkeyBackend, library};
use ff_conformance::servers::{Servers, ValkeySlot};
use ff_core::{BackendConfig, CredentialSource, Credentials, EngineBackend, Executions, TlsConfig, ValkeyConnection};
use redis::{Cmd, FromRedisValue, aio::MultiplexedConnection, cmd};

use crate::{
    front::{Address, Certificates, Front, Protocol},
    life::{Tried, create, live, refusal},
    page,
};

/// A server that a test has for itself, with the function library.
struct Server {
    slot: ValkeySlot,
    admin: MultiplexedConnection,
}

impl Server {
    async fn new() -> Tried<Self> {
        let slot = Servers::from_env().valkey?.take().await?;
        slot.flush().await?;
        let admin = redis::Client::open(slot.url.as_str())?.get_multiplexed_async_connection().await?;
        let server = Self { slot, admin };
        server.engine().await?.prepare().await?;
        Ok(server)
    }

    async fn engine(&self) -> Tried<Arc<ValkeyBackend>> {
        Ok(ValkeyBackend::connect(BackendConfig::valkey(&self.slot.url)).await?)
    }

    fn at(&self, place: String) -> Tried<ValkeyConnection> {
        Ok(ValkeyConnection::new(Address::of(&self.slot.url)?.scheme("rediss").at(place).url()))
    }

    async fn front(&self, certificates: &Certificates, demands: bool) -> Tried<Front> {
        let target = Address::of(&self.slot.url)?.target(6379).await?;
        Front::before(target, Protocol::Valkey, certificates, demands).await
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Tried<T> {
        Ok(command.query_async(&mut self.admin.clone()).await?)
    }

    /// Sends a line as it stands on the page.
    async fn line(&self, line: &str) -> Tried {
        let mut words = line.split_whitespace();
        let mut command = cmd(words.next().ok_or("an empty line")?);
        words.for_each(|word| {
            command.arg(word);
        });
        self.ask(&command).await
    }

    /// Makes the user of the operators' page.
    async fn user(&self) -> Tried<ValkeyConnection> {
        self.line(page::block("A user on Valkey")?).await?;
        Ok(ValkeyConnection::new(Address::of(&self.slot.url)?.user("ff_engine", "change-me").url()))
    }

    async fn end(self) -> Tried {
        self.line("ACL DELUSER ff_engine").await?;
        Ok(self.slot.flush().await?)
    }
}

#[tokio::test]
async fn valkey_tls_is_verified_in_full() -> Tried {
    let server = Server::new().await?;
    let certificates = Certificates::new()?;
    let front = server.front(&certificates, false).await?;
    let trusting = || TlsConfig::new().authorities(certificates.authority.clone());
    for host in ["localhost", "127.0.0.1"] {
        let connection = server.at(format!("{host}:{}", front.port))?.tls(trusting());
        live(&*ValkeyBackend::connect(connection.into()).await?).await?;
    }
    for (place, tls, words) in [
        ("localhost", None, "UnknownIssuer"),
        ("localhost", Some(TlsConfig::new()), "UnknownIssuer"),
        ("127.0.0.2", Some(trusting()), "not valid for name"),
    ] {
        let mut connection = server.at(format!("{place}:{}", front.port))?;
        connection.tls = tls;
        let (code, text) = refusal(ValkeyBackend::connect(connection.into()).await);
        assert_eq!(code, "Transport(Connection, No)", "{text}");
        assert!(text.contains(words), "{text}");
    }
    server.end().await
}

#[tokio::test]
async fn valkey_gets_the_client_certificate_that_it_demands() -> Tried {
    let server = Server::new().await?;
    let certificates = Certificates::new()?;
    let front = server.front(&certificates, true).await?;
    let connection = || server.at(format!("localhost:{}", front.port));
    let trusting = TlsConfig::new().authorities(certificates.authority.clone());
    let (code, text) = refusal(ValkeyBackend::connect(connection()?.tls(trusting.clone()).into()).await);
    assert_eq!(code, "Transport(Connection, No)", "{text}");
    let (certificate, key) = certificates.client.clone();
    let connection = connection()?.tls(trusting.client(certificate, key));
    live(&*ValkeyBackend::connect(connection.into()).await?).await?;
    server.end().await
}

#[tokio::test]
async fn valkey_credentials_are_asked_at_each_connect() -> Tried {
    let server = Server::new().await?;
    server.user().await?;
    let wrong = Address::of(&server.slot.url)?.user("ff_engine", "s3cret").url();
    let (code, text) = refusal(ValkeyBackend::connect(BackendConfig::valkey(wrong)).await);
    assert_eq!(code, "Transport(Auth, No)", "{text}");
    assert!(!text.contains("s3cret"), "{text}");

    let (asked, password) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new("change-me")));
    let (count, current) = (Arc::clone(&asked), Arc::clone(&password));
    let source = CredentialSource::immediate(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Credentials::new(current.lock().map(|word| *word).unwrap_or_default()).user("ff_engine")
    });
    let connection = ValkeyConnection::new(&server.slot.url).credentials(source);
    let engine = ValkeyBackend::connect(connection.into()).await?;
    live(&*engine).await?;
    assert_eq!(asked.load(Ordering::Relaxed), 1, "one connection, one question");

    // The password changes and the connection ends: the next one is made with what the source says then.
    server.line("ACL SETUSER ff_engine resetpass >changed").await?;
    if let Ok(mut word) = password.lock() {
        *word = "changed";
    }
    server.line("CLIENT KILL USER ff_engine").await?;
    // What was under way on the connection that ended may be lost; nothing else is.
    let _ = engine.ping().await;
    live(&*engine).await?;
    assert!(asked.load(Ordering::Relaxed) >= 2);

    let none = CredentialSource::new(|| async { Err("the token service is away".into()) });
    let connection = ValkeyConnection::new(&server.slot.url).credentials(none);
    let (code, text) = refusal(ValkeyBackend::connect(connection.into()).await);
    assert_eq!(code, "Transport(Auth, No)");
    assert!(text.contains("the token service is away"), "{text}");
    server.end().await
}

#[tokio::test]
async fn valkey_needs_no_more_rights_than_the_page_grants() -> Tried {
    let server = Server::new().await?;
    let engine = ValkeyBackend::connect(server.user().await?.into()).await?;
    live(&*engine).await?;
    server.line("ACL SETUSER ff_engine -fcall").await?;
    assert_eq!(refusal(create(&*engine).await).0, "Transport(Forbidden, No)");

    // Without the two that only look at the server it goes on, and declares the weaker durability.
    server.line("ACL SETUSER ff_engine +fcall -info -config|get").await?;
    let engine = ValkeyBackend::connect(server.user_url()?).await?;
    live(&*engine).await?;
    assert_eq!(engine.capabilities().properties.durability, ff_core::Durability::None);
    server.end().await
}

impl Server {
    fn user_url(&self) -> Tried<BackendConfig> {
        Ok(BackendConfig::valkey(Address::of(&self.slot.url)?.user("ff_engine", "change-me").url()))
    }
}

#[test]
fn the_page_lists_what_the_functions_call() -> Tried {
    let line = page::block("A user on Valkey")?;
    let listed: BTreeSet<_> = line.split_whitespace().filter_map(|word| word.strip_prefix('+')).collect();
    let own = ["fcall", "fcall_ro", "ping", "info", "config|get", "hget", "subscribe", "xread", "xrevrange"];
    let own = own.map(str::to_owned);
    let library = library();
    let calls = library.split("redis.call(\"").skip(1).filter_map(|rest| rest.split_once('"'));
    let needed: BTreeSet<_> = calls.map(|(name, _)| name.to_lowercase()).chain(own).collect();
    assert_eq!(listed, needed.iter().map(String::as_str).collect(), "docs/OPERATIONS.md, A user on Valkey");
    Ok(())
}

#[tokio::test]
async fn valkey_in_trouble_says_which() -> Tried {
    let server = Server::new().await?;
    let engine = server.engine().await?;
    let known = create(&*engine).await?;
    let answers = async |line: &str| -> Tried<String> {
        server.line(line).await?;
        Ok(refusal(create(&*engine).await).0)
    };
    assert_eq!(answers("CONFIG SET maxmemory 1").await?, "Transport(Full, No)");
    server.line("CONFIG SET maxmemory 0").await?;

    // Nobody listens there: it is a replica without its primary.
    assert_eq!(answers("REPLICAOF 127.0.0.1 1").await?, "Transport(ReadOnly, No)");
    let (code, text) = refusal(ValkeyBackend::connect(BackendConfig::valkey(&server.slot.url)).await);
    assert_eq!(code, "Transport(ReadOnly, No)");
    assert!(text.contains("connect to its primary"), "{text}");
    server.line("CONFIG SET replica-serve-stale-data no").await?;
    let stale = engine.read_execution_state(&known).await;
    assert_eq!(refusal(stale).0, "Transport(Busy, No)");
    server.line("CONFIG SET replica-serve-stale-data yes").await?;
    server.line("REPLICAOF NO ONE").await?;

    server.line("CONFIG SET maxmemory-policy allkeys-lru").await?;
    let (code, text) = refusal(ValkeyBackend::connect(BackendConfig::valkey(&server.slot.url)).await);
    server.line("CONFIG SET maxmemory-policy noeviction").await?;
    assert_eq!(code, "Validation(InvalidInput)");
    assert!(text.contains("CONFIG SET maxmemory-policy noeviction"), "{text}");
    create(&*engine).await?;
    server.end().await
}
