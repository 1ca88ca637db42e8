//! Pages of events behind a cursor.

use ff_core::{
    CompletionEvent, Delivered, EngineError, EventFamily, ExecutionId, LeaseHistoryEvent, Namespace, OperatorEvent,
    ScannerFilter, SignalDeliveryEvent, StreamCursor,
};

#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{
    State,
    capabilities::LABEL,
    state::{CompletionEntry, Events, LeaseEntry, Log},
};

/// Events that a page looks at.
const PAGE: usize = 256;

/// One family of events, and where a store keeps it.
pub(crate) trait Family: Sized + Clone + Send + 'static {
    /// Its name.
    const NAME: EventFamily;
    /// What the store keeps of an event.
    type Entry;
    /// The log of the family.
    fn log(events: &Events) -> &Log<Self::Entry>;
    /// The event as it is delivered.
    fn read(entry: &Self::Entry) -> Self;
    /// Whose it is.
    fn of(&self) -> (&ExecutionId, &Namespace);
}

impl Family for LeaseHistoryEvent {
    const NAME: EventFamily = EventFamily::LeaseHistory;
    type Entry = LeaseEntry;

    fn log(events: &Events) -> &Log<LeaseEntry> {
        &events.lease
    }

    fn read(entry: &LeaseEntry) -> Self {
        entry.into()
    }

    fn of(&self) -> (&ExecutionId, &Namespace) {
        (&self.execution_id, &self.namespace)
    }
}

impl Family for CompletionEvent {
    const NAME: EventFamily = EventFamily::Completions;
    type Entry = CompletionEntry;

    fn log(events: &Events) -> &Log<CompletionEntry> {
        &events.completion
    }

    fn read(entry: &CompletionEntry) -> Self {
        entry.into()
    }

    fn of(&self) -> (&ExecutionId, &Namespace) {
        (&self.execution_id, &self.namespace)
    }
}

impl Family for OperatorEvent {
    const NAME: EventFamily = EventFamily::OperatorEvents;
    type Entry = Self;

    fn log(events: &Events) -> &Log<Self> {
        &events.operator
    }

    fn read(entry: &Self) -> Self {
        entry.clone()
    }

    fn of(&self) -> (&ExecutionId, &Namespace) {
        (&self.execution_id, &self.namespace)
    }
}

impl Family for SignalDeliveryEvent {
    const NAME: EventFamily = EventFamily::SignalDeliveries;
    type Entry = Self;

    fn log(events: &Events) -> &Log<Self> {
        &events.signal
    }

    fn read(entry: &Self) -> Self {
        entry.clone()
    }

    fn of(&self) -> (&ExecutionId, &Namespace) {
        (&self.execution_id, &self.namespace)
    }
}

/// How many events of the family lie before `cursor`.
pub(crate) fn resolve<E: Family>(state: &State, cursor: &StreamCursor) -> Result<usize, EngineError> {
    let log = E::log(&state.events);
    let passed = match cursor {
        StreamCursor::Start => log.removed(),
        StreamCursor::End => log.written(),
        StreamCursor::At(content) => {
            let place = StreamCursor::unseal(content, LABEL, E::NAME)?;
            let passed = place.parse().ok().filter(|passed| *passed <= log.written());
            passed.ok_or_else(|| EngineError::foreign_cursor(LABEL, E::NAME))?
        }
    };
    #[cfg(feature = "flaws")]
    let passed = flaw::resolved(state, cursor, passed);
    check::<E>(state, passed).map(|()| passed)
}

/// The cursor behind the first `passed` events.
pub(crate) fn cursor<E: Family>(passed: usize) -> StreamCursor {
    StreamCursor::seal(LABEL, E::NAME, &passed.to_string())
}

/// The next events behind the first `passed` that match, and how many lie before those that come after this page.
pub(crate) fn page<E: Family>(
    state: &State,
    passed: usize,
    filter: &ScannerFilter,
) -> Result<(Vec<Delivered<E>>, usize), EngineError> {
    check::<E>(state, passed)?;
    #[cfg(feature = "flaws")]
    let begin = passed;
    let (mut found, mut passed) = (Vec::new(), passed);
    for entry in E::log(&state.events).behind(passed).take(PAGE) {
        passed += 1;
        let event = E::read(entry);
        if matches(state, &event, filter) {
            found.push(Delivered { cursor: cursor::<E>(passed), event });
        }
    }
    #[cfg(feature = "flaws")]
    flaw::delivered(state, begin, &mut found);
    Ok((found, passed))
}

/// Refuses a place whose next event was removed.
fn check<E: Family>(state: &State, passed: usize) -> Result<(), EngineError> {
    let removed = E::log(&state.events).removed();
    if passed < removed { Err(EngineError::cursor_too_old(&cursor::<E>(removed))) } else { Ok(()) }
}

fn matches<E: Family>(state: &State, event: &E, filter: &ScannerFilter) -> bool {
    let (id, namespace) = event.of();
    filter.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
        && filter.instance_tag.as_ref().is_none_or(|(key, value)| {
            state.execution(id).is_some_and(|row| row.tags.get(key).is_some_and(|stands| stands == value))
        })
}

#[cfg(test)]
mod tests {
    use ff_core::{Limits, OperatorEventKind, TimestampMs};

    use super::*;

    /// A store with an event for each instant.
    fn told(instants: std::ops::Range<i64>) -> State {
        let mut state = State::new(Limits::of_partitions(1));
        for at in instants {
            state.events.operator.push(OperatorEvent {
                execution_id: "{fp:0}:00000000-0000-4000-8000-000000000001".parse().unwrap(),
                namespace: Namespace::try_new("ns").unwrap(),
                kind: OperatorEventKind::Replayed,
                detail: at.to_string(),
                at: TimestampMs::from_ms(at),
            });
        }
        state
    }

    #[test]
    fn a_place_before_a_removed_event_is_refused_with_the_oldest_that_works() {
        let mut state = told(0..10);
        let all = ScannerFilter::new();
        let (first, passed) = page::<OperatorEvent>(&state, 0, &all).unwrap();
        assert_eq!((first.len(), passed), (10, 10));
        assert_eq!(state.events.remove_old(|at| at < TimestampMs::from_ms(7), 4), 4);
        assert_eq!(state.events.remove_old(|at| at < TimestampMs::from_ms(7), 4), 3);
        assert_eq!(state.events.remove_old(|at| at < TimestampMs::from_ms(7), 4), 0);

        let resolved = |cursor: &StreamCursor| resolve::<OperatorEvent>(&state, cursor);
        let error = resolved(&first[5].cursor).unwrap_err();
        assert_eq!(page::<OperatorEvent>(&state, 6, &all).unwrap_err(), error);
        assert_eq!(error.oldest_cursor(), Some(first[6].cursor.clone()));
        assert_eq!(resolved(&error.oldest_cursor().unwrap()), Ok(7));
        assert_eq!(resolved(&StreamCursor::Start), Ok(7));
        assert_eq!(page::<OperatorEvent>(&state, 7, &all).unwrap().0, first[7..]);
        assert_eq!(resolved(&StreamCursor::End), Ok(10));
        assert!(resolved(&cursor::<OperatorEvent>(11)).is_err());
    }
}
