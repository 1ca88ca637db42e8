//! Reads the events of a burst, in one piece or in many.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ff_core::{EngineBackend, ExecutionId, ScannerFilter, StreamCursor};
use futures::StreamExt;

use crate::{draw::Draw, feeds::Family};

/// How long a subscriber waits for an event before it asks again from its cursor.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often it asks again at most once the last event is written: what does not come then was passed over.
const MOST_ASKS: u32 = 500;

/// Whose events are read, and up to where.
pub(super) struct Wanted<'a> {
    /// The namespace of the burst.
    pub(super) filter: &'a ScannerFilter,
    /// The executions of the burst; others are left out.
    pub(super) ids: &'a BTreeSet<ExecutionId>,
    /// The execution whose event is the last.
    pub(super) last: ExecutionId,
    /// Whether that is written.
    pub(super) is_written: &'a AtomicBool,
}

/// What came of following one family.
pub(super) struct Followed<E> {
    /// The events.
    pub(super) events: Vec<E>,
    /// Behind them.
    pub(super) cursor: StreamCursor,
    /// Whether the event of the last execution came.
    pub(super) is_whole: bool,
}

/// All events behind `cursor` until one of the last execution.
///
/// With dice the subscriber ends its subscription after a few events and goes on from its cursor; what breaks on its
/// way makes it go on in any case.
pub(super) async fn follow<E: Family>(
    client: &Arc<dyn EngineBackend>,
    wanted: &Wanted<'_>,
    mut cursor: StreamCursor,
    mut dice: Option<Draw>,
) -> Followed<E> {
    let (mut events, mut asks) = (Vec::new(), 0);
    while asks < MOST_ASKS {
        asks += u32::from(wanted.is_written.load(Ordering::Relaxed));
        let Ok(mut feed) = E::subscribe(client, &cursor, wanted.filter).await else {
            tokio::time::sleep(PATIENCE).await;
            continue;
        };
        let mut left = dice.as_mut().map_or(usize::MAX, |dice| 1 + dice.below(4));
        while let (1.., Ok(Some(Ok(delivered)))) = (left, tokio::time::timeout(PATIENCE, feed.next()).await) {
            left -= 1;
            cursor = delivered.cursor;
            let id = *delivered.event.of().0;
            if wanted.ids.contains(&id) {
                events.push(delivered.event);
            }
            if id == wanted.last {
                return Followed { events, cursor, is_whole: true };
            }
        }
    }
    Followed { events, cursor, is_whole: false }
}
