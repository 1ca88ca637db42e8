//! A TCP proxy with one address in front of a store: it counts round trips and breaks the next request as told.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ff_core::EngineBackend;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::{Client, Control, Cx, Diagnosis, Stop};

/// What happens to the next request, once.
///
/// A request is everything that a client sends between two replies. The request after it passes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is thrown away and the connection is reset.
    Reset,
    /// It is forwarded; its reply is thrown away and the connection closed.
    DropReply,
    /// It is thrown away; the connection stays open and silent.
    Swallow,
    /// It is forwarded; its reply is thrown away, and the connection stays open and silent.
    SwallowReply,
    /// So many bytes of it are forwarded, then the connection is closed on both sides.
    CutRequest(usize),
    /// It is forwarded; so many bytes of its reply come back, then the connection is closed on both sides.
    CutReply(usize),
    /// It is forwarded after so long.
    Delay(Duration),
}

/// A proxy in front of one store; it keeps its address for its life and ends with all its connections when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// Bound and never listening: it keeps the port while connections are refused.
    _reserved: TcpSocket,
    shared: Arc<Shared>,
    severed: watch::Sender<u64>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    turns: AtomicU64,
    armed: Mutex<Option<Fault>>,
    struck: watch::Sender<bool>,
}

impl Proxy {
    /// A proxy on a free port of 127.0.0.1 that forwards to `target`.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let reserved = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = reserved.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            turns: AtomicU64::new(0),
            armed: Mutex::default(),
            struck: watch::Sender::new(false),
        });
        let severed = watch::Sender::new(0);
        let proxy = Self { address, _reserved: reserved, shared, severed, listener: Mutex::default() };
        proxy.accept()?;
        Ok(proxy)
    }

    /// Where clients connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests so far, over all connections; the ping with which a Postgres pool takes a connection back is none,
    /// because nobody waits for it.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.shared.turns.load(Ordering::SeqCst)
    }

    /// Counts from zero again.
    pub fn reset(&self) {
        self.shared.turns.store(0, Ordering::SeqCst);
    }

    /// Breaks the next request like this; a fault that has not struck yet is replaced.
    pub fn arm(&self, fault: Fault) {
        self.shared.struck.send_replace(false);
        *self.shared.armed() = Some(fault);
    }

    /// Takes back a fault that has not struck yet.
    pub fn disarm(&self) {
        *self.shared.armed() = None;
    }

    /// Waits until the armed fault has struck: the request was thrown away, or its reply was.
    pub async fn struck(&self) {
        // The sender lives in `shared`, so the wait ends only with a fault that struck.
        let _ = self.shared.struck.subscribe().wait_for(|struck| *struck).await;
    }

    /// Refuses new connections until [`Proxy::accept`]; those that are open stay.
    pub async fn refuse(&self) {
        let listener = self.listener().take();
        if let Some(listener) = listener {
            listener.abort();
            // The port is closed once the task is gone.
            let _ = listener.await;
        }
    }

    /// Takes new connections, at the same address.
    ///
    /// # Errors
    /// If the port cannot be listened on.
    pub fn accept(&self) -> io::Result<()> {
        let mut slot = self.listener();
        if slot.is_none() {
            let listener = bound(self.address)?.listen(128)?;
            *slot = Some(tokio::spawn(serve(listener, Arc::clone(&self.shared), self.severed.subscribe())));
        }
        Ok(())
    }

    /// Closes every open connection, as the end of a client's or a server's process does.
    pub fn sever(&self) {
        self.severed.send_modify(|count| *count += 1);
    }

    fn listener(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(listener) = self.listener().take() {
            listener.abort();
        }
    }
}

impl Shared {
    fn armed(&self) -> std::sync::MutexGuard<'_, Option<Fault>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self) {
        self.struck.send_replace(true);
    }
}

/// A socket that is bound but does not listen; several may share a port as long as one of them listens at most.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, severed: watch::Receiver<u64>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        // A connection made from here on outlives the severings before it.
        let mut severed = severed.clone();
        severed.mark_unchanged();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = severed.changed() => {}
                _ = relay(client, shared) => {}
            }
        });
    }
}

/// One connection through the proxy, until a side closes it or a fault does.
async fn relay(client: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let server = match TcpStream::connect(shared.target).await {
        Ok(server) => server,
        Err(_) => return client.set_zero_linger(),
    };
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Relay { client, server, shared, server_spoke: true, fault: None }.run().await
}

impl Cx {
    /// A client called `name` with one connection, and the proxy of its own that it goes through.
    ///
    /// With one connection a call waits until the one before has given it back, so the next request is the next call's.
    ///
    /// # Errors
    /// `Stop::NotRun` without an address, `Stop::Ineligible` in process.
    pub async fn proxied(&self, name: &str) -> Result<(Arc<dyn EngineBackend>, Proxy), Stop> {
        let target = self.controls().address.ok_or_else(|| self.lacking(Control::Address))?;
        let proxy = Proxy::start(target).map_err(|error| Stop::Errored(format!("proxy: {error}")))?;
        let client = Client { pool_size: NonZeroU32::MIN, ..Client::new(name).address(proxy.address()) };
        let client = self.connect(client).await?;
        client.ping().await?;
        if proxy.turns() == 0 {
            return Err(Diagnosis::ProxyBypassed.into());
        }
        proxy.reset();
        Ok((client, proxy))
    }
}

struct Relay {
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
    /// True until the client's next request begins.
    server_spoke: bool,
    /// What becomes of the request in flight.
    fault: Option<Fault>,
}

/// The lone `Sync` message with which `sqlx` takes a connection back into its pool.
const RELEASE_PING: &[u8] = b"S\0\0\0\x04";

impl Relay {
    async fn run(mut self) -> io::Result<()> {
        let (mut request, mut reply) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        loop {
            tokio::select! {
                read = self.client.read(&mut request) => match read? {
                    0 => return Ok(()),
                    count => if self.on_request(&request[..count]).await?.is_closed() { return Ok(()) },
                },
                read = self.server.read(&mut reply) => match read? {
                    0 => return Ok(()),
                    count => if self.on_reply(&reply[..count]).await?.is_closed() { return Ok(()) },
                },
            }
        }
    }

    async fn on_request(&mut self, bytes: &[u8]) -> io::Result<Link> {
        if self.server_spoke {
            self.server_spoke = false;
            if bytes != RELEASE_PING {
                self.shared.turns.fetch_add(1, Ordering::SeqCst);
                self.fault = self.fault.or_else(|| self.shared.armed().take());
            }
        }
        match self.fault {
            Some(Fault::Reset) => {
                self.client.set_zero_linger()?;
                self.shared.strike();
                Ok(Link::Closed)
            }
            Some(Fault::Swallow) => {
                self.shared.strike();
                Ok(Link::Open)
            }
            Some(Fault::CutRequest(rest)) => {
                let part = &bytes[..rest.min(bytes.len())];
                self.server.write_all(part).await?;
                self.fault = Some(Fault::CutRequest(rest - part.len()));
                if part.len() < rest {
                    return Ok(Link::Open);
                }
                self.shared.strike();
                Ok(Link::Closed)
            }
            Some(Fault::Delay(time)) => {
                self.fault = None;
                tokio::time::sleep(time).await;
                self.server.write_all(bytes).await?;
                self.shared.strike();
                Ok(Link::Open)
            }
            None | Some(Fault::DropReply | Fault::SwallowReply | Fault::CutReply(_)) => {
                self.server.write_all(bytes).await?;
                Ok(Link::Open)
            }
        }
    }

    async fn on_reply(&mut self, bytes: &[u8]) -> io::Result<Link> {
        self.server_spoke = true;
        match self.fault {
            None => {
                self.client.write_all(bytes).await?;
                Ok(Link::Open)
            }
            Some(Fault::CutReply(most)) => {
                self.client.write_all(&bytes[..most.min(bytes.len())]).await?;
                self.shared.strike();
                Ok(Link::Closed)
            }
            Some(Fault::SwallowReply) => {
                self.shared.strike();
                Ok(Link::Open)
            }
            Some(Fault::DropReply) => {
                self.shared.strike();
                Ok(Link::Closed)
            }
            // Nothing whole was forwarded, so what comes is no reply.
            Some(Fault::Swallow | Fault::CutRequest(_) | Fault::Reset | Fault::Delay(_)) => Ok(Link::Open),
        }
    }
}

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Open,
    Closed,
}

impl Link {
    fn is_closed(self) -> bool {
        self == Self::Closed
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// A server that answers each request with the same bytes, and tells what each ended connection had sent.
    async fn echo() -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let (mut all, mut some) = (Vec::new(), [0; 64]);
                    while let Ok(count @ 1..) = stream.read(&mut some).await {
                        all.extend_from_slice(&some[..count]);
                        if stream.write_all(&some[..count]).await.is_err() {
                            break;
                        }
                    }
                    let _ = tell.send(all);
                });
            }
        });
        (address, told)
    }

    async fn asked(client: &mut TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
        client.write_all(request).await?;
        let mut reply = vec![0; request.len()];
        client.read_exact(&mut reply).await?;
        Ok(reply)
    }

    async fn rest_of(client: &mut TcpStream) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.map(|_| rest)
    }

    #[tokio::test]
    async fn turns_count_requests_and_not_release_pings() {
        let (server, _told) = echo().await;
        let proxy = Proxy::start(server).unwrap();
        let mut one = TcpStream::connect(proxy.address()).await.unwrap();
        let mut two = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(proxy.turns(), 0);
        assert_eq!(asked(&mut one, b"ab").await.unwrap(), b"ab");
        assert_eq!(asked(&mut two, b"c").await.unwrap(), b"c");
        assert_eq!(asked(&mut one, RELEASE_PING).await.unwrap(), RELEASE_PING);
        assert_eq!(proxy.turns(), 2);
        proxy.reset();
        assert_eq!(asked(&mut one, b"d").await.unwrap(), b"d");
        assert_eq!(proxy.turns(), 1);
    }

    #[tokio::test]
    async fn a_dropped_reply_leaves_the_request_with_the_server() {
        let (server, mut told) = echo().await;
        let proxy = Proxy::start(server).unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asked(&mut client, b"a").await.unwrap(), b"a");
        proxy.arm(Fault::DropReply);
        assert_eq!(asked(&mut client, RELEASE_PING).await.unwrap(), RELEASE_PING);
        client.write_all(b"b").await.unwrap();
        assert_eq!(rest_of(&mut client).await.unwrap(), b"");
        proxy.struck().await;
        assert_eq!(told.recv().await.unwrap(), [b"a", RELEASE_PING, b"b"].concat());
    }

    #[tokio::test]
    async fn a_reset_keeps_the_request_from_the_server_and_strikes_once() {
        let (server, mut told) = echo().await;
        let proxy = Proxy::start(server).unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.arm(Fault::Reset);
        let error = asked(&mut client, b"a").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(told.recv().await.unwrap(), b"");
        let mut next = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asked(&mut next, b"b").await.unwrap(), b"b");
    }

    #[tokio::test]
    async fn a_swallowed_request_never_arrives() {
        let (server, mut told) = echo().await;
        let proxy = Proxy::start(server).unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.arm(Fault::Swallow);
        client.write_all(b"a").await.unwrap();
        proxy.struck().await;
        client.write_all(b"b").await.unwrap();
        proxy.sever();
        assert_eq!(told.recv().await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_swallowed_reply_leaves_the_connection_open_until_it_is_severed() {
        let (server, mut told) = echo().await;
        let proxy = Proxy::start(server).unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.arm(Fault::SwallowReply);
        client.write_all(b"a").await.unwrap();
        proxy.struck().await;
        assert!(client.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
        proxy.sever();
        assert_eq!(rest_of(&mut client).await.unwrap(), b"");
        assert_eq!(told.recv().await.unwrap(), b"a");
    }

    #[tokio::test]
    async fn cuts_forward_so_many_bytes() {
        let (server, mut told) = echo().await;
        let proxy = Proxy::start(server).unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.arm(Fault::CutRequest(3));
        client.write_all(b"abcde").await.unwrap();
        proxy.struck().await;
        assert_eq!(told.recv().await.unwrap(), b"abc");
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.arm(Fault::CutReply(2));
        client.write_all(b"abcde").await.unwrap();
        assert_eq!(rest_of(&mut client).await.unwrap(), b"ab");
        assert_eq!(told.recv().await.unwrap(), b"abcde");
    }

    #[tokio::test]
    async fn a_refusing_proxy_keeps_its_address_and_its_connections() {
        let (server, _told) = echo().await;
        let proxy = Proxy::start(server).unwrap();
        let mut open = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asked(&mut open, b"a").await.unwrap(), b"a");
        proxy.refuse().await;
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(asked(&mut open, b"b").await.unwrap(), b"b");
        proxy.accept().unwrap();
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asked(&mut again, b"c").await.unwrap(), b"c");
    }

    #[tokio::test]
    async fn a_dropped_proxy_closes_its_connections() {
        let (server, mut told) = echo().await;
        let proxy = Proxy::start(server).unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asked(&mut client, b"a").await.unwrap(), b"a");
        drop(proxy);
        assert_eq!(rest_of(&mut client).await.unwrap(), b"");
        assert_eq!(told.recv().await.unwrap(), b"a");
    }
}
