//! What a store with a fault makes of claims.

use std::time::Duration;

use ff_core::{ClaimPolicy, ContentionKind, EngineError, LaneId, LifecyclePhase, Limits, OwnershipState, TimestampMs};

use super::Flaw;
use crate::{Answer, MemoryBackend, Op, Outcome, Place, State};

/// CL2, CL3, CL4, CL8: what a claim asks for, and what it finds.
pub(super) fn heard(state: &mut State, flaw: Flaw, op: &mut Op) {
    let Op::Claim { lane, policy, .. } = op else { return };
    match flaw {
        Flaw::Cl2 => ready_again(state, lane, policy),
        Flaw::Cl3 if state.index.ready(lane).next().is_none() => {
            let other = state.lanes().find(|other| state.index.ready(other).next().is_some());
            *lane = other.cloned().unwrap_or_else(|| lane.clone());
        }
        Flaw::Cl4 => {
            let longest = Duration::from_millis(Limits::DURATION_MS);
            policy.lease_ttl = policy.lease_ttl.clamp(Duration::from_millis(1), longest);
        }
        Flaw::Cl8 => policy.lease_ttl = Duration::from_secs(policy.lease_ttl.as_millis().div_ceil(1000) as u64),
        _ => {}
    }
}

/// Makes ready what the worker holds in a lane.
fn ready_again(state: &mut State, lane: &LaneId, policy: &ClaimPolicy) {
    let own = |row: &&crate::StoredExecution| {
        let record = &row.record;
        let holder = record.lease.as_ref().map(|lease| &lease.worker_instance_id);
        record.lane_id == *lane
            && record.state.ownership_state == OwnershipState::Leased
            && holder == Some(&policy.worker_instance_id)
    };
    let ids: Vec<_> = state.executions().filter(own).map(|row| row.record.execution_id).collect();
    for id in ids {
        if let Ok((row, index, _)) = state.parts(&id) {
            let place = Place { ready: true, ..row.place };
            index.place(row, place);
        }
    }
}

/// CL7: what a claim without work leaves.
pub(super) fn left(state: &mut State, flaw: Flaw, op: &Op, now: TimestampMs, outcome: &Outcome) {
    let (Flaw::Cl7, Op::Claim { lane, .. }, Ok(Answer::Claim(None))) = (flaw, op, outcome) else { return };
    let waits = |row: &&mut crate::state::Shared<crate::StoredExecution>| {
        row.record.lane_id == *lane && row.record.state.lifecycle_phase == LifecyclePhase::Runnable
    };
    for row in state.executions.values_mut().filter(waits) {
        row.record.last_mutation_at = now;
    }
}

/// CL6: how many rows a claim makes ready at most.
pub(crate) fn promoted_at_once(state: &State, most: usize) -> usize {
    if state.flaw == Some(Flaw::Cl6) { usize::MAX } else { most }
}

/// CL5: how long a claim waits.
pub(crate) fn patience(backend: &MemoryBackend, wait: Option<Duration>) -> Option<Duration> {
    wait.filter(|_| !backend.has(Flaw::Cl5))
}

/// CL9: whether claims that wait are woken.
pub(crate) fn wakes(state: &State) -> bool {
    state.flaw != Some(Flaw::Cl9)
}

/// CL1: what a claim answers whose row another one took.
pub(crate) fn overtaken(state: &State, id: &ff_core::ExecutionId) -> Result<(), EngineError> {
    let leased = state.row(id)?.record.state.ownership_state == OwnershipState::Leased;
    if state.flaw == Some(Flaw::Cl1) && leased {
        Err(EngineError::Contention(ContentionKind::LeaseConflict))
    } else {
        Ok(())
    }
}
