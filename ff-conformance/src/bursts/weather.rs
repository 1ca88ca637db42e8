//! What stands between a client and its store: nothing, or what breaks a call now and then.

use std::{fmt, io, sync::Arc, time::Duration};

use ff_core::EngineBackend;

use crate::{Fault, HarnessError, Proxy, SessionControl, Unreliable, draw::Draw};

/// How often a call of a client in bad weather meets a fault, in percent.
const OFTEN: usize = 12;
/// How long a call may meet silence until its connection ends, or a closed door until it opens again.
const SILENCE: Duration = Duration::from_millis(15);
/// How long a call may be on its way.
const LATE: Duration = Duration::from_millis(5);

/// A client, and what stands before it.
pub(super) struct Line {
    client: Arc<dyn EngineBackend>,
    proxy: Option<Arc<Proxy>>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl Line {
    /// A client with nothing in its way.
    pub(super) fn clear(client: Arc<dyn EngineBackend>) -> Self {
        Self { client, proxy: None }
    }

    /// A client of a store in this process, some of whose calls fail by the dice of `seed`.
    pub(super) fn unreliable(client: Arc<dyn EngineBackend>, seed: u64) -> Self {
        Self::clear(Unreliable::new(OFTEN, seed).before(client))
    }

    /// A client behind a proxy that breaks what it is told to.
    pub(super) fn through(client: Arc<dyn EngineBackend>, proxy: Proxy) -> Self {
        Self { client, proxy: Some(Arc::new(proxy)) }
    }

    pub(super) fn client(&self) -> &Arc<dyn EngineBackend> {
        &self.client
    }

    /// Perhaps lets the next call meet a fault.
    pub(super) async fn disturb(&self, draw: &mut Draw) {
        let Some(proxy) = self.proxy.as_ref().filter(|_| draw.percent(OFTEN)) else { return };
        let faults = [
            Some(Fault::Reset),
            Some(Fault::DropReply),
            Some(Fault::DropReply),
            Some(Fault::CutRequest(1 + draw.below(200))),
            Some(Fault::CutReply(draw.below(60))),
            Some(Fault::Swallow),
            Some(Fault::SwallowReply),
            Some(Fault::Delay(LATE)),
            None,
        ];
        let proxy = Arc::clone(proxy);
        match draw.one(&faults) {
            Some(fault @ (Fault::Swallow | Fault::SwallowReply)) => {
                proxy.arm(*fault);
                tokio::spawn(async move {
                    if tokio::time::timeout(Duration::from_secs(5), proxy.struck()).await.is_ok() {
                        tokio::time::sleep(SILENCE).await;
                        proxy.sever();
                    }
                });
            }
            Some(fault) => proxy.arm(*fault),
            None => {
                proxy.refuse().await;
                proxy.sever();
                tokio::spawn(async move {
                    tokio::time::sleep(SILENCE).await;
                    // A door that stays closed is opened, or told, when the line heals.
                    let _ = proxy.accept();
                });
            }
        }
    }

    /// Takes back what has not struck.
    pub(super) fn heal(&self) -> io::Result<()> {
        let Some(proxy) = &self.proxy else { return Ok(()) };
        proxy.disarm();
        proxy.accept()
    }
}

/// What the server itself does in the midst of a phase, when its turn comes.
pub(super) struct Strike {
    sessions: Arc<dyn SessionControl>,
    /// The client and its call around which it comes.
    at: (usize, usize),
    /// Whether the server forgets its functions as well.
    forgets: bool,
}

impl Strike {
    /// One of the calls of so many clients that make so many each.
    pub(super) fn draw(sessions: Arc<dyn SessionControl>, clients: usize, each: usize, draw: &mut Draw) -> Self {
        Self { sessions, at: (draw.below(clients), draw.below(each)), forgets: draw.percent(50) }
    }

    pub(super) fn is_at(&self, client: usize, call: usize) -> bool {
        self.at == (client, call)
    }

    /// Ends all sessions, and lets `call` meet what is left.
    pub(super) async fn around(&self, call: impl Future<Output = ()> + Send) -> Result<(), HarnessError> {
        if self.forgets {
            self.sessions.forget_functions().await?;
        }
        self.sessions.drop_sessions().await?;
        call.await;
        if self.forgets { self.sessions.teach_functions().await } else { Ok(()) }
    }
}
