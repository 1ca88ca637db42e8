//! Where claims of a process look for new work, so that they need not go again over all that was taken before.
//!
//! A row that was taken leaves an entry in the index of its lane until the server may remove it, which an old snapshot
//! prevents for as long as it is open; each claim would go over all of them. New work comes once: it was ready when it was
//! created, at a place that follows from its priority and the instant of its creation, and it never comes back as new
//! work, whatever becomes of it. So once a statement has seen where new work of a priority begins, nothing can appear
//! before that but rows whose creation it did not see, and those are younger than this:
//!
//! - A statement that writes has a transaction id. What was created by a transaction with a later id was created after
//!   any instant that was read from the server's clock before that statement was sent, because a create has its id before
//!   it reads the clock.
//! - Once all transactions up to that id have ended, later statements see what they created.
//!
//! What time makes ready comes to any place, but in passes over its lane that are counted where each statement sees it: as
//! long as there was no further one, it begins where it was seen to begin, or behind that.
//!
//! The server's clock may be set back. A statement that reads an earlier instant than one before looks everywhere, and a
//! mark keeps as far behind the latest reading as that is old, so that a smaller step is within it. What this leaves out, a
//! clock that goes back and forth unseen, is found by a statement that looks everywhere, one in a lane every few seconds.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ff_core::LaneId;
use sqlx::{Row, postgres::PgRow};

use super::windows::{Part, Place, Rank, Shelf, Windows, place, rank};
use crate::{
    error::PgError,
    id::StoredId,
    tx::{Statement, now},
};

/// Between two statements that look everywhere in a lane that has marks.
const AFRESH: Duration = Duration::from_secs(10);

/// Lanes that have marks; beyond them all are forgotten.
const LANES: usize = 1_024;

/// Capability sets of a lane that have marks, and priorities of a set.
const SETS: usize = 16;
const RANKS: usize = 8;

/// The marks of a capability set.
#[derive(Debug, Default)]
struct Set {
    /// Before this place there is no new work of the rank.
    new: BTreeMap<Rank, Place>,
    /// Before this place there is nothing that time made ready, until the next pass over the lane.
    promoted: Place,
}

/// A place among what is due: the instant, then the id.
pub(crate) type DuePlace = (i64, StoredId);

/// The marks of a lane.
#[derive(Debug)]
struct Lane {
    /// The turn in which they began: what was asked before teaches nothing of the lane.
    turn: u64,
    /// When a statement looked everywhere last.
    since: Instant,
    sets: HashMap<i64, Set>,
    /// For how many passes the marks of what time made ready hold, if anything is known to have been made ready.
    passes: Option<i64>,
    /// Before this instant nothing falls due but what is overdue when it is written.
    due: Option<i64>,
    /// There may be more that is due than the latest pass settled, behind this place.
    behind: Option<DuePlace>,
}

/// The marks of a process.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts the beginnings; what was asked before all was forgotten teaches nothing.
    turn: u64,
    begun: u64,
    /// The latest reading of the server's clock, and when the statement that read it was sent.
    clock: Option<(i64, Instant)>,
    /// A reading of the clock, and the id of a transaction that began after it.
    sample: Option<Sample>,
    /// Creations that are not seen yet by statements to come are no older.
    floor: Option<i64>,
    lanes: HashMap<LaneId, Lane>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    read_at: i64,
    own: i64,
}

/// What was known when a statement was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    turn: u64,
    sent: Instant,
    /// It looks everywhere in its lane.
    afresh: bool,
    read_at: Option<i64>,
    sample: Option<Sample>,
    floor: Option<i64>,
}

/// What was known when a pass over a lane was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    turn: u64,
    /// It looks behind this place.
    pub(crate) after: DuePlace,
    /// Nothing that it may not see falls due up to this instant, but what is overdue when it is written.
    pub(crate) floor: Option<i64>,
}

/// What a statement has seen.
#[derive(Debug)]
struct Seen {
    now: i64,
    /// The oldest transaction that had not ended.
    oldest: i64,
    /// Its own transaction, if it has written.
    own: Option<i64>,
    /// Up to this instant nothing was due.
    clear_to: Option<i64>,
    /// How many passes over the lane there were, if any of its rows is known to have been made ready by one.
    passes: Option<i64>,
    /// Where what is ready on these shelves begins.
    begins: Vec<(Shelf, Option<Place>)>,
}

impl Marks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be taken before a statement is sent that looks for work in `lane`.
    pub(crate) fn ask(&self, lane: &LaneId) -> Asked {
        self.state().ask(lane, now())
    }

    /// The statement with the parts of `lane` in which it looks for new work, and for what is due.
    pub(crate) fn bind<'q>(&self, lane: &LaneId, asked: Asked, query: Statement<'q>) -> Statement<'q> {
        let state = self.state();
        let (now, read_at) = (now(), state.clock.map(|(read_at, _)| read_at));
        let (Windows { shelves, starts, stops }, due) = match asked.afresh {
            true => (Windows::all(), None),
            false => (state.windows(lane, now), state.due_start(lane, now)),
        };
        let passes = state.passes(lane);
        drop(state);
        query.bind(read_at).bind(shelves).bind(starts).bind(stops).bind(due).bind(passes)
    }

    /// To be taken before a pass over `lane` is sent.
    pub(crate) fn pass(&self, lane: &LaneId) -> Pass {
        let state = self.state();
        Pass { turn: state.turn, after: state.due_after(lane, now()), floor: state.floor }
    }

    /// Whether more was due in `lane` than the latest pass over it settled.
    pub(crate) fn is_behind(&self, lane: &LaneId) -> bool {
        self.state().lanes.get(lane).is_some_and(|lane| lane.behind.is_some())
    }

    /// Learns of a pass over `lane`, and behind which place there may be more that is due.
    pub(crate) fn learn_pass(&self, lane: &LaneId, pass: Pass, behind: Option<DuePlace>) {
        let mut state = self.state();
        let begun = state.begun;
        let of_lane = state.lanes.get_mut(lane).filter(|lane| pass.turn >= lane.turn.max(begun));
        if let Some(lane) = of_lane {
            lane.behind = behind;
            lane.passes.get_or_insert_default();
        }
    }

    /// Learns from a row of a statement that looked for work in `lane`.
    pub(crate) fn learn(&self, lane: &LaneId, asked: Asked, row: &PgRow) -> Result<(), PgError> {
        let Some(now) = row.try_get("now")? else { return Ok(()) };
        let shelves: Vec<i64> = row.try_get("shelves")?;
        let places: Vec<Option<i64>> = row.try_get("places")?;
        let begins = shelves.into_iter().map(Shelf).zip(places).collect();
        let seen = Seen {
            now,
            oldest: row.try_get("oldest")?,
            own: row.try_get("own")?,
            clear_to: row.try_get("clear_to")?,
            passes: row.try_get("passes")?,
            begins,
        };
        self.state().learn(lane, asked, &seen);
        Ok(())
    }

    /// Forgets all: the next statements may reach another server, or one that has lost what it had not written.
    pub(crate) fn forget(&self) {
        self.state().forget();
    }
}

impl State {
    fn forget(&mut self) {
        let turn = self.turn.wrapping_add(1);
        *self = Self { turn, begun: turn, ..Self::default() };
    }

    fn ask(&mut self, lane: &LaneId, sent: Instant) -> Asked {
        let is_old = |lane: &&mut Lane| sent.duration_since(lane.since) >= AFRESH;
        let afresh = self.lanes.get_mut(lane).filter(is_old).map(|lane| lane.since = sent).is_some();
        let read_at = self.clock.map(|(read_at, _)| read_at);
        Asked { turn: self.turn, sent, afresh, read_at, sample: self.sample, floor: self.floor }
    }

    /// How far marks reach at most, if the clock was set back unseen.
    fn bound(&self, now: Instant) -> Option<i64> {
        let (read_at, sent) = self.clock?;
        let age = i64::try_from(now.duration_since(sent).as_millis()).unwrap_or(i64::MAX);
        Some(read_at.saturating_sub(age).max(0))
    }

    fn due_start(&self, lane: &LaneId, now: Instant) -> Option<i64> {
        Some(self.lanes.get(lane)?.due?.min(self.bound(now)?))
    }

    fn due_after(&self, lane: &LaneId, now: Instant) -> DuePlace {
        let start = (self.due_start(lane, now).unwrap_or(i64::MIN), StoredId::default());
        let behind = self.lanes.get(lane).and_then(|lane| lane.behind);
        let is_past = |(due, _): &DuePlace| self.bound(now).is_some_and(|bound| *due <= bound);
        behind.filter(is_past).map_or(start, |behind| behind.max(start))
    }

    fn windows(&self, lane: &LaneId, now: Instant) -> Windows {
        let mut windows = Windows::all();
        let (Some(bound), Some(lane)) = (self.bound(now), self.lanes.get(lane)) else { return windows };
        for (set, marks) in &lane.sets {
            let mut start = 0;
            for (rank, mark) in &marks.new {
                windows.push(Shelf::new(*set, Part::New), start, place(*rank, 0));
                start = *mark.min(&place(*rank, bound));
            }
            windows.push(Shelf::new(*set, Part::New), start, Place::MAX);
            windows.add(Shelf::new(*set, Part::Promoted), marks.promoted, Place::MAX);
            windows.add(Shelf::new(*set, Part::Returned), 0, Place::MAX);
        }
        windows
    }

    /// For how many passes over `lane` its starts hold of what time made ready.
    fn passes(&self, lane: &LaneId) -> Option<i64> {
        self.lanes.get(lane)?.passes
    }

    fn learn(&mut self, lane: &LaneId, asked: Asked, seen: &Seen) {
        if asked.turn < self.begun {
            return;
        }
        if asked.read_at.is_some_and(|read_at| seen.now < read_at) {
            return self.forget();
        }
        if self.clock.is_none_or(|(read_at, _)| read_at <= seen.now) {
            self.clock = Some((seen.now, asked.sent));
        }
        let ended = |sample: &Sample| sample.own < seen.oldest;
        let floor = asked.floor.max(asked.sample.filter(ended).map(|sample| sample.read_at));
        self.floor = self.floor.max(floor);
        self.sample = self.sample.filter(|sample| !ended(sample)).or_else(|| {
            let (read_at, own) = (asked.read_at?, seen.own?);
            Some(Sample { read_at, own })
        });
        let Some(floor) = floor else { return };
        if self.lanes.len() >= LANES && !self.lanes.contains_key(lane) {
            self.lanes.clear();
        }
        let turn = self.turn;
        let new = || Lane { turn, since: asked.sent, sets: HashMap::new(), passes: None, due: None, behind: None };
        let of_lane = self.lanes.entry(lane.clone()).or_insert_with(new);
        if asked.turn < of_lane.turn {
            return;
        }
        if asked.afresh {
            self.turn = turn.wrapping_add(1);
            of_lane.begin(self.turn);
        }
        of_lane.due = seen.clear_to.map(|clear_to| clear_to.min(floor)).max(of_lane.due);
        of_lane.learn(seen, floor);
    }
}

impl Lane {
    /// Forgets where anything begins: a statement looked everywhere in this turn.
    fn begin(&mut self, turn: u64) {
        self.turn = turn;
        self.sets.clear();
        self.due = None;
        self.behind = self.behind.map(|_| (i64::MIN, StoredId::default()));
        self.passes = self.passes.map(|_| 0);
    }

    /// Moves the marks to where `seen` says that work begins, those of new work not beyond `floor`.
    fn learn(&mut self, seen: &Seen, floor: i64) {
        if self.passes < seen.passes {
            self.passes = seen.passes;
            self.sets.values_mut().for_each(|set| set.promoted = 0);
        }
        let holds = seen.passes.is_some() && self.passes == seen.passes;
        for (shelf, begins) in &seen.begins {
            if self.sets.len() >= SETS && !self.sets.contains_key(&shelf.set()) {
                continue;
            }
            let set = self.sets.entry(shelf.set()).or_default();
            if shelf.is(Part::New) {
                advance(&mut set.new, *begins, floor);
            } else if shelf.is(Part::Promoted) && holds {
                set.promoted = begins.unwrap_or(Place::MAX).max(set.promoted);
            }
        }
    }
}

/// Moves the marks of a set to where its new work `begins`, but not beyond `floor`.
fn advance(marks: &mut BTreeMap<Rank, Place>, begins: Option<Place>, floor: i64) {
    let begins = begins.unwrap_or(Place::MAX);
    for (&of, mark) in marks.iter_mut() {
        match of.cmp(&rank(begins)) {
            Ordering::Less => *mark = place(of, floor).max(*mark),
            Ordering::Equal => *mark = place(of, floor).min(begins).max(*mark),
            Ordering::Greater => {}
        }
    }
    if marks.len() < RANKS && begins != Place::MAX {
        let first = rank(begins);
        marks.entry(first).or_insert(place(first, floor).min(begins));
    }
}

#[cfg(test)]
mod tests;
