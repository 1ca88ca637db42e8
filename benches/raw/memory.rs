//! A mutex around an ordered set of what is ready and a map of the rows.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::Uuid;

use super::{Lease, NAMESPACE, TTL_MS, WORKER, WORKER_INSTANCE};
use crate::{Failure, drive::Run};

/// Makes stores.
pub(crate) struct RawMemory;

impl RawMemory {
    /// A store with `rows` ready rows.
    pub(crate) fn fill(&self, rows: u64) -> Mutex<Rows> {
        let mut all = Rows::default();
        let now = now_ms();
        for _ in 0..rows {
            let id = format!("{{fp:0}}:{}", Uuid::new_v4());
            all.ready.insert((0, now, id.clone()));
            all.rows.insert(id, Row { created_at: now, ..Row::default() });
        }
        Mutex::new(all)
    }
}

/// Everything that is stored.
#[derive(Default)]
pub(crate) struct Rows {
    /// Priority, negated, then creation, then id.
    ready: BTreeSet<(i32, i64, String)>,
    due: BTreeSet<(i64, String)>,
    rows: HashMap<String, Row>,
    events: Vec<Event>,
}

#[derive(Default)]
struct Row {
    created_at: i64,
    epoch: i64,
    is_done: bool,
    lease: Option<Held>,
    /// The token of the waitpoint while it is suspended, and the signals so far.
    waits_for: Option<Uuid>,
    signals: Vec<Uuid>,
    /// The next lease goes on with the latest attempt.
    is_resumed: bool,
    attempts: Vec<Attempt>,
}

struct Held {
    lease_id: Uuid,
    expires_at: i64,
}

#[expect(dead_code, reason = "records are written for what it costs to write them")]
struct Attempt {
    attempt_id: Uuid,
    started_at: i64,
    ended_at: Option<i64>,
    worker: String,
    worker_instance: String,
}

#[expect(dead_code, reason = "records are written for what it costs to write them")]
struct Event {
    at: i64,
    id: String,
    namespace: &'static str,
    kind: &'static str,
    lease_id: Uuid,
    epoch: i64,
}

#[expect(clippy::disallowed_methods, reason = "in this process the store's time is the process clock")]
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Rows {
    fn tell(&mut self, at: i64, lease: &Lease, kind: &'static str) {
        let Lease { id, epoch, lease_id, .. } = lease.clone();
        self.events.push(Event { at, id, namespace: NAMESPACE, kind, lease_id, epoch });
    }
}

impl Run for Arc<Mutex<Rows>> {
    type Work = Lease;

    async fn claim(&self) -> Result<Option<Lease>, Failure> {
        self.lock().unwrap_or_else(PoisonError::into_inner).claim()
    }

    async fn complete(&self, lease: Lease) -> Result<(), Failure> {
        self.lock().unwrap_or_else(PoisonError::into_inner).complete(&lease)
    }

    async fn complete_and_claim(&self, lease: Lease) -> Result<Option<Lease>, Failure> {
        let mut all = self.lock().unwrap_or_else(PoisonError::into_inner);
        all.complete(&lease)?;
        all.claim()
    }

    async fn suspend_and_signal(&self, lease: Lease) -> Result<(), Failure> {
        let token = self.lock().unwrap_or_else(PoisonError::into_inner).suspend(&lease)?;
        self.lock().unwrap_or_else(PoisonError::into_inner).signal(&lease.id, token)
    }

    async fn claim_many(&self, most: u16) -> Result<Vec<Lease>, Failure> {
        let mut all = self.lock().unwrap_or_else(PoisonError::into_inner);
        (0..most).filter_map(|_| all.claim().transpose()).collect()
    }

    async fn complete_many(&self, leases: Vec<Lease>) -> Result<(), Failure> {
        let mut all = self.lock().unwrap_or_else(PoisonError::into_inner);
        leases.iter().try_for_each(|lease| all.complete(lease))
    }
}

impl Rows {
    fn claim(&mut self) -> Result<Option<Lease>, Failure> {
        let (lease_id, attempt_id) = (Uuid::new_v4(), Uuid::new_v4());
        let now = now_ms();
        let Some((_, _, id)) = self.ready.pop_first() else { return Ok(None) };
        let row = self.rows.get_mut(&id).ok_or("a ready row is missing")?;
        let expires_at = now + TTL_MS;
        row.epoch += 1;
        row.lease = Some(Held { lease_id, expires_at });
        if !std::mem::take(&mut row.is_resumed) {
            row.attempts.push(Attempt {
                attempt_id,
                started_at: now,
                ended_at: None,
                worker: WORKER.to_owned(),
                worker_instance: WORKER_INSTANCE.to_owned(),
            });
        }
        let attempt_index = i64::try_from(row.attempts.len())? - 1;
        let lease = Lease { id: id.clone(), epoch: row.epoch, attempt_index, lease_id, attempt_id };
        self.due.insert((expires_at, id));
        self.tell(now, &lease, "acquired");
        Ok(Some(lease))
    }

    /// The row of a live lease, and when that lapses.
    fn held(&mut self, lease: &Lease, now: i64) -> Result<(&mut Row, i64), Failure> {
        let row = self.rows.get_mut(&lease.id).ok_or("a leased row is missing")?;
        let held = row.lease.as_ref().filter(|held| held.lease_id == lease.lease_id && held.expires_at > now);
        let held = held.filter(|_| !row.is_done && row.epoch == lease.epoch).ok_or("the lease is lost")?;
        let expires_at = held.expires_at;
        Ok((row, expires_at))
    }

    /// The lease is given back until a signal comes with the token.
    fn suspend(&mut self, lease: &Lease) -> Result<Uuid, Failure> {
        let (now, token) = (now_ms(), Uuid::new_v4());
        let (row, expires_at) = self.held(lease, now)?;
        (row.waits_for, row.lease) = (Some(token), None);
        self.due.remove(&(expires_at, lease.id.clone()));
        self.tell(now, lease, "released");
        Ok(token)
    }

    fn signal(&mut self, id: &str, token: Uuid) -> Result<(), Failure> {
        let now = now_ms();
        let row = self.rows.get_mut(id).ok_or("a suspended row is missing")?;
        row.waits_for.take_if(|own| *own == token).ok_or("the token is no key")?;
        row.signals.push(Uuid::new_v4());
        row.is_resumed = true;
        let signal = Lease {
            id: id.to_owned(),
            epoch: row.epoch,
            attempt_index: 0,
            lease_id: Uuid::nil(),
            attempt_id: Uuid::nil(),
        };
        self.ready.insert((0, row.created_at, id.to_owned()));
        self.tell(now, &signal, "satisfied");
        Ok(())
    }

    fn complete(&mut self, lease: &Lease) -> Result<(), Failure> {
        let now = now_ms();
        let (row, expires_at) = self.held(lease, now)?;
        row.is_done = true;
        row.attempts.last_mut().ok_or("an attempt is missing")?.ended_at = Some(now.max(row.created_at));
        self.due.remove(&(expires_at, lease.id.clone()));
        self.tell(now, lease, "released");
        self.tell(now, lease, "success");
        Ok(())
    }
}
