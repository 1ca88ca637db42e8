//! What a store with a fault hears before a step, and what it tells and leaves after it.

use std::borrow::Cow;

use ff_core::{ClaimExecutionResult, ExecutionId, Handle, TimestampMs};

use super::{Flaw, attempts, claims, errors, executions, leases, planted::refused, scanners};
use crate::{Answer, Clock, Op, Outcome, State, StoredExecution, capabilities::LABEL};

/// What is done instead of what was asked for, and the instant at which it is done.
pub(crate) fn heard<'a>(state: &mut State, op: &'a Op, now: TimestampMs) -> (Cow<'a, Op>, TimestampMs) {
    let Some(flaw) = state.flaw else { return (Cow::Borrowed(op), now) };
    let mut heard = op.clone();
    executions::heard(state, flaw, &mut heard, now);
    attempts::heard(flaw, &mut heard);
    claims::heard(state, flaw, &mut heard);
    scanners::heard(flaw, &mut heard);
    let now = match op {
        // CK1: the clock of the process, and not that of the store.
        Op::CreateExecution(_) if flaw == Flaw::Ck1 => Clock::process().now(),
        _ => now,
    };
    (Cow::Owned(heard), now)
}

/// What is told and left instead of what should be.
pub(crate) fn told(state: &mut State, op: &Op, now: TimestampMs, mut outcome: Outcome) -> Outcome {
    let Some(flaw) = state.flaw else { return outcome };
    if outcome.is_err() {
        refused(state, op, now);
    }
    executions::left(state, flaw, op, now, &mut outcome);
    attempts::left(state, flaw, op, &outcome);
    leases::left(state, flaw, op, &mut outcome);
    claims::left(state, flaw, op, now, &outcome);
    errors::told(flaw, op, outcome)
}

/// The handles that a step handed out.
pub(super) fn acquired(outcome: &Outcome) -> Vec<&Handle> {
    match outcome {
        Ok(Answer::Claim(Some(handle)) | Answer::ClaimExecution(ClaimExecutionResult::Claimed(handle))) => vec![handle],
        Ok(Answer::ClaimMany(handles)) => handles.iter().collect(),
        _ => Vec::new(),
    }
}

/// The execution behind a handle.
pub(super) fn held(handle: &Handle) -> Option<ExecutionId> {
    handle.decode(LABEL).ok().map(|held| held.execution_id)
}

/// The row behind a handle.
pub(super) fn row<'a>(state: &'a mut State, handle: &Handle) -> Option<&'a mut StoredExecution> {
    let id = held(handle)?;
    state.row_mut(&id).ok()
}
