//! Wake-ups of claims that wait: one more connection that listens, made by the first of them.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ff_core::LaneId;
use redis::{PushInfo, PushKind, Value, aio::MultiplexedConnection};
use tokio::sync::{Mutex, broadcast};

use crate::{error::ValkeyError, fcall::Server, keys::Keys};

/// Wake-ups that a claim may be behind before it looks without them.
const BEHIND: usize = 256;

/// Tells waiting claims of their lane.
pub(crate) struct Wakes {
    channel: String,
    woken: broadcast::Sender<Arc<str>>,
    link: Mutex<Option<Link>>,
}

/// A connection that listens, and whether it was seen to end.
struct Link {
    _connection: MultiplexedConnection,
    ended: Arc<AtomicBool>,
}

impl Wakes {
    /// Wake-ups that nobody listens to yet.
    pub(crate) fn new(keys: &Keys) -> Self {
        Self { channel: keys.wake(), woken: broadcast::Sender::new(BEHIND), link: Mutex::new(None) }
    }

    /// Listens from now on. Without a connection there are no wake-ups, and a claim looks by itself.
    pub(crate) async fn listen(&self, server: &Server) -> broadcast::Receiver<Arc<str>> {
        let receiver = self.woken.subscribe();
        let mut link = self.link.lock().await;
        if link.as_ref().is_none_or(|link| link.ended.load(Ordering::Acquire)) {
            *link = self.connect(server).await.ok();
        }
        receiver
    }

    async fn connect(&self, server: &Server) -> Result<Link, ValkeyError> {
        let (ended, woken) = (Arc::new(AtomicBool::new(false)), self.woken.clone());
        let seen = Arc::clone(&ended);
        let connection = server.listening_connection(&self.channel, move |push: PushInfo| {
            let lane = match (push.kind, push.data.last()) {
                (PushKind::Message, Some(Value::BulkString(lane))) => String::from_utf8_lossy(lane).into_owned(),
                (PushKind::Disconnection, _) => {
                    seen.store(true, Ordering::Release);
                    String::new()
                }
                _ => return,
            };
            // Nobody may be waiting any more.
            let _ = woken.send(lane.into());
        });
        Ok(Link { _connection: connection.await?, ended })
    }
}

/// Waits for a wake-up of `lane`, or of all lanes, which an empty name means.
pub(crate) async fn woken(receiver: &mut broadcast::Receiver<Arc<str>>, lane: &LaneId) {
    loop {
        match receiver.recv().await {
            Ok(name) if name.is_empty() || *name == *lane.as_str() => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => pending().await,
        }
    }
}
