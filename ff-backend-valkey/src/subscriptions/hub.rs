//! One connection that waits at the streams for all subscriptions of a backend, and wakes those whose family has news.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ff_core::EventFamily;
use futures::future::join_all;
use redis::{RedisError, Value, aio::MultiplexedConnection, cmd, pipe, streams::StreamRangeReply};
use tokio::sync::watch;

use crate::{error::ValkeyError, fcall::Server, keys::Keys};

/// How long the server keeps the connection waiting, so that a connection that died in silence is found out.
const BLOCK: Duration = Duration::from_millis(900);

/// Between two answers, so that many events make few wake-ups.
const PAUSE: Duration = Duration::from_millis(5);

/// Before another connection is made.
const RETRY: Duration = Duration::from_millis(200);

/// Waits at the streams while somebody subscribes to them.
pub(crate) struct Hub {
    streams: [String; EventFamily::ALL.len()],
    told: [watch::Sender<()>; EventFamily::ALL.len()],
    runs: Mutex<bool>,
}

/// The stream of a family.
pub(crate) fn stream(keys: &Keys, family: EventFamily) -> String {
    match family {
        EventFamily::LeaseHistory => keys.lease_history(),
        EventFamily::Completions => keys.completions(),
        EventFamily::OperatorEvents => keys.operator_events(),
        EventFamily::SignalDeliveries => keys.signal_deliveries(),
    }
}

impl Hub {
    /// A hub at rest.
    pub(crate) fn new(keys: Keys) -> Arc<Self> {
        Arc::new(Self {
            streams: std::array::from_fn(|at| stream(&keys, EventFamily::ALL[at])),
            told: std::array::from_fn(|_| watch::Sender::new(())),
            runs: Mutex::new(false),
        })
    }

    /// Changes whenever the family may have something new; the hub waits as long as one of these lives.
    pub(crate) fn join(self: &Arc<Self>, family: EventFamily, server: &Arc<Server>) -> watch::Receiver<()> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.told[family as usize].subscribe();
        if !*runs {
            *runs = true;
            tokio::spawn(Arc::clone(self).run(Arc::clone(server)));
        }
        receiver
    }

    async fn run(self: Arc<Self>, server: Arc<Server>) {
        loop {
            tokio::select! {
                // Each subscription finds out for itself what is wrong.
                () = async {
                    let _broken = self.watch(&server).await;
                    self.wake(|_| true);
                    tokio::time::sleep(RETRY).await;
                } => {}
                _ = join_all(self.told.iter().map(watch::Sender::closed)) => {}
                () = server.closed() => {
                    join_all(self.told.iter().map(watch::Sender::closed)).await;
                }
            }
            let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            if self.told.iter().all(watch::Sender::is_closed) {
                *runs = false;
                return;
            }
        }
    }

    /// Wakes subscriptions until the connection breaks.
    async fn watch(&self, server: &Server) -> Result<(), ValkeyError> {
        let mut connection = server.blocking_connection().await?;
        let mut seen = self.newest(&mut connection).await?;
        self.wake(|_| true);
        loop {
            let mut wait = cmd("XREAD");
            wait.arg("COUNT").arg(1).arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("STREAMS");
            wait.arg(&self.streams).arg(&seen);
            let answer = wait.query_async::<Value>(&mut connection);
            let patience = BLOCK.saturating_add(server.patience());
            let answer = tokio::time::timeout(patience, answer)
                .await
                .unwrap_or_else(|_| Err(RedisError::from(io::Error::from(io::ErrorKind::TimedOut))));
            if answer.map_err(ValkeyError::Unsent)? != Value::Nil {
                // The answer names one stream, and others may have got something since: the last ids tell.
                let before = std::mem::replace(&mut seen, self.newest(&mut connection).await?);
                self.wake(|family| before.get(family as usize) != seen.get(family as usize));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// The last id of each stream.
    async fn newest(&self, connection: &mut MultiplexedConnection) -> Result<Vec<String>, ValkeyError> {
        let mut ask = pipe();
        for stream in &self.streams {
            ask.cmd("XREVRANGE").arg(stream).arg("+").arg("-").arg("COUNT").arg(1);
        }
        let last: Vec<StreamRangeReply> = ask.query_async(connection).await.map_err(ValkeyError::Unsent)?;
        let id =
            |last: StreamRangeReply| last.ids.into_iter().next().map_or_else(|| "0-0".to_owned(), |entry| entry.id);
        Ok(last.into_iter().map(id).collect())
    }

    fn wake(&self, has_news: impl Fn(EventFamily) -> bool) {
        for family in EventFamily::ALL.iter().filter(|family| has_news(**family)) {
            self.told[*family as usize].send_replace(());
        }
    }
}
