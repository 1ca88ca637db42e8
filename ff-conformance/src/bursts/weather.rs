//! What stands between a client and its store: nothing, or what breaks a call now and then.

use std::{fmt, sync::Arc, time::Duration};

use ff_core::EngineBackend;

use crate::{Fault, Proxy, Unreliable, draw::Draw};

/// How often a call of a client in bad weather meets a fault, in percent.
const OFTEN: usize = 12;
/// How long a call may meet silence until its connection ends.
const SILENCE: Duration = Duration::from_millis(15);

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
    pub(super) fn disturb(&self, draw: &mut Draw) {
        let Some(proxy) = self.proxy.as_ref().filter(|_| draw.percent(OFTEN)) else { return };
        let faults = [
            Fault::Reset,
            Fault::DropReply,
            Fault::DropReply,
            Fault::CutRequest(1 + draw.below(200)),
            Fault::CutReply(draw.below(60)),
            Fault::Swallow,
            Fault::SwallowReply,
        ];
        let fault = *draw.one(&faults);
        proxy.arm(fault);
        if matches!(fault, Fault::Swallow | Fault::SwallowReply) {
            let proxy = Arc::clone(proxy);
            tokio::spawn(async move {
                if tokio::time::timeout(Duration::from_secs(5), proxy.struck()).await.is_ok() {
                    tokio::time::sleep(SILENCE).await;
                    proxy.sever();
                }
            });
        }
    }

    /// Takes back what has not struck.
    pub(super) fn heal(&self) {
        if let Some(proxy) = &self.proxy {
            proxy.disarm();
        }
    }
}
