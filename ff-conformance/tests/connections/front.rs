//! An end of TLS in front of a server of the run, with certificates that were made a moment ago.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::life::Tried;

/// An authority, a server that it vouches for as `localhost` and 127.0.0.1, and a client.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    server: (String, String),
    pub(crate) client: (String, String),
}

impl Certificates {
    pub(crate) fn new() -> Tried<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let issue = |names: &[&str]| -> Tried<(String, String)> {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(names.clone())?;
            // A subject that is its issuer's would look self-signed.
            params.distinguished_name.push(DnType::CommonName, names.concat());
            Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
        };
        Ok(Self { authority, server: issue(&["localhost", "127.0.0.1"])?, client: issue(&["worker"])? })
    }

    /// The certificate of the server, and its key.
    pub(crate) fn server(&self) -> (&str, &str) {
        (&self.server.0, &self.server.1)
    }

    /// What the server speaks; with `demands`, only to clients that the authority vouches for.
    fn config(&self, demands: bool) -> Tried<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = if demands {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes())?)?;
            let provider = Arc::new(ring::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(self.server.0.as_bytes())?];
        Ok(builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(self.server.1.as_bytes())?)?)
    }
}

/// How a client asks for TLS.
#[derive(Clone, Copy)]
pub(crate) enum Protocol {
    /// By eight bytes in plain, answered by one.
    Postgres,
    /// By beginning with it.
    Valkey,
}

/// The end of TLS; it listens on all of 127.0.0.0/8.
pub(crate) struct Front {
    pub(crate) port: u16,
    task: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Front {
    /// Stands before the server at `target`.
    pub(crate) async fn before(
        target: SocketAddr,
        protocol: Protocol,
        certificates: &Certificates,
        demands: bool,
    ) -> Tried<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(certificates.config(demands)?));
        let listener = TcpListener::bind("0.0.0.0:0").await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // A client that is refused, or refuses us, ends its own connection only.
                tokio::spawn(serve(near, target, protocol, acceptor.clone()));
            }
        });
        Ok(Self { port, task })
    }
}

async fn serve(
    mut near: TcpStream,
    target: SocketAddr,
    protocol: Protocol,
    acceptor: TlsAcceptor,
) -> std::io::Result<()> {
    if let Protocol::Postgres = protocol {
        let mut request = [0; 8];
        near.read_exact(&mut request).await?;
        near.write_all(b"S").await?;
    }
    let mut near = acceptor.accept(near).await?;
    let mut far = TcpStream::connect(target).await?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}

/// Whom a URL names, and where.
pub(crate) struct Address {
    scheme: String,
    user: String,
    place: String,
    path: String,
}

impl Address {
    pub(crate) fn of(url: &str) -> Tried<Self> {
        let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let [scheme, user, place, path] = [scheme, user, place, path].map(str::to_owned);
        Ok(Self { scheme, user, place, path })
    }

    /// The port of the place.
    pub(crate) fn port(&self) -> Tried<u16> {
        Ok(self.place.rsplit_once(':').ok_or("no port")?.1.parse()?)
    }

    /// The first address of the place.
    pub(crate) async fn target(&self, default_port: u16) -> Tried<SocketAddr> {
        let ends = self.place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let place = if ends { self.place.clone() } else { format!("{}:{default_port}", self.place) };
        Ok(tokio::net::lookup_host(place).await?.next().ok_or("no address")?)
    }

    /// The same at another place.
    #[must_use]
    pub(crate) fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    /// The same for another user.
    #[must_use]
    pub(crate) fn user(mut self, user: &str, password: &str) -> Self {
        self.user = format!("{user}:{password}");
        self
    }

    /// The same by another scheme.
    #[must_use]
    pub(crate) fn scheme(mut self, scheme: &str) -> Self {
        scheme.clone_into(&mut self.scheme);
        self
    }

    pub(crate) fn url(&self) -> String {
        let at = if self.user.is_empty() { "" } else { "@" };
        format!("{}://{}{at}{}{}", self.scheme, self.user, self.place, self.path)
    }
}
