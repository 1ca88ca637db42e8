//! One look in a while, or at a hint, for all subscriptions of a backend: it wakes those whose family has something new.

use std::{
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ff_core::EventFamily;
use futures::future::join_all;
use sqlx::Row;
use tokio::sync::watch;

use crate::{error::PgError, notify::Wakes, tx::Sender};

/// Between two looks: with the look itself, an event is delivered within a second.
const PERIOD: Duration = Duration::from_millis(900);

/// Between two looks at hints, for each subscription that they wake: so many pages are read at most.
const PAUSE: Duration = Duration::from_millis(10);

/// Between two attempts to be told.
const ENTER_AGAIN: Duration = Duration::from_secs(5);

/// Before the first look everything is new.
const NOTHING_SEEN: &str = "1:1:";

/// Looks for events while somebody waits for them.
#[derive(Debug)]
pub(crate) struct Hub {
    told: [watch::Sender<()>; EventFamily::ALL.len()],
    runs: Mutex<bool>,
    wakes: Arc<Wakes>,
}

impl Hub {
    /// A hub at rest, which `wakes` tells of executions that ended.
    pub(crate) fn new(wakes: Arc<Wakes>) -> Arc<Self> {
        Arc::new(Self { told: std::array::from_fn(|_| watch::Sender::new(())), runs: Mutex::new(false), wakes })
    }

    /// Changes whenever the family may have something new; the hub looks as long as one of these lives.
    pub(crate) fn join(self: &Arc<Self>, family: EventFamily, sender: &Arc<Sender>) -> watch::Receiver<()> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.told[family as usize].subscribe();
        if !*runs {
            *runs = true;
            tokio::spawn(Arc::clone(self).run(Arc::clone(sender)));
        }
        receiver
    }

    async fn run(self: Arc<Self>, sender: Arc<Sender>) {
        let mut seen = NOTHING_SEEN.to_owned();
        let completions = &self.told[EventFamily::Completions as usize];
        let (mut ends, mut entries) = (None, tokio::time::interval(ENTER_AGAIN));
        loop {
            if completions.is_closed() {
                ends = None;
            } else if ends.is_none() {
                ends = Some(self.wakes.ends());
                entries.reset_immediately();
            }
            match poll(&sender, &seen).await {
                Ok((now, new)) => {
                    seen = now;
                    self.wake(|family| new.contains(&family));
                }
                // Each subscription finds out for itself.
                Err(_) => self.wake(|_| true),
            }
            let waiting = self.told.iter().map(watch::Sender::receiver_count).sum::<usize>();
            let pause = PAUSE.saturating_mul(u32::try_from(waiting).unwrap_or(u32::MAX));
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = hinted(ends.as_mut(), pause) => {}
                _ = entries.tick(), if ends.is_some() => {
                    // Beside the looks: a server that takes no more connections must not hold them up.
                    tokio::spawn(enter(Arc::clone(&self.wakes), Arc::clone(&sender)));
                }
                _ = join_all(self.told.iter().map(watch::Sender::closed)) => {}
            }
            let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            if self.told.iter().all(watch::Sender::is_closed) {
                *runs = false;
                return;
            }
        }
    }

    fn wake(&self, has_news: impl Fn(EventFamily) -> bool) {
        for family in EventFamily::ALL.iter().filter(|family| has_news(**family)) {
            self.told[*family as usize].send_replace(());
        }
    }
}

/// Waits for a hint, but for `pause` at least.
async fn hinted(ends: Option<&mut watch::Receiver<()>>, pause: Duration) {
    let Some(ends) = ends else { return pending().await };
    tokio::time::sleep(pause).await;
    // The sender lives as long as the hub.
    let _ = ends.changed().await;
}

/// Enters this process; without an entry the hub looks by itself.
async fn enter(wakes: Arc<Wakes>, sender: Arc<Sender>) {
    let _ = wakes.enter_ends(&sender).await;
}

/// What can be seen now, and the families that have something which `seen` did not show.
async fn poll(sender: &Sender, seen: &str) -> Result<(String, Vec<EventFamily>), PgError> {
    let row = sender.row(|| sqlx::query(include_str!("poll.sql")).bind(seen)).await?;
    let row = row.ok_or(sqlx::Error::RowNotFound)?;
    let mut new = Vec::new();
    for family in EventFamily::ALL {
        if row.try_get(family.as_str())? {
            new.push(*family);
        }
    }
    Ok((row.try_get("seen")?, new))
}
