//! How a backend reaches its store.

mod access;

use std::{fmt, num::NonZeroU16, time::Duration};

pub use access::{ClientCertificate, CredentialError, CredentialSource, Credentials, TlsConfig};

use crate::{EngineError, RetentionConfig, ScannerConfig};

/// How many partitions a store has; chosen when it is first prepared, and fixed from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionConfig(NonZeroU16);

impl PartitionConfig {
    /// `count` partitions.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for 0.
    pub fn new(count: u16) -> Result<Self, EngineError> {
        NonZeroU16::new(count).map(Self).ok_or_else(|| EngineError::invalid_input("partitions: 0, at least 1"))
    }

    /// The number.
    #[must_use]
    pub const fn count(self) -> NonZeroU16 {
        self.0
    }
}

impl Default for PartitionConfig {
    fn default() -> Self {
        Self(NonZeroU16::MIN)
    }
}

/// A URL that may carry a password; its `Debug` shows neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// A URL as it was given.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole text, for a client library.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once("://") {
            Some((scheme, rest)) => {
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                // Parameters can carry a password too.
                write!(f, "{scheme}://{}", place.split('?').next().unwrap_or_default())
            }
            None => f.write_str("(not a URL)"),
        }
    }
}

/// A PostgreSQL database and the pool to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PostgresConnection {
    /// `postgres://user:password@host:port/database`, with `sslmode` and the like as parameters.
    ///
    /// `sslmode=require`, `verify-ca` and `verify-full` all mean TLS with full verification, `disable` means none.
    /// Without it, [`Self::tls`] decides if it is given. If it is not, a connection on this machine is plain, and every
    /// other one uses TLS with full verification unless the server has none at the time of `connect`.
    pub url: SecretUrl,
    /// The schema of the engine's tables; every session's `search_path`.
    pub schema: String,
    /// Connections of the pool at most.
    pub max_connections: u32,
    /// Connections that the pool keeps.
    pub min_connections: u32,
    /// Whom to trust and what to show; if given, there is no connection without TLS, whatever the URL says.
    pub tls: Option<TlsConfig>,
    /// Overrules the password of the URL, asked before each connection.
    pub credentials: Option<CredentialSource>,
}

impl PostgresConnection {
    /// A pool of at most 10 connections to `url`, in the schema `public`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretUrl::new(url),
            schema: "public".to_owned(),
            max_connections: 10,
            min_connections: 0,
            tls: None,
            credentials: None,
        }
    }

    /// The same in another schema.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// The same with a pool of another size.
    #[must_use]
    pub const fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// The same with a pool that keeps so many connections.
    #[must_use]
    pub const fn min_connections(mut self, connections: u32) -> Self {
        self.min_connections = connections;
        self
    }

    /// The same over TLS.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The same with credentials from a source.
    #[must_use]
    pub fn credentials(mut self, source: CredentialSource) -> Self {
        self.credentials = Some(source);
        self
    }
}

/// A Valkey or Redis primary.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ValkeyConnection {
    /// `redis://user:password@host:port/database`, or `rediss://` for TLS with full verification.
    pub url: SecretUrl,
    /// Whom to trust and what to show; needs a `rediss://` URL.
    pub tls: Option<TlsConfig>,
    /// Overrules the password of the URL, asked before each connection.
    pub credentials: Option<CredentialSource>,
}

impl ValkeyConnection {
    /// The server at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: SecretUrl::new(url), tls: None, credentials: None }
    }

    /// The same with authorities or a client certificate of one's own.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The same with credentials from a source.
    #[must_use]
    pub fn credentials(mut self, source: CredentialSource) -> Self {
        self.credentials = Some(source);
        self
    }
}

impl From<PostgresConnection> for BackendConfig {
    fn from(connection: PostgresConnection) -> Self {
        Self::new(BackendConnection::Postgres(connection))
    }
}

impl From<ValkeyConnection> for BackendConfig {
    fn from(connection: ValkeyConnection) -> Self {
        Self::new(BackendConnection::Valkey(connection))
    }
}

/// Where the store is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BackendConnection {
    /// PostgreSQL.
    Postgres(PostgresConnection),
    /// Valkey or Redis.
    Valkey(ValkeyConnection),
}

/// How long a backend waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendTimeouts {
    /// For a connection to be made.
    pub connect: Duration,
    /// For a free connection of the pool.
    pub acquire: Duration,
    /// For the answer to one request.
    pub request: Duration,
}

impl Default for BackendTimeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), acquire: Duration::from_secs(5), request: Duration::from_secs(10) }
    }
}

/// Everything that `connect` needs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackendConfig {
    /// Where the store is.
    pub connection: BackendConnection,
    /// How long to wait.
    pub timeouts: BackendTimeouts,
    /// How many partitions a store gets that is prepared for the first time.
    pub partitions: PartitionConfig,
    /// When the background loops run; without it there are none.
    pub scanners: Option<ScannerConfig>,
    /// How long the store keeps what has ended, as far as this client removes it.
    pub retention: RetentionConfig,
}

impl BackendConfig {
    /// A configuration with default time-outs and one partition.
    #[must_use]
    pub fn new(connection: BackendConnection) -> Self {
        Self {
            connection,
            timeouts: BackendTimeouts::default(),
            partitions: PartitionConfig::default(),
            scanners: None,
            retention: RetentionConfig::default(),
        }
    }

    /// PostgreSQL at `url`.
    pub fn postgres(url: impl Into<String>) -> Self {
        Self::new(BackendConnection::Postgres(PostgresConnection::new(url)))
    }

    /// Valkey or Redis at `url`.
    pub fn valkey(url: impl Into<String>) -> Self {
        Self::new(BackendConnection::Valkey(ValkeyConnection::new(url)))
    }

    /// The same with other time-outs.
    #[must_use]
    pub fn timeouts(mut self, timeouts: BackendTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The same with background loops.
    #[must_use]
    pub fn scanners(mut self, scanners: ScannerConfig) -> Self {
        self.scanners = Some(scanners);
        self
    }

    /// The same with another retention.
    #[must_use]
    pub const fn retention(mut self, retention: RetentionConfig) -> Self {
        self.retention = retention;
        self
    }

    /// The same with another partition count for a store that is prepared for the first time.
    #[must_use]
    pub fn partitions(mut self, partitions: PartitionConfig) -> Self {
        self.partitions = partitions;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_user_and_password() {
        let config = BackendConfig::postgres("postgres://zoe:s3cret@db:5432/ff?password=also-s3cret");
        let text = format!("{config:?}");
        assert!(text.contains("postgres://db:5432/ff"), "{text}");
        assert!(!text.contains("s3cret") && !text.contains("zoe"), "{text}");
    }
}
