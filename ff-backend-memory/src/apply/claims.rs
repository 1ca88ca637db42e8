//! How a worker gets a lease: what falls due is made ready, then the first row that the worker may take is taken.

use std::{sync::Arc, time::Duration};

use ff_core::{
    AttemptIndex, AttemptPhase, AttemptState, AttemptType, BackendTag, CapabilitySet, ClaimPolicy, EligibilityState,
    EngineError, ExecutionId, Handle, HandleKind, HandlePayload, LaneId, LeaseEpoch, LeaseEventKind, LeaseFence,
    LeaseRecord, OwnershipState, ReleaseReason, StateVector, TerminalOutcome, TimestampMs,
};

use super::{Ending, end};
#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{AttemptRecord, Mint, Place, State, StoredExecution, capabilities::LABEL, state::Rank};

/// The failure of an execution whose lease lapsed once more than its policy allows.
const MAX_RECLAIMS_EXCEEDED: &str = "max_reclaims_exceeded";

pub(super) fn claim(
    state: &mut State,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    policy: &ClaimPolicy,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<Option<Handle>, EngineError> {
    let lease_ttl = Duration::from_millis(policy.checked_ttl_ms()?);
    promote(state, lane, now)?;
    match pick(state, lane, capabilities, now) {
        Some(id) => take(state, &id, policy, lease_ttl, now, mint).map(Some),
        None => Ok(None),
    }
}

/// What becomes of a row whose due instant has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Its deadline ends it.
    Expired,
    /// Its lease lapsed once more than its policy allows.
    OutOfReclaims,
    /// A claim may pick it: its delay is over or its lease lapsed.
    Ready,
    /// Its time has not come.
    NotYet,
}

pub(crate) fn decide_due(row: &StoredExecution, now: TimestampMs) -> Due {
    if row.record.is_past_deadline(now) {
        Due::Expired
    } else if row.record.has_lapsed_lease(now) {
        if row.record.lease_reclaim_count >= row.max_reclaims { Due::OutOfReclaims } else { Due::Ready }
    } else if row.record.state_at(now).eligibility_state == EligibilityState::EligibleNow {
        Due::Ready
    } else {
        Due::NotYet
    }
}

/// Works off the rows of a lane whose time has come, at most as many as one claim may.
pub(crate) fn promote(state: &mut State, lane: &LaneId, now: TimestampMs) -> Result<(), EngineError> {
    let most = usize::try_from(state.limits.promote_per_claim).unwrap_or(usize::MAX);
    let ids = state.index.due(lane, now, most);
    #[cfg(feature = "flaws")]
    let ids = flaw::promotable(state, ids, now);
    for id in ids {
        let due = decide_due(state.row(&id)?, now);
        #[cfg(feature = "flaws")]
        let due = flaw::decide_due(state, state.row(&id)?, now, due);
        match due {
            Due::Expired => expire(state, &id, now)?,
            Due::OutOfReclaims => give_up(state, &id, now)?,
            Due::Ready => {
                let (row, index, _) = state.parts(&id)?;
                let place = Place::promoted(&row.record);
                index.place(row, place);
            }
            Due::NotYet => {}
        }
    }
    Ok(())
}

/// Ends an execution whose deadline has come.
fn expire(state: &mut State, id: &ExecutionId, now: TimestampMs) -> Result<(), EngineError> {
    let record = &state.row(id)?.record;
    let completed_at = record.completed_at(now).ok_or_else(|| EngineError::corrupt("due without a deadline"))?;
    let lapsed_before = record
        .lease
        .as_ref()
        .zip(record.execution_deadline_at)
        .is_some_and(|(lease, deadline)| lease.expires_at <= deadline);
    let ending = Ending {
        outcome: TerminalOutcome::Expired,
        phase: AttemptPhase::EndedFailure,
        failure: Some(("execution_deadline", "timeout")),
        lease_event: if lapsed_before {
            (LeaseEventKind::Expired, None)
        } else {
            (LeaseEventKind::Released, Some(ReleaseReason::ExecutionDeadline))
        },
        ended_by: None,
        completed_at,
    };
    end(state, id, &ending, now)
}

/// Fails an execution whose lease lapsed once more than its policy allows.
fn give_up(state: &mut State, id: &ExecutionId, now: TimestampMs) -> Result<(), EngineError> {
    let row = state.row_mut(id)?;
    row.record.failure_reason = Some(MAX_RECLAIMS_EXCEEDED.to_owned());
    row.record.failure_category = Some(MAX_RECLAIMS_EXCEEDED.to_owned());
    let ending = Ending {
        outcome: TerminalOutcome::Failed,
        phase: AttemptPhase::EndedFailure,
        failure: Some((MAX_RECLAIMS_EXCEEDED, MAX_RECLAIMS_EXCEEDED)),
        lease_event: (LeaseEventKind::Revoked, Some(ReleaseReason::MaxReclaimsExceeded)),
        ended_by: None,
        completed_at: now,
    };
    end(state, id, &ending, now)
}

/// The first ready row in claim order that the worker may take and whose deadline lies ahead.
pub(crate) fn pick(
    state: &State,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    now: TimestampMs,
) -> Option<ExecutionId> {
    #[cfg(feature = "flaws")]
    if let Some(picked) = flaw::pick(state, lane, capabilities, now) {
        return picked;
    }
    let takeable = |rank: &&Rank| state.execution(&rank.2).is_some_and(|row| !row.record.is_past_deadline(now));
    let heads = state
        .index
        .ready(lane)
        .filter(|(required, _)| capabilities.covers(required))
        .filter_map(|(_, ranks)| ranks.iter().find(takeable));
    heads.min().map(|rank| rank.2)
}

/// Hands a picked row to the worker: a new attempt under a new lease.
pub(crate) fn take(
    state: &mut State,
    id: &ExecutionId,
    policy: &ClaimPolicy,
    lease_ttl: Duration,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<Handle, EngineError> {
    #[cfg(feature = "flaws")]
    let planted = state.flaw;
    let (row, index, events) = state.parts(id)?;
    let lease_epoch = LeaseEpoch(row.record.lease_epoch.0 + 1);
    #[cfg(feature = "flaws")]
    let lease_epoch = flaw::next_epoch(planted, row, lease_epoch);
    let reclaims = row.record.state.ownership_state == OwnershipState::Leased;
    if reclaims {
        events.lease(row, LeaseEventKind::Expired, None, now);
        row.close_attempt(AttemptPhase::InterruptedReclaimed, None, now);
        row.record.lease_reclaim_count += 1;
    }
    let (attempt_type, told, kind) = match row.record.state.attempt_state {
        _ if reclaims => (AttemptType::Reclaim, LeaseEventKind::Reclaimed, HandleKind::Reclaimed),
        AttemptState::PendingRetryAttempt => (AttemptType::Retry, LeaseEventKind::Acquired, HandleKind::Fresh),
        _ => (AttemptType::Initial, LeaseEventKind::Acquired, HandleKind::Fresh),
    };
    let fence = LeaseFence { lease_id: mint.lease_id(), lease_epoch, attempt_id: mint.attempt_id() };
    let attempt_index = start_attempt(row, fence, attempt_type, policy, now);
    row.record.state = StateVector::leased();
    row.record.lease_epoch = fence.lease_epoch;
    row.record.lease = Some(LeaseRecord {
        lease_id: fence.lease_id,
        attempt_id: fence.attempt_id,
        attempt_index,
        worker_instance_id: policy.worker_instance_id.clone(),
        acquired_at: now,
        expires_at: now.plus(lease_ttl),
        last_renewed_at: None,
    });
    row.record.delay_until = None;
    row.record.started_at = row.record.started_at.or(Some(now));
    row.record.last_transition_at = now;
    row.record.last_mutation_at = now;
    row.ended_by = None;
    events.lease(row, told, None, now);
    let place = Place::of(&row.record);
    index.place(row, place);
    let payload = HandlePayload {
        execution_id: *id,
        attempt_index,
        fence,
        lease_ttl,
        lane_id: row.record.lane_id.clone(),
        worker_instance_id: policy.worker_instance_id.clone(),
    };
    Ok(payload.seal(BackendTag::try_new(LABEL)?, kind))
}

/// Opens the next attempt of an execution.
fn start_attempt(
    row: &mut StoredExecution,
    fence: LeaseFence,
    attempt_type: AttemptType,
    policy: &ClaimPolicy,
    now: TimestampMs,
) -> AttemptIndex {
    let attempt_index = AttemptIndex(row.record.total_attempt_count);
    row.record.total_attempt_count += 1;
    if row.attempts.is_empty() {
        // Most executions have one attempt.
        row.attempts.reserve_exact(1);
    }
    row.attempts.push(AttemptRecord {
        attempt_id: fence.attempt_id,
        attempt_index,
        attempt_type,
        phase: AttemptPhase::Started,
        lease_id: fence.lease_id,
        lease_epoch: fence.lease_epoch,
        worker_id: policy.worker_id.clone(),
        worker_instance_id: Arc::new(policy.worker_instance_id.clone()),
        started_at: now,
        resumed_at: None,
        ended_at: None,
        failure_reason: None,
        failure_category: None,
    });
    attempt_index
}
