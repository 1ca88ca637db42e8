//! What a store with a fault makes of subscriptions.

use ff_core::{Applied, Delivered, EngineError, ScannerFilter, StreamCursor, TransportKind};

use super::Flaw;
use crate::{MemoryBackend, State, capabilities::LABEL};

/// How many subscriptions of a client [`Flaw::Su4`] has connections for.
const CONNECTIONS: usize = 16;

/// SU3: what is left of a filter.
pub(crate) fn filtered(client: &MemoryBackend, filter: &ScannerFilter) -> ScannerFilter {
    let mut filter = filter.clone();
    if client.has(Flaw::Su3) && filter.namespace.is_some() {
        filter.instance_tag = None;
    }
    filter
}

/// SU4, SU5: where a subscription begins, if it does.
pub(crate) fn begun(client: &MemoryBackend, begun: Result<usize, EngineError>) -> Result<usize, EngineError> {
    if client.has(Flaw::Su4) && client.streams() >= CONNECTIONS {
        return Err(EngineError::transport(LABEL, TransportKind::Timeout, Applied::No, "no connection is free"));
    }
    if client.has(Flaw::Su5) { Ok(begun.unwrap_or(0)) } else { begun }
}

/// SU2, SU6: how many events lie before a cursor.
pub(crate) fn resolved(state: &State, cursor: &StreamCursor, passed: usize) -> usize {
    match (state.flaw, cursor) {
        (Some(Flaw::Su2), StreamCursor::At(_)) | (Some(Flaw::Su6), StreamCursor::End) => passed.saturating_sub(1),
        _ => passed,
    }
}

/// SU1, SU7: what a page delivers.
pub(crate) fn delivered<E: Clone>(state: &State, begin: usize, page: &mut Vec<Delivered<E>>) {
    match state.flaw {
        Some(Flaw::Su1) => page.reverse(),
        Some(Flaw::Su7) if begin == 0 => page.splice(0..0, page.first().cloned()).for_each(drop),
        _ => {}
    }
}

/// SU8: whether a subscription ends without saying why.
pub(crate) fn ends_silently(client: &MemoryBackend) -> bool {
    client.has(Flaw::Su8)
}
