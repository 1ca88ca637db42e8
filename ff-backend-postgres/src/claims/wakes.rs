//! Wake-ups of claims that wait: hints from whoever makes a row ready to whoever waits in its lane.

use std::{
    collections::HashSet,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ff_core::LaneId;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::{error::PgError, tx::Sender};

/// The channel; its messages are lanes.
const CHANNEL: &str = "ff_wake";

/// Wake-ups that a claim may be behind before it looks without them.
const BEHIND: usize = 256;

/// Between two wake-ups of one lane by this process.
const PAUSE: Duration = Duration::from_millis(10);

/// How long a lane stays entered; longer than two entries are apart.
const ENTERED: Duration = Duration::from_secs(180);

/// Between two entries of a lane in which claims go on waiting.
const ENTER_AGAIN: Duration = Duration::from_secs(60);

/// Sends and receives wake-ups of one process.
#[derive(Debug)]
pub(crate) struct Wakes {
    process_id: Uuid,
    woken: broadcast::Sender<Arc<str>>,
    /// Held while the listener is made: a claim that waits must not look before it listens.
    listening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    listens: bool,
    /// Lanes in which the store knows that this process waits.
    entered: HashSet<Arc<str>>,
    /// Lanes to wake, and whether somebody is at it.
    to_wake: HashSet<Arc<str>>,
    wakes: bool,
}

impl Wakes {
    /// Wake-ups that nobody listens to yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            process_id: Uuid::new_v4(),
            woken: broadcast::Sender::new(BEHIND),
            listening: tokio::sync::Mutex::new(()),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wake-ups from now on.
    pub(crate) fn receiver(&self) -> broadcast::Receiver<Arc<str>> {
        self.woken.subscribe()
    }

    /// Makes the store wake this process for `lane`. Without a connection that listens there are no wake-ups, and a
    /// claim looks by itself.
    pub(crate) async fn enter(self: &Arc<Self>, lane: &LaneId, store: &Arc<Sender>) -> Result<(), PgError> {
        let _one_at_a_time = self.listening.lock().await;
        if !self.state().listens {
            let Some(listener) = listen(store).await else { return Ok(()) };
            self.state().listens = true;
            tokio::spawn(Arc::clone(self).relay(listener, Arc::clone(store)));
        }
        if self.state().entered.contains(lane.as_str()) {
            return Ok(());
        }
        let ttl_ms = i64::try_from(ENTERED.as_millis()).unwrap_or(i64::MAX);
        let statement =
            || sqlx::query(include_str!("await_lane.sql")).bind(lane.as_str()).bind(self.process_id).bind(ttl_ms);
        store.rows(statement).await?;
        self.state().entered.insert(lane.as_str().into());
        Ok(())
    }

    /// Hands on what the store says, as long as somebody waits.
    async fn relay(self: Arc<Self>, mut listener: PgListener, store: Arc<Sender>) {
        let mut closing = std::pin::pin!(store.pool().close_event());
        let mut again = std::pin::pin!(tokio::time::sleep(ENTER_AGAIN));
        loop {
            tokio::select! {
                said = listener.try_recv() => match said {
                    Ok(Some(lane)) => self.tell(lane.payload()),
                    // What was said meanwhile is lost.
                    _ => break,
                },
                () = again.as_mut() => {
                    self.state().entered.clear();
                    if self.woken.receiver_count() == 0 {
                        break;
                    }
                    again.set(tokio::time::sleep(ENTER_AGAIN));
                }
                () = closing.as_mut() => break,
            }
        }
        {
            let mut state = self.state();
            state.listens = false;
            state.entered.clear();
        }
        self.tell("");
    }

    fn tell(&self, lane: &str) {
        // Nobody may be waiting any more.
        let _ = self.woken.send(lane.into());
    }

    /// Wakes the claims that wait in `lane`, here and elsewhere; called after the commit.
    pub(crate) fn wake(self: &Arc<Self>, lane: &str, store: &Arc<Sender>) {
        self.tell(lane);
        let mut state = self.state();
        state.to_wake.insert(lane.into());
        if !state.wakes {
            state.wakes = true;
            tokio::spawn(Arc::clone(self).send(Arc::clone(store)));
        }
    }

    /// One statement for all lanes that came together.
    async fn send(self: Arc<Self>, store: Arc<Sender>) {
        loop {
            let lanes: Vec<String> = self.state().to_wake.drain().map(|lane| (*lane).to_owned()).collect();
            // A lost wake-up costs a wait of some seconds, and whoever wrote the row has long been answered.
            let _ = store.rows(|| sqlx::query(include_str!("wake_lanes.sql")).bind(&lanes)).await;
            tokio::time::sleep(PAUSE).await;
            let mut state = self.state();
            if state.to_wake.is_empty() {
                state.wakes = false;
                return;
            }
        }
    }
}

/// A connection of its own that listens.
async fn listen(store: &Sender) -> Option<PgListener> {
    let options = store.pool().connect_options().as_ref().clone();
    let timeout = store.pool().options().get_acquire_timeout();
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(timeout).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await.ok()?;
    listener.listen(CHANNEL).await.ok()?;
    Some(listener)
}

/// Waits for a wake-up of `lane`, or of all lanes, which an empty name means.
pub(super) async fn woken(receiver: &mut broadcast::Receiver<Arc<str>>, lane: &LaneId) {
    loop {
        match receiver.recv().await {
            Ok(name) if name.is_empty() || *name == *lane.as_str() => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => pending().await,
        }
    }
}
