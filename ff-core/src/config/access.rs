//! Whom a client trusts, and what it shows for itself; no `Debug` tells a secret.

use std::{error::Error, fmt, pin::Pin, sync::Arc};

/// What a client knows for TLS. What it says by default: trust the authorities of the system, show no certificate.
///
/// The certificate of the server is always checked in full: its chain, its time, and its host name. There is no switch
/// that weakens this.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// Authorities that the server's certificate may come from, as PEM. Valkey then trusts no others; PostgreSQL trusts
    /// those of the system as well.
    pub authorities: Option<Vec<u8>>,
    /// What the client shows to a server that asks.
    pub client: Option<ClientCertificate>,
}

impl TlsConfig {
    /// The authorities of the system, no client certificate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with authorities of one's own, as PEM.
    #[must_use]
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// The same with a certificate and its private key for servers that ask for one, as PEM.
    #[must_use]
    pub fn client(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client = Some(ClientCertificate { certificate: certificate.into(), key: key.into() });
        self
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorities = if self.authorities.is_some() { "given" } else { "of the system" };
        let client = if self.client.is_some() { "given" } else { "none" };
        write!(f, "TlsConfig {{ authorities: {authorities}, client: {client} }}")
    }
}

/// A certificate of the client with its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, as PEM.
    pub certificate: Vec<u8>,
    /// The private key, as PEM.
    pub key: Vec<u8>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

/// A password, and the user if the URL does not name it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// Overrules the user of the URL.
    pub user: Option<String>,
    /// The password, or a token in its place.
    pub password: String,
}

impl Credentials {
    /// A password for the user of the URL.
    pub fn new(password: impl Into<String>) -> Self {
        Self { user: None, password: password.into() }
    }

    /// The same for another user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Why there are no credentials now.
pub type CredentialError = Box<dyn Error + Send + Sync>;

type Answer = Pin<Box<dyn Future<Output = Result<Credentials, CredentialError>> + Send>>;

/// Where credentials come from that change while a client lives: asked before each connection is made.
///
/// An error of the source is `Transport(Auth)` for the call that needed the connection; nothing was sent.
#[derive(Clone)]
pub struct CredentialSource(Arc<dyn Fn() -> Answer + Send + Sync>);

impl CredentialSource {
    /// A source that may wait, for example for a service that hands out tokens.
    pub fn new<A>(ask: impl Fn() -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Result<Credentials, CredentialError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    /// A source that knows at once.
    pub fn immediate(ask: impl Fn() -> Credentials + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || Box::pin(std::future::ready(Ok(ask())))))
    }

    /// The credentials of this moment.
    ///
    /// # Errors
    /// What the source says.
    pub async fn get(&self) -> Result<Credentials, CredentialError> {
        (self.0)().await
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialSource")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_no_secret() {
        let tls = TlsConfig::new().authorities("s3cret").client("s3cret", "s3cret");
        let source = CredentialSource::immediate(|| Credentials::new("s3cret").user("ann"));
        let text = format!("{tls:?} {:?} {:?} {source:?}", tls.client, Credentials::new("s3cret").user("ann"));
        assert!(!text.contains("s3cret") && !text.contains("ann"), "{text}");
        assert!(text.contains("authorities: given, client: given") && text.contains("CredentialSource"), "{text}");
    }
}
