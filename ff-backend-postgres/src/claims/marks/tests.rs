//! What a process remembers of a lane, statement by statement.

use super::*;

const SET: i64 = 7;
const PLACE: DuePlace = (500, [7; size_of::<StoredId>()]);

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
    of(Part::New, state.windows(&lane(), at))
}

/// The windows of a part of the set.
fn of(part: Part, Windows { shelves, starts, stops }: Windows) -> Vec<(Place, Place)> {
    let all = shelves.into_iter().zip(starts.into_iter().zip(stops));
    all.filter(|(shelf, _)| *shelf == Shelf::new(SET, part).0).map(|(_, window)| window).collect()
}

fn at(now: i64, oldest: i64, own: i64, begins: Option<Place>) -> Seen {
    Seen {
        now,
        oldest,
        own: Some(own),
        clear_to: Some(now),
        passes: None,
        begins: vec![(Shelf::new(SET, Part::New), begins)],
    }
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
    assert_eq!(of(Part::New, windows).last(), Some(&(place(9_000, read_at - 100), Place::MAX)));
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
        let begins = vec![(Shelf::new(set, Part::New), Some(place(9_000, 500)))];
        let asked = asked(&mut state);
        state.learn(&lane(), asked, &Seen { begins, ..at(2_000, 100, 100, None) });
    }
    assert!(state.lanes.values().all(|lane| lane.sets.len() <= SETS));
}

/// Where the promoted part of the set begins after a statement that saw it begin there after so many passes.
fn promoted(state: &mut State, passes: i64, begins: Option<Place>) -> (Option<i64>, Vec<(Place, Place)>) {
    let asked = asked(state);
    let begins = vec![(Shelf::new(SET, Part::Promoted), begins)];
    state.learn(&lane(), asked, &Seen { passes: Some(passes), begins, ..at(1_003, 13, 13, None) });
    (state.passes(&lane()), of(Part::Promoted, state.windows(&lane(), now())))
}

#[test]
fn what_time_made_ready_begins_where_it_was_seen_until_the_next_pass() {
    let mut state = floored();
    assert_eq!(state.passes(&lane()), None);
    assert_eq!(promoted(&mut state, 4, Some(50)), (Some(4), vec![(50, Place::MAX)]));
    // A statement that saw less is late.
    assert_eq!(promoted(&mut state, 4, Some(40)), (Some(4), vec![(50, Place::MAX)]));
    assert_eq!(promoted(&mut state, 3, Some(90)), (Some(4), vec![(50, Place::MAX)]));
    assert_eq!(promoted(&mut state, 4, None), (Some(4), vec![(Place::MAX, Place::MAX)]));
    assert_eq!(promoted(&mut state, 5, Some(20)), (Some(5), vec![(20, Place::MAX)]));
}

#[test]
fn a_statement_that_looks_everywhere_finds_what_time_made_ready() {
    let mut state = floored();
    promoted(&mut state, 4, Some(50));
    let afresh = state.ask(&lane(), now() + AFRESH);
    let begins = vec![(Shelf::new(SET, Part::Promoted), Some(30))];
    state.learn(&lane(), afresh, &Seen { passes: Some(4), begins, ..at(1_004, 14, 14, None) });
    assert_eq!(of(Part::Promoted, state.windows(&lane(), now())), [(30, Place::MAX)]);
}

#[test]
fn a_pass_is_reason_to_ask_how_many_there_were() {
    let marks = Marks(Mutex::new(floored()));
    marks.learn_pass(&lane(), marks.pass(&lane()), None);
    assert_eq!(marks.state().passes(&lane()), Some(0));
}

#[test]
fn a_pass_goes_on_where_the_one_before_it_ended() {
    let mut state = floored();
    let after = |state: &State| state.due_after(&lane(), state.clock.unwrap().1);
    let behind = |state: &mut State, place| state.lanes.get_mut(&lane()).unwrap().behind = place;
    assert_eq!(after(&state), (1_000, StoredId::default()));
    behind(&mut state, Some((1_001, PLACE.1)));
    assert_eq!(after(&state), (1_001, PLACE.1));
    behind(&mut state, Some((999, PLACE.1)));
    assert_eq!(after(&state), (1_000, StoredId::default()));
    // The clock may have been set back.
    behind(&mut state, Some((5_000, PLACE.1)));
    assert_eq!(after(&state), (1_000, StoredId::default()));
    let afresh = state.ask(&lane(), now() + AFRESH);
    behind(&mut state, Some((1_001, PLACE.1)));
    state.learn(&lane(), afresh, &Seen { clear_to: None, ..at(1_004, 14, 14, None) });
    assert_eq!(after(&state), (i64::MIN, StoredId::default()));
}

#[test]
fn a_lane_is_behind_until_a_pass_reaches_its_end() {
    let marks = Marks(Mutex::new(floored()));
    assert!(!marks.is_behind(&lane()));
    marks.learn_pass(&lane(), marks.pass(&lane()), Some(PLACE));
    assert!(marks.is_behind(&lane()));
    assert!(!marks.is_behind(&LaneId::try_new("other").unwrap()));
    marks.learn_pass(&lane(), marks.pass(&lane()), None);
    assert!(!marks.is_behind(&lane()));
    marks.learn_pass(&lane(), marks.pass(&lane()), Some(PLACE));
    marks.forget();
    assert!(!marks.is_behind(&lane()));
}

#[test]
fn a_pass_that_was_sent_before_all_was_forgotten_teaches_nothing() {
    let marks = Marks(Mutex::new(floored()));
    let pass = marks.pass(&lane());
    marks.forget();
    {
        let mut state = marks.state();
        let (turn, begun) = (state.turn, state.begun);
        *state = State { turn, begun, ..floored() };
    }
    marks.learn_pass(&lane(), pass, Some(PLACE));
    assert!(!marks.is_behind(&lane()));
}
