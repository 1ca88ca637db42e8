//! Faults that show only where calls meet, or where one is cut off.

use ff_core::{DeliverSignalResult, EngineError, SignalEffect, StateKind, TerminalOutcome};

use super::Flaw;
use crate::{Answer, MemoryBackend, Op, State, apply, apply::subscriptions::Family};

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

/// WP28, WP29: a delivery that looks in one step and writes in another; `None` without the fault.
pub(crate) async fn split_delivery(
    backend: &MemoryBackend,
    op: &Op,
) -> Option<Result<DeliverSignalResult, EngineError>> {
    let flaw = [Flaw::Wp28, Flaw::Wp29].into_iter().find(|flaw| backend.has(*flaw))?;
    let looked = backend.with_parts(|state, now, mint| {
        let mut seen = state.clone();
        let answer = apply(&mut seen, op, now, mint).and_then(delivered)?;
        Ok((answer, seen.signal_events().last()))
    });
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    let (answer, told) = looked.ok()?;
    Some(backend.with_parts(|state, now, mint| {
        let before = state.clone();
        match apply(state, op, now, mint).and_then(delivered) {
            Ok(DeliverSignalResult::Duplicate { .. }) if flaw == Flaw::Wp29 && is_new(answer) => {
                *state = before;
                apply(state, &without_key(op), now, mint).and_then(delivered)
            }
            Err(EngineError::State(StateKind::WaitpointClosed)) if flaw == Flaw::Wp28 && satisfies(answer) => {
                told.into_iter().for_each(|event| state.events.signal.push(event));
                Ok(answer)
            }
            answer => answer,
        }
    }))
}

fn delivered(answer: Answer) -> Result<DeliverSignalResult, EngineError> {
    match answer {
        Answer::DeliverSignal(result) => Ok(result),
        other => Err(other.misplaced()),
    }
}

const fn satisfies(result: DeliverSignalResult) -> bool {
    matches!(result, DeliverSignalResult::Accepted { effect: SignalEffect::ResumeConditionSatisfied, .. })
}

const fn is_new(result: DeliverSignalResult) -> bool {
    matches!(result, DeliverSignalResult::Accepted { .. })
}

/// The same delivery, known by its signal alone.
fn without_key(op: &Op) -> Op {
    let mut op = op.clone();
    if let Op::DeliverSignal(args) = &mut op {
        args.idempotency_key = None;
    }
    op
}
