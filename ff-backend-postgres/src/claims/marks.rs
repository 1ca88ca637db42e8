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

use crate::{
    error::PgError,
    tx::{Statement, now},
};

/// Between two statements that look everywhere in a lane that has marks.
const AFRESH: Duration = Duration::from_secs(10);

/// Lanes that have marks; beyond them all are forgotten.
const LANES: usize = 1_024;

/// Capability sets of a lane that have marks, and priorities of a set.
const SETS: usize = 16;
const RANKS: usize = 8;

/// The bits of a place below its rank: the instant of creation. See `ff_place` in the schema.
const INSTANT_BITS: u32 = 48;

/// A place in the order of a lane: a rank by priority, the highest first, and an instant.
type Place = i64;
type Rank = i64;

const fn place(rank: Rank, instant: i64) -> Place {
    (rank << INSTANT_BITS) + instant
}

const fn rank(place: Place) -> Rank {
    place >> INSTANT_BITS
}

/// For each capability set and rank: before this place there is no new work of the rank.
type Sets = HashMap<i64, BTreeMap<Rank, Place>>;

/// The marks of a lane.
#[derive(Debug)]
struct Lane {
    /// The turn in which they began: what was asked before teaches nothing of the lane.
    turn: u64,
    /// When a statement looked everywhere last.
    since: Instant,
    sets: Sets,
    /// Before this instant nothing falls due but what is overdue when it is written.
    due: Option<i64>,
    /// There may be more that is due than the latest pass settled.
    behind: bool,
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
    /// Where new work of these sets begins.
    begins: Vec<(i64, Option<Place>)>,
}

/// The parts of capability sets in which a statement looks for new work; those of set 0 are for sets without any.
#[derive(Debug, PartialEq, Eq)]
struct Windows {
    sets: Vec<i64>,
    starts: Vec<Place>,
    stops: Vec<Place>,
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
        let (Windows { sets, starts, stops }, due) = match asked.afresh {
            true => (Windows::all(), None),
            false => (state.windows(lane, now), state.due_start(lane, now)),
        };
        drop(state);
        query.bind(read_at).bind(sets).bind(starts).bind(stops).bind(due)
    }

    /// From where on in `lane` a statement looks for what is due.
    pub(crate) fn due_start(&self, lane: &LaneId) -> Option<i64> {
        self.state().due_start(lane, now())
    }

    /// Whether more was due in `lane` than the latest pass over it settled.
    pub(crate) fn is_behind(&self, lane: &LaneId) -> bool {
        self.state().lanes.get(lane).is_some_and(|lane| lane.behind)
    }

    /// Learns from a pass over `lane` whether there may be more that is due.
    pub(crate) fn learn_behind(&self, lane: &LaneId, behind: bool) {
        if let Some(lane) = self.state().lanes.get_mut(lane) {
            lane.behind = behind;
        }
    }

    /// Learns from a row of a statement that looked for work in `lane`.
    pub(crate) fn learn(&self, lane: &LaneId, asked: Asked, row: &PgRow) -> Result<(), PgError> {
        let Some(now) = row.try_get("now")? else { return Ok(()) };
        let sets: Vec<i64> = row.try_get("set_ids")?;
        let places: Vec<Option<i64>> = row.try_get("places")?;
        let begins = sets.into_iter().zip(places).collect();
        let seen = Seen {
            now,
            oldest: row.try_get("oldest")?,
            own: row.try_get("own")?,
            clear_to: row.try_get("clear_to")?,
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

    fn windows(&self, lane: &LaneId, now: Instant) -> Windows {
        let mut windows = Windows::all();
        let (Some(bound), Some(lane)) = (self.bound(now), self.lanes.get(lane)) else { return windows };
        for (set, marks) in &lane.sets {
            let mut start = 0;
            for (rank, mark) in marks {
                windows.push(*set, start, place(*rank, 0));
                start = *mark.min(&place(*rank, bound));
            }
            windows.push(*set, start, Place::MAX);
        }
        windows
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
        let new = || Lane { turn, since: asked.sent, sets: HashMap::new(), due: None, behind: false };
        let of_lane = self.lanes.entry(lane.clone()).or_insert_with(new);
        if asked.turn < of_lane.turn {
            return;
        }
        if asked.afresh {
            self.turn = turn.wrapping_add(1);
            *of_lane = Lane { turn: self.turn, sets: HashMap::new(), due: None, ..*of_lane };
        }
        let Lane { sets, due, .. } = of_lane;
        *due = seen.clear_to.map(|clear_to| clear_to.min(floor)).max(*due);
        for (set, begins) in &seen.begins {
            if sets.len() < SETS || sets.contains_key(set) {
                advance(sets.entry(*set).or_default(), *begins, floor);
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

impl Windows {
    /// All of every set.
    fn all() -> Self {
        Self { sets: vec![0], starts: vec![0], stops: vec![Place::MAX] }
    }

    /// The first of a set is there even if there is nothing in it.
    fn push(&mut self, set: i64, start: Place, stop: Place) {
        if start < stop || start == 0 {
            self.sets.push(set);
            self.starts.push(start);
            self.stops.push(stop);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: i64 = 7;

    /// A statement that was sent just now and saw this; then the next one's windows.
    fn seen(state: &mut State, seen: &Seen) -> Vec<(Place, Place)> {
        let asked = asked(state);
        state.learn(&lane(), asked, seen);
        windows(state)
    }

    fn lane() -> LaneId {
        LaneId::try_new("lane").unwrap()
    }

    fn asked(state: &mut State) -> Asked {
        state.ask(&lane(), now())
    }

    /// At the instant of the latest reading.
    fn windows(state: &State) -> Vec<(Place, Place)> {
        let at = state.clock.map_or_else(now, |(_, sent)| sent);
        let Windows { sets, starts, stops } = state.windows(&lane(), at);
        let all = sets.into_iter().zip(starts.into_iter().zip(stops));
        all.filter(|(set, _)| *set == SET).map(|(_, window)| window).collect()
    }

    fn at(now: i64, oldest: i64, own: i64, begins: Option<Place>) -> Seen {
        Seen { now, oldest, own: Some(own), clear_to: Some(now), begins: vec![(SET, begins)] }
    }

    /// A state that knows that all creations before 1000 are seen.
    fn floored() -> State {
        let mut state = State::default();
        seen(&mut state, &at(1_000, 10, 10, None));
        seen(&mut state, &at(1_001, 11, 11, None));
        seen(&mut state, &at(1_002, 12, 12, None));
        state
    }

    #[test]
    fn a_mark_stands_where_new_work_begins() {
        let mut state = floored();
        let begins = place(9_000, 500);
        assert_eq!(seen(&mut state, &at(1_003, 13, 13, Some(begins))), [(0, place(9_000, 0)), (begins, Place::MAX)]);
    }

    #[test]
    fn a_mark_does_not_pass_what_may_not_be_seen_yet() {
        let mut state = floored();
        let begins = place(9_000, 5_000);
        let windows = seen(&mut state, &at(6_000, 13, 13, Some(begins)));
        assert_eq!(windows.last(), Some(&(place(9_000, 1_001), Place::MAX)));
        // A transaction that began after 1001 goes on and on: 12 was the oldest before it.
        for own in 20..30 {
            let windows = seen(&mut state, &at(6_000 + own, 14, own, Some(begins)));
            assert!(windows.last().unwrap().0 < place(9_000, 6_000), "{windows:?}");
        }
    }

    #[test]
    fn nothing_is_known_before_a_statement_has_written() {
        let mut state = State::default();
        for now in 1_000..1_010 {
            let looked = Seen { own: None, ..at(now, 10, 0, Some(place(9_000, 5))) };
            assert_eq!(seen(&mut state, &looked), []);
        }
    }

    #[test]
    fn each_priority_has_its_mark() {
        let mut state = floored();
        seen(&mut state, &at(1_003, 13, 13, Some(place(9_000, 500))));
        let windows = seen(&mut state, &at(1_004, 14, 14, Some(place(8_990, 700))));
        let marks = [(0, place(8_990, 0)), (place(8_990, 700), place(9_000, 0)), (place(9_000, 500), Place::MAX)];
        assert_eq!(windows, marks);
        // All of the higher priority is gone: what comes is younger than what was seen.
        let windows = seen(&mut state, &at(1_005, 15, 15, Some(place(9_000, 600))));
        let marks = [(0, place(8_990, 0)), (place(8_990, 1_003), place(9_000, 0)), (place(9_000, 600), Place::MAX)];
        assert_eq!(windows, marks);
    }

    #[test]
    fn a_statement_that_was_sent_before_another_ended_teaches_no_more_than_it_saw() {
        let mut state = floored();
        let early = asked(&mut state);
        seen(&mut state, &at(9_000, 50, 50, None));
        seen(&mut state, &at(9_001, 60, 60, None));
        seen(&mut state, &at(9_002, 70, 70, None));
        state.learn(&lane(), early, &at(9_000, 13, 13, Some(place(9_000, 8_000))));
        assert_eq!(windows(&state).last(), Some(&(place(9_000, 1_001), Place::MAX)));
    }

    #[test]
    fn a_clock_that_was_set_back_forgets_all() {
        let mut state = floored();
        seen(&mut state, &at(1_003, 13, 13, Some(place(9_000, 500))));
        assert_eq!(seen(&mut state, &at(1_002, 14, 14, Some(place(9_000, 500)))), []);
    }

    #[test]
    fn a_mark_keeps_behind_the_latest_reading_by_its_age() {
        let mut state = floored();
        seen(&mut state, &at(1_003, 13, 13, Some(place(9_000, 1_001))));
        let (read_at, sent) = state.clock.unwrap();
        let windows = state.windows(&lane(), sent + Duration::from_millis(100));
        assert_eq!(windows.starts.last(), Some(&place(9_000, read_at - 100)));
    }

    #[test]
    fn what_is_due_is_looked_for_from_where_nothing_was() {
        let mut state = floored();
        let due = |state: &State| state.due_start(&lane(), state.clock.unwrap().1);
        seen(&mut state, &at(900_000, 13, 13, None));
        assert_eq!(due(&state), Some(1_001));
        // Something was due: what was clear stays clear.
        seen(&mut state, &Seen { clear_to: None, ..at(900_001, 14, 14, None) });
        assert_eq!(due(&state), Some(1_001));
        seen(&mut state, &at(900_002, 15, 15, None));
        seen(&mut state, &at(900_003, 16, 16, None));
        assert_eq!(due(&state), Some(900_001));
        seen(&mut state, &at(5, 17, 17, None));
        assert_eq!(state.due_start(&lane(), now()), None);
    }

    #[test]
    fn a_lane_is_looked_through_afresh_by_one_statement_now_and_then() {
        let mut state = floored();
        seen(&mut state, &at(1_003, 13, 13, Some(place(9_000, 900))));
        let early = asked(&mut state);
        let later = now() + AFRESH;
        assert!(!early.afresh);
        let afresh = state.ask(&lane(), later);
        assert!(afresh.afresh && !state.ask(&lane(), later).afresh);
        // What was missed is where new work begins, whatever a statement says that was sent before.
        state.learn(&lane(), afresh, &at(1_004, 14, 14, Some(place(9_000, 300))));
        state.learn(&lane(), early, &at(1_004, 14, 14, Some(place(9_000, 900))));
        assert_eq!(windows(&state).last(), Some(&(place(9_000, 300), Place::MAX)));
    }

    #[test]
    fn what_was_asked_before_all_was_forgotten_teaches_nothing() {
        let mut state = floored();
        let early = asked(&mut state);
        state.forget();
        state.learn(&lane(), early, &at(1_003, 13, 13, Some(place(9_000, 500))));
        assert_eq!(windows(&state), []);
        assert_eq!(state.clock, None);
    }

    #[test]
    fn sets_and_priorities_beyond_the_bounds_have_no_mark() {
        let mut state = floored();
        for n in 0..20 {
            seen(&mut state, &at(1_003 + n, 13 + n, 13 + n, Some(place(n, 500))));
        }
        assert!(windows(&state).len() <= RANKS + 1);
        for set in 0..40 {
            let begins = vec![(set, Some(place(9_000, 500)))];
            let asked = asked(&mut state);
            state.learn(&lane(), asked, &Seen { begins, ..at(2_000, 100, 100, None) });
        }
        assert!(state.lanes.values().all(|lane| lane.sets.len() <= SETS));
    }

    #[test]
    fn a_lane_is_behind_until_a_pass_reaches_its_end() {
        let marks = Marks(Mutex::new(floored()));
        assert!(!marks.is_behind(&lane()));
        marks.learn_behind(&lane(), true);
        assert!(marks.is_behind(&lane()));
        assert!(!marks.is_behind(&LaneId::try_new("other").unwrap()));
        marks.learn_behind(&lane(), false);
        assert!(!marks.is_behind(&lane()));
        marks.learn_behind(&lane(), true);
        marks.forget();
        assert!(!marks.is_behind(&lane()));
    }
}
