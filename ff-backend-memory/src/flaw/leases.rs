//! What a store with a fault makes of leases.

use std::time::Duration;

use ff_core::{EngineError, Handle, HandleKind, HandlePayload, LeaseRenewal, Operation, StateKind, TimestampMs};

use super::{
    Flaw,
    step::{acquired, held},
};
use crate::{Answer, MemoryBackend, Op, Outcome, Place, State, StoredExecution, apply};

const LATE: Duration = Duration::from_millis(1);

/// LE8, LE9, LE10, CK2: what the fence says.
pub(crate) fn fenced(
    state: &State,
    (row, handle, held): (&StoredExecution, &Handle, &HandlePayload),
    operation: Operation,
    now: TimestampMs,
    verdict: Result<(), EngineError>,
) -> Result<(), EngineError> {
    let lapsed = verdict == Err(EngineError::State(StateKind::LeaseExpired));
    let begins = row.record.lease.as_ref().map(|lease| lease.acquired_at);
    match state.flaw {
        Some(Flaw::Le8) if lapsed && operation == Operation::Renew => Ok(()),
        Some(Flaw::Le9) if verdict.is_ok() && handle.kind() == HandleKind::Reclaimed && row.attempts.len() == 1 => {
            Err(EngineError::State(StateKind::StaleLease))
        }
        Some(Flaw::Le10) if lapsed && row.record.fence() != Some(held.fence) => {
            Err(EngineError::State(StateKind::StaleLease))
        }
        Some(Flaw::Ck2) if verdict.is_ok() && begins.is_some_and(|begin| begin > now) => {
            Err(EngineError::State(StateKind::LeaseExpired))
        }
        _ => verdict,
    }
}

/// LE1, LE2, LE3, LE5, LE6, LE7: what a step leaves of leases, and tells of them.
pub(super) fn left(state: &mut State, flaw: Flaw, op: &Op, outcome: &mut Outcome) {
    match (flaw, op, &mut *outcome) {
        (Flaw::Le1 | Flaw::Le2, _, outcome) => {
            let again = |handle: &&Handle| flaw == Flaw::Le1 || handle.kind() == HandleKind::Reclaimed;
            for id in acquired(outcome).into_iter().filter(again).filter_map(held) {
                if let Ok((row, index, _)) = state.parts(&id) {
                    let place = Place { ready: true, ..row.place };
                    index.place(row, place);
                }
            }
        }
        (Flaw::Le3, _, outcome) if !acquired(outcome).is_empty() => state.events.tell_again(),
        (Flaw::Le5, Op::Renew { handle }, Ok(Answer::Renew(renewal))) => longer(state, handle, renewal),
        (Flaw::Le6, Op::Renew { .. }, Ok(_)) => state.events.tell_again(),
        (Flaw::Le7, _, Ok(_)) => state.events.forget_reason(),
        _ => {}
    }
}

fn longer(state: &mut State, handle: &Handle, renewal: &mut LeaseRenewal) {
    let Some((row, index, _)) = held(handle).and_then(|id| state.parts(&id).ok()) else { return };
    renewal.expires_at = renewal.expires_at.plus(LATE);
    if let Some(lease) = row.record.lease.as_mut() {
        lease.expires_at = renewal.expires_at;
    }
    let place = Place::of(row);
    index.place(row, place);
}

/// LE11: a renewal that reads the row, lets others go first and writes it back; `None` without the fault.
pub(crate) async fn late_renewal(backend: &MemoryBackend, op: &Op) -> Option<Outcome> {
    let Op::Renew { handle } = op else { return None };
    if !backend.has(Flaw::Le11) {
        return None;
    }
    let looked = backend.with_parts(|state, now, mint| {
        let mut seen = state.clone();
        let answer = apply(&mut seen, op, now, mint)?;
        Ok((held(handle).and_then(|id| seen.executions.remove(&id)), answer))
    });
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    Some(looked.and_then(|(row, answer)| {
        let Some(mut renewed) = row else { return Ok(answer) };
        backend.with_parts(|state, _, _| {
            let (row, index, _) = state.parts(&renewed.record.execution_id)?;
            let place = renewed.place;
            renewed.place = row.place;
            *row = (*renewed).clone();
            index.place(row, place);
            Ok(answer)
        })
    }))
}
