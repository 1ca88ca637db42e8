//! Faults that show only where calls meet, or where one is cut off.

use ff_core::TerminalOutcome;

use super::Flaw;
use crate::{MemoryBackend, State, apply::subscriptions::Family};

/// Where so many events stand, the next completion is lost.
const ONE_OF: usize = 7;

/// How often a reader with a fault lets others go first, until one of them writes.
const LOOKS: usize = 500;

/// M08: a client that was killed between the success of an execution and the step that tells of it.
pub(crate) fn half_ended(state: &mut State, outcome: TerminalOutcome) {
    if state.has(Flaw::M08) && outcome == TerminalOutcome::Success && state.events.written().is_multiple_of(ONE_OF) {
        state.events.forget_completion();
    }
}

/// M19: how many events lie before the next page, if a reader believes that it has seen all that there are.
pub(crate) async fn skipped<E: Family>(client: &MemoryBackend, passed: usize) -> usize {
    if !client.inspect(|state| state.has(Flaw::M19)) {
        return passed;
    }
    let written = || client.inspect(|state| E::log(&state.events).written());
    for _ in 0..LOOKS {
        if written() > passed {
            break;
        }
        tokio::task::yield_now().await;
    }
    written()
}
