//! What a store with a fault does instead of what the contract says.

use std::{collections::BTreeSet, time::Duration};

use ff_core::{
    AttemptPhase, CapabilitySet, ContentionKind, CreateExecutionResult, EngineError, ExecutionId, FailureClass, Handle,
    HandlePayload, LaneId, LeaseEpoch, ListExecutionsPage, Operation, OwnershipState, PageLimit, PublicState,
    ScanPlace, StateKind, StateVector, TerminalOutcome, TimestampMs,
};

use super::{Flaw, overtaken};
use crate::{
    MemoryBackend, Op, Place, State, StoredExecution,
    apply::claims::{self, Due},
    state::Rank,
};

/// How many lapsed leases [`Flaw::L1`] sees.
const WINDOW: usize = 50;

impl State {
    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}

fn lapses_now(row: &StoredExecution, now: TimestampMs) -> bool {
    row.record.state.ownership_state == OwnershipState::Leased
        && row.record.lease.as_ref().is_some_and(|lease| lease.expires_at == now)
}

/// M01, M02, M04, E1: what the fence says.
pub(crate) fn verdict(
    state: &State,
    row: &StoredExecution,
    held: &HandlePayload,
    operation: Operation,
    now: TimestampMs,
    verdict: Result<(), EngineError>,
) -> Result<(), EngineError> {
    let stale = verdict == Err(EngineError::State(StateKind::StaleLease));
    match state.flaw {
        Some(Flaw::M01) if stale && matches!(operation, Operation::Renew | Operation::Complete) => Ok(()),
        Some(Flaw::M02) if stale && row.record.lease_epoch == held.fence.lease_epoch => Ok(()),
        Some(Flaw::M04) if lapses_now(row, now) => {
            row.record.check_fence(&held.fence, TimestampMs::from_ms(now.as_ms() - 1))
        }
        Some(Flaw::E1) if stale => Err(EngineError::Contention(ContentionKind::LeaseConflict)),
        _ => verdict,
    }
}

/// E2: how a cancel is refused that comes after the end.
pub(crate) fn too_late(state: &State) -> EngineError {
    if state.has(Flaw::E2) {
        return EngineError::Contention(ContentionKind::ExecutionNotEligible);
    }
    EngineError::State(StateKind::Terminal)
}

/// M09b: whether a repeat is recognised.
pub(crate) fn repeated(state: &State, repeats: bool) -> bool {
    repeats && !state.has(Flaw::M09b)
}

/// X1: what a refused call leaves behind.
pub(crate) fn refused(state: &mut State, op: &Op, now: TimestampMs) {
    let (Op::Progress { handle, .. }
    | Op::Complete { handle, .. }
    | Op::Fail { handle, .. }
    | Op::Cancel { handle, .. }
    | Op::Renew { handle }) = op
    else {
        return;
    };
    if !state.has(Flaw::X1) {
        return;
    }
    let held = handle.decode(state.label).ok();
    if let Some(row) = held.and_then(|held| state.executions.get_mut(&held.execution_id)) {
        row.record.last_mutation_at = now;
    }
}

/// M10, M10b: what a duplicate create answers, if not the truth.
pub(crate) fn duplicate(
    state: &State,
    asked: ExecutionId,
    first: Option<ExecutionId>,
) -> Option<Option<CreateExecutionResult>> {
    let first = first?;
    match state.flaw {
        Some(Flaw::M10) => {
            Some(Some(CreateExecutionResult::Created { execution_id: first, public_state: PublicState::Waiting }))
        }
        Some(Flaw::M10b) if asked != first => Some(None),
        _ => None,
    }
}

/// W1: where a new row stands.
pub(crate) fn row(state: &State, delayed: bool, place: Place) -> Place {
    if state.has(Flaw::W1) && delayed && place.ready { Place { ready: false, ..place } } else { place }
}

/// M13: a page of executions.
pub(crate) fn list_executions(
    state: &State,
    cursor: Option<&ExecutionId>,
    limit: PageLimit,
) -> Option<ListExecutionsPage> {
    if !state.has(Flaw::M13) {
        return None;
    }
    let created_at = |id: &ExecutionId| state.execution(id).map(|row| row.record.created_at);
    let after = cursor.and_then(created_at);
    let behind: BTreeSet<(TimestampMs, ExecutionId)> = state
        .executions()
        .map(|row| (row.record.created_at, row.record.execution_id))
        .filter(|(created, _)| after.is_none_or(|after| *created > after))
        .collect();
    let executions: Vec<_> = behind.iter().take(usize::from(limit.get())).map(|(_, id)| *id).collect();
    let next_cursor = executions.last().filter(|_| behind.len() > executions.len()).copied();
    Some(ListExecutionsPage { executions, next_cursor })
}

/// P1: what a progress call leaves.
pub(crate) fn progress(state: &mut State, id: &ExecutionId, percent: Option<u8>, message: Option<&str>) {
    if !state.has(Flaw::P1) {
        return;
    }
    if let Some(progress) = state.executions.get_mut(id).and_then(|row| row.record.progress.as_mut()) {
        progress.percent = percent;
        progress.message = message.map(str::to_owned);
    }
}

/// R1, R1b: which result is stored.
pub(crate) fn result(state: &State, payload: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match state.flaw {
        Some(Flaw::R1) => Some(payload.unwrap_or_default()),
        Some(Flaw::R1b) => payload.filter(|bytes| !bytes.is_empty()),
        _ => payload,
    }
}

/// O1: whether another priority moves a row within its lane.
pub(crate) fn moves(state: &State) -> bool {
    !state.has(Flaw::O1)
}

/// O2: the retries that a replay starts with.
pub(crate) fn replayed_retries(state: &State, id: &ExecutionId) -> u32 {
    state.execution(id).filter(|_| state.has(Flaw::O2)).map_or(0, |row| row.record.retry_count)
}

/// O3: what a revocation leaves.
pub(crate) fn revoked(state: &mut State, id: &ExecutionId) {
    if !state.has(Flaw::O3) {
        return;
    }
    if let Ok((row, index, _)) = state.parts(id) {
        row.record.state = StateVector::leased();
        let place = Place::of(row);
        index.place(row, place);
    }
}

/// M07, F1: from which facts a retry is decided.
pub(crate) fn retry(state: &State, retry_count: u32, class: FailureClass) -> (u32, FailureClass) {
    match state.flaw {
        Some(Flaw::M07) => (0, class),
        Some(Flaw::F1) => (retry_count, FailureClass::Transient),
        _ => (retry_count, class),
    }
}

/// M07b: what a scheduled retry leaves.
pub(crate) fn retry_scheduled(state: &mut State, id: &ExecutionId) {
    if !state.has(Flaw::M07b) {
        return;
    }
    if let Some(row) = state.executions.get_mut(id) {
        row.record.retry_count += 1;
    }
}

/// M09, V1, A1: what the end of an execution, or its repeat, leaves.
pub(crate) fn ended(state: &mut State, id: &ExecutionId, repeats: bool, now: TimestampMs) {
    let (flaw, Some(row)) = (state.flaw, state.executions.get_mut(id)) else { return };
    let outcome = row.record.state.terminal_outcome;
    match flaw {
        Some(Flaw::M09) if repeats && outcome == TerminalOutcome::Success => {
            state.events.completion(row, outcome, now);
        }
        Some(Flaw::V1) if !repeats && outcome == TerminalOutcome::Cancelled => state.events.forget_completion(),
        Some(Flaw::A1) if !repeats => {
            if let Some(attempt) = row.attempts.last_mut() {
                attempt.phase = AttemptPhase::Started;
                attempt.ended_at = None;
            }
        }
        _ => {}
    }
}

/// L1: which of the due rows a claim sees.
pub(crate) fn promotable(state: &mut State, due: Vec<ExecutionId>, now: TimestampMs) -> Vec<ExecutionId> {
    if !state.has(Flaw::L1) {
        return due;
    }
    let lapsed = |id: &ExecutionId| state.execution(id).is_some_and(|row| row.record.has_lapsed_lease(now));
    let lost: Vec<ExecutionId> = due.iter().copied().filter(lapsed).skip(WINDOW).collect();
    for id in &lost {
        if let Ok((row, index, _)) = state.parts(id) {
            index.place(row, Place::default());
        }
    }
    due.into_iter().filter(|id| !lost.contains(id)).collect()
}

/// M04, M07c, D1, TA: what becomes of a due row.
pub(crate) fn decide_due(state: &State, row: &StoredExecution, now: TimestampMs, due: Due) -> Due {
    match state.flaw {
        Some(Flaw::M04) if lapses_now(row, now) && due != Due::Expired => Due::NotYet,
        Some(Flaw::M07c) if due == Due::OutOfReclaims => Due::Lapsed,
        Some(Flaw::Ta) if due == Due::Lapsed && row.attempt_timeout_at.is_some_and(|at| at.has_come(now)) => {
            Due::TimedOut
        }
        Some(Flaw::D1) if due == Due::Expired => {
            let mut endless = row.clone();
            endless.record.execution_deadline_at = None;
            claims::decide_due(&endless, now)
        }
        _ => due,
    }
}

/// M11, M11b, D1, CAP, HOL: which row a claim picks, if not the right one.
pub(crate) fn pick(
    state: &State,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    now: TimestampMs,
) -> Option<Option<ExecutionId>> {
    let flaw = state.flaw?;
    if !matches!(flaw, Flaw::M11 | Flaw::M11b | Flaw::D1 | Flaw::Cap | Flaw::Hol) {
        return None;
    }
    let mut rows: Vec<(&CapabilitySet, &Rank)> = state
        .index
        .ready(lane)
        .flat_map(|(required, ranks)| ranks.iter().map(move |rank| (required, rank)))
        .filter(|(required, _)| matches!(flaw, Flaw::Cap | Flaw::Hol) || capabilities.covers(required))
        .filter(|(_, rank)| {
            flaw == Flaw::D1 || state.execution(&rank.2).is_some_and(|row| !row.record.is_past_deadline(now))
        })
        .collect();
    match flaw {
        Flaw::M11 => rows.sort_by_key(|(_, rank)| (rank.1, rank.2)),
        Flaw::M11b => rows.sort_by_key(|(_, rank)| (rank.0, rank.1, std::cmp::Reverse(rank.2))),
        _ => rows.sort_by_key(|(_, rank)| **rank),
    }
    let first = rows.first().filter(|(required, _)| flaw != Flaw::Hol || capabilities.covers(required));
    Some(first.map(|(_, rank)| rank.2))
}

/// M06: the epoch of an acquisition.
pub(crate) fn next_epoch(planted: Option<Flaw>, row: &StoredExecution, epoch: LeaseEpoch) -> LeaseEpoch {
    let reclaims = row.record.state.ownership_state == OwnershipState::Leased;
    if planted == Some(Flaw::M06) && reclaims { row.record.lease_epoch } else { epoch }
}

/// B1: whether a refused item ends its batch.
pub(crate) fn spoils<T>(state: &State, answer: &Result<T, EngineError>) -> bool {
    state.has(Flaw::B1) && answer.is_err()
}

/// B2: what a complete answers that hands over.
pub(crate) fn handed_over(state: &State, ended: Result<(), EngineError>) -> Result<(), EngineError> {
    if state.has(Flaw::B2) { Ok(()) } else { ended }
}

/// B3: how many rows a batch of claims takes at most.
pub(crate) fn most_claims(state: &State, most: usize) -> usize {
    if state.has(Flaw::B3) { most + 1 } else { most }
}

/// M12: where a pass begins.
pub(crate) fn scan_place(state: &State, place: Option<ScanPlace>) -> Option<ScanPlace> {
    place.filter(|_| !state.has(Flaw::M12))
}

/// S1: what a lapse that was written down leaves.
pub(crate) fn written_down(state: &mut State, id: &ExecutionId) -> Result<(), EngineError> {
    if state.has(Flaw::S1) {
        state.row_mut(id)?.record.state = StateVector::leased();
    }
    Ok(())
}

/// S2: how the retention removes an execution.
pub(crate) fn remove(state: &mut State, id: &ExecutionId) {
    let keys = Some(state.keys.clone()).filter(|_| state.has(Flaw::S2));
    state.remove(id);
    if let Some(keys) = keys {
        state.keys = keys;
    }
}

/// M03, CL1: a look and a claim of two steps, with room for others in between; `None` without the fault.
pub(crate) async fn split_claim(backend: &MemoryBackend, op: &Op) -> Option<Result<Option<Handle>, EngineError>> {
    let Op::Claim { lane, capabilities, policy } = op else { return None };
    if !backend.has(Flaw::M03) && !backend.has(Flaw::Cl1) {
        return None;
    }
    let looked = backend.with_parts(|state, now, mint| {
        let lease_ttl = Duration::from_millis(policy.checked_ttl_ms()?);
        claims::promote(state, lane, now, mint)?;
        Ok(claims::pick(state, lane, capabilities, now).map(|id| (id, lease_ttl)))
    });
    let (id, lease_ttl) = match looked {
        Ok(Some(picked)) => picked,
        Ok(None) => return Some(Ok(None)),
        Err(error) => return Some(Err(error)),
    };
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    Some(backend.with_parts(|state, now, mint| {
        overtaken(state, &id)?;
        claims::take(state, &id, policy, lease_ttl, now, mint).map(Some)
    }))
}
