//! Connections that rest between two statements.
//!
//! The pool asks each connection that comes back whether it still works, which costs a round trip for each statement.
//! A connection that has just answered rests here instead, and the next statement takes the one that came last.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use sqlx::{PgPool, Postgres, pool::PoolConnection};
use tokio::{runtime, task::JoinHandle};

/// How long a shift lasts. What was taken from the pool in one shift goes back in the next, so that the pool's limits of
/// age and of idle time hold.
const SHIFT: Duration = Duration::from_secs(1);

/// Connections of a pool that rest.
#[derive(Debug, Default)]
pub(super) struct Rest(Mutex<Room>);

#[derive(Debug, Default)]
struct Room {
    resting: Vec<Lent>,
    /// The number of this shift.
    shift: u64,
    /// Calls that wait for a connection of the pool; while there are any, what has answered goes back to it.
    waiting: usize,
    /// What ends the shifts while there are connections.
    keeper: Option<JoinHandle<()>>,
    /// Nothing rests any more: others use the pool as well.
    ended: bool,
}

/// A connection of the pool and the shift in which it was taken.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) conn: PoolConnection<Postgres>,
    shift: u64,
}

/// A call that waits for a connection of the pool.
pub(super) struct Waiting<'a>(&'a Rest);

impl Rest {
    fn room(&self) -> MutexGuard<'_, Room> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that came last, or a place among those who wait for one.
    pub(super) fn take(&self) -> Result<Lent, Waiting<'_>> {
        let mut room = self.room();
        room.resting.pop().ok_or_else(|| {
            room.waiting += 1;
            Waiting(self)
        })
    }

    /// Lets a connection rest that has just answered; back to `pool` it goes if its shift is over, somebody
    /// waits, or the pool is closed.
    pub(super) fn keep(self: &Arc<Self>, lent: Lent, pool: &PgPool) {
        let mut room = self.room();
        if lent.shift != room.shift || room.waiting > 0 || room.ended || pool.is_closed() {
            drop(room);
            return drop(lent);
        }
        room.resting.push(lent);
        if room.keeper.as_ref().is_none_or(JoinHandle::is_finished) {
            room.keeper = Some(tokio::spawn(keep_shifts(Arc::downgrade(self))));
        }
    }

    /// How many connections rest.
    pub(super) fn count(&self) -> usize {
        self.room().resting.len()
    }

    /// Gives all connections back to the pool.
    pub(super) fn clear(&self) {
        let resting = mem::take(&mut self.room().resting);
        drop(resting);
    }

    /// From now on nothing rests.
    pub(super) fn end(&self) {
        self.room().ended = true;
        self.clear();
    }

    /// Ends the shift; false if nobody rested, and the next one begins when somebody does.
    fn change_shift(&self) -> bool {
        let mut room = self.room();
        room.shift = room.shift.wrapping_add(1);
        let resting = mem::take(&mut room.resting);
        if resting.is_empty() {
            room.keeper = None;
        }
        drop(room);
        !resting.is_empty()
    }
}

/// Ends shifts until one is empty, or nobody has the connections any more.
async fn keep_shifts(rest: Weak<Rest>) {
    loop {
        tokio::time::sleep(SHIFT).await;
        if !rest.upgrade().is_some_and(|rest| rest.change_shift()) {
            return;
        }
    }
}

impl Waiting<'_> {
    /// The call has its connection.
    pub(super) fn served(self, conn: PoolConnection<Postgres>) -> Lent {
        let shift = self.0.room().shift;
        Lent { conn, shift }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.room().waiting -= 1;
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let resting = mem::take(&mut self.room().resting);
        if runtime::Handle::try_current().is_err() {
            // The pool could not take them back.
            resting.into_iter().for_each(|lent| drop(lent.conn.detach()));
        }
    }
}
