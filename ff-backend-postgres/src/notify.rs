//! Hints from whoever writes to whoever waits: rows became ready in a lane, executions ended.

use std::{
    collections::{HashMap, HashSet},
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ff_core::LaneId;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use crate::{
    error::PgError,
    tx::{Sender, now},
};

/// The channel of claims; its messages are lanes.
const LANES: &str = "ff_wake";

/// The channel of subscriptions to completions; its messages are the processes that send them.
const ENDS: &str = "ff_end";

/// Wake-ups that a claim may be behind before it looks without them.
const BEHIND: usize = 256;

/// Between two hints of one kind by this process.
const PAUSE: Duration = Duration::from_millis(10);

/// How long the store knows that somebody waits, in milliseconds; longer than two entries are apart.
const ENTERED_MS: i64 = 180_000;

/// So long after an entry another one goes on without a gap; less than the store keeps it, whose clock may be faster.
const GOES_ON: Duration = Duration::from_secs(120);

/// Between two entries of those who go on waiting.
const ENTER_AGAIN: Duration = Duration::from_secs(60);

/// Sends and receives the hints of one process.
#[derive(Debug)]
pub(crate) struct Wakes {
    process_id: Uuid,
    woken: broadcast::Sender<Arc<str>>,
    ended: watch::Sender<()>,
    /// Held while the listener is made: a claim that waits must not look before it listens.
    listening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    listens: bool,
    /// Lanes in which the store knows that claims of this process wait.
    entered: HashMap<Arc<str>, Entry>,
    /// Whether the store knows that subscriptions of this process wait.
    subscribed: bool,
    /// What is to be told, and whether somebody is at it.
    to_tell: Hints,
    tells: bool,
}

/// Since when the store has known that a lane is waited in, without a gap, and when it was told last.
#[derive(Clone, Copy, Debug)]
struct Entry {
    since: Instant,
    told: Instant,
}

/// What others are told together.
#[derive(Debug, Default)]
struct Hints {
    lanes: HashSet<Arc<str>>,
    ends: bool,
}

impl Hints {
    fn is_empty(&self) -> bool {
        self.lanes.is_empty() && !self.ends
    }
}

impl Wakes {
    /// Hints that nobody listens to yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            process_id: Uuid::new_v4(),
            woken: broadcast::Sender::new(BEHIND),
            ended: watch::Sender::new(()),
            listening: tokio::sync::Mutex::new(()),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wake-ups of claims from now on.
    pub(crate) fn receiver(&self) -> broadcast::Receiver<Arc<str>> {
        self.woken.subscribe()
    }

    /// Changes when executions have ended; the connection that listens lives as long as one of these.
    pub(crate) fn ends(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    /// Makes the store wake this process for `lane`, and says since when it does; nothing without a connection that
    /// listens: then there are no wake-ups, and a claim looks by itself.
    ///
    /// Who was writing a row at that instant may not have seen the entry, and may commit at any time after it.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        lane: &LaneId,
        store: &Arc<Sender>,
    ) -> Result<Option<Instant>, PgError> {
        let _one_at_a_time = self.listening.lock().await;
        if !self.listens(store).await {
            return Ok(None);
        }
        let before = self.state().entered.get(lane.as_str()).copied();
        if let Some(entry) = before.filter(|entry| entry.told.elapsed() < ENTER_AGAIN) {
            return Ok(Some(entry.since));
        }
        let told = now();
        let statement = || {
            sqlx::query(include_str!("claims/await_lane.sql"))
                .bind(lane.as_str())
                .bind(self.process_id)
                .bind(ENTERED_MS)
        };
        store.rows(statement).await?;
        let goes_on = before.filter(|entry| entry.told.elapsed() < GOES_ON);
        let since = goes_on.map_or_else(now, |entry| entry.since);
        self.state().entered.insert(lane.as_str().into(), Entry { since, told });
        Ok(Some(since))
    }

    /// Makes the store wake this process when an execution ends, if there is a connection that listens.
    pub(crate) async fn enter_ends(self: &Arc<Self>, store: &Arc<Sender>) -> Result<(), PgError> {
        let _one_at_a_time = self.listening.lock().await;
        if !self.listens(store).await || self.state().subscribed {
            return Ok(());
        }
        let statement =
            || sqlx::query(include_str!("subscriptions/await_ends.sql")).bind(self.process_id).bind(ENTERED_MS);
        store.rows(statement).await?;
        self.state().subscribed = true;
        // Who ended meanwhile told nobody.
        self.ended.send_modify(|()| {});
        Ok(())
    }

    /// Whether there is a connection that listens, after an attempt to make one.
    async fn listens(self: &Arc<Self>, store: &Arc<Sender>) -> bool {
        if !self.state().listens {
            let Some(listener) = Box::pin(listen(store)).await else { return false };
            self.state().listens = true;
            tokio::spawn(Arc::clone(self).relay(listener, Arc::clone(store)));
        }
        true
    }

    /// Hands on what the store says, as long as somebody waits.
    async fn relay(self: Arc<Self>, mut listener: PgListener, store: Arc<Sender>) {
        let own = self.process_id.to_string();
        let mut closing = std::pin::pin!(store.pool().close_event());
        let mut again = std::pin::pin!(tokio::time::sleep(ENTER_AGAIN));
        loop {
            let deserted = async {
                match self.ended.is_closed() {
                    true => pending().await,
                    false => self.ended.closed().await,
                }
            };
            tokio::select! {
                said = listener.try_recv() => match said {
                    Ok(Some(said)) if said.channel() == LANES => self.tell(said.payload()),
                    Ok(Some(said)) if said.payload() == own => {}
                    Ok(Some(_)) => self.ended.send_modify(|()| {}),
                    // What was said meanwhile is lost.
                    _ => break,
                },
                () = again.as_mut() => {
                    let mut state = self.state();
                    state.entered.retain(|_, entry| entry.told.elapsed() < GOES_ON);
                    state.subscribed = false;
                    if self.woken.receiver_count() == 0 && self.ended.is_closed() {
                        break;
                    }
                    again.set(tokio::time::sleep(ENTER_AGAIN));
                }
                () = deserted => {
                    let mut state = self.state();
                    state.subscribed = false;
                    if self.woken.receiver_count() == 0 && state.entered.is_empty() {
                        break;
                    }
                }
                () = closing.as_mut() => break,
            }
        }
        {
            let mut state = self.state();
            state.listens = false;
            state.entered.clear();
            state.subscribed = false;
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
        self.tell_others(store, |hints| {
            hints.lanes.insert(lane.into());
        });
    }

    /// Wakes the subscriptions to completions, here and elsewhere; called after the commit.
    pub(crate) fn wake_subscribers(self: &Arc<Self>, store: &Arc<Sender>) {
        self.ended.send_modify(|()| {});
        self.tell_others(store, |hints| hints.ends = true);
    }

    fn tell_others(self: &Arc<Self>, store: &Arc<Sender>, note: impl FnOnce(&mut Hints)) {
        let mut state = self.state();
        note(&mut state.to_tell);
        if !state.tells {
            state.tells = true;
            tokio::spawn(Arc::clone(self).send(Arc::clone(store)));
        }
    }

    /// One statement of each kind for all hints that came together.
    async fn send(self: Arc<Self>, store: Arc<Sender>) {
        loop {
            let hints = std::mem::take(&mut self.state().to_tell);
            // A lost hint costs whoever waits some seconds, and whoever wrote the row has long been answered.
            if !hints.lanes.is_empty() {
                let lanes: Vec<&str> = hints.lanes.iter().map(|lane| &**lane).collect();
                let _ = store.rows(|| sqlx::query(include_str!("claims/wake_lanes.sql")).bind(&lanes)).await;
            }
            if hints.ends {
                let own = self.process_id.to_string();
                let _ = store.rows(|| sqlx::query(include_str!("subscriptions/tell_ends.sql")).bind(&own)).await;
            }
            tokio::time::sleep(PAUSE).await;
            let mut state = self.state();
            if state.to_tell.is_empty() {
                state.tells = false;
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
    listener.listen_all([LANES, ENDS]).await.ok()?;
    Some(listener)
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
