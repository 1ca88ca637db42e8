//! How a worker gets a lease: what falls due is made ready, then the first row that the worker may take is taken.

pub(super) mod grants;

use std::{sync::Arc, time::Duration};

use ff_core::{
    AttemptIndex, AttemptPhase, AttemptState, AttemptType, BackendTag, CapabilitySet, ClaimPolicy, EligibilityState,
    EngineError, ExecutionId, FailureClass, Handle, HandleKind, HandlePayload, LaneId, LeaseEpoch, LeaseEventKind,
    LeaseFence, LeaseRecord, OwnershipState, PageLimit, ReleaseReason, RetryDecision, StateVector, SuspensionRecord,
    TerminalOutcome, TimestampMs,
};

use super::{
    Ending,
    attempts::{complete, retry_decision, schedule_retry},
    end,
    executions::after,
};
#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{AttemptRecord, Mint, Place, State, StoredExecution, state::Rank};

/// The failure of an execution whose lease lapsed once more than its policy allows.
const MAX_RECLAIMS_EXCEEDED: &str = "max_reclaims_exceeded";
/// The failure of an attempt that ran out of its time.
const ATTEMPT_TIMEOUT: &str = "attempt_timeout";

pub(super) fn claim(
    state: &mut State,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    policy: &ClaimPolicy,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<Option<Handle>, EngineError> {
    let lease_ttl = Duration::from_millis(policy.checked_ttl_ms()?);
    promote(state, lane, now, mint)?;
    match pick(state, lane, capabilities, now) {
        Some(id) => take(state, &id, policy, lease_ttl, now, mint).map(Some),
        None => Ok(None),
    }
}

/// Completes an execution with a result and takes the next one of its handle's lane.
pub(super) fn complete_and_claim(
    state: &mut State,
    (handle, payload): (&Handle, Option<&[u8]>),
    capabilities: &CapabilitySet,
    policy: &ClaimPolicy,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<Option<Handle>, EngineError> {
    state.limits.check_result(payload)?;
    policy.checked_ttl_ms()?;
    let ended = complete(state, handle, payload, now);
    #[cfg(feature = "flaws")]
    let ended = flaw::handed_over(state, ended);
    ended?;
    claim(state, &handle.decode(state.label)?.lane_id, capabilities, policy, now, mint)
}

pub(super) fn claim_many(
    state: &mut State,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    policy: &ClaimPolicy,
    limit: PageLimit,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<Vec<Handle>, EngineError> {
    let lease_ttl = Duration::from_millis(policy.checked_ttl_ms()?);
    if limit.get() == 0 {
        return Ok(Vec::new());
    }
    promote(state, lane, now, mint)?;
    let most = usize::from(limit.get());
    #[cfg(feature = "flaws")]
    let most = flaw::most_claims(state, most);
    let mut taken = Vec::new();
    while taken.len() < most
        && let Some(id) = pick(state, lane, capabilities, now)
    {
        taken.push(take(state, &id, policy, lease_ttl, now, mint)?);
    }
    Ok(taken)
}

/// What becomes of a row whose due instant has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Its deadline ends it.
    Expired,
    /// Its attempt ran out of time.
    TimedOut,
    /// Its suspension ran out of time.
    SuspensionTimedOut,
    /// Its lease ended once more than its policy allows.
    OutOfReclaims,
    /// A claim may pick it: its lease lapsed.
    Lapsed,
    /// A claim may pick it: its delay or its grant is over.
    Ready,
    /// Its time has not come.
    NotYet,
}

pub(crate) fn decide_due(row: &StoredExecution, now: TimestampMs) -> Due {
    let record = &row.record;
    let ended_lease =
        matches!(record.state.ownership_state, OwnershipState::LeaseExpiredReclaimable | OwnershipState::LeaseRevoked);
    if record.is_past_deadline(now) {
        Due::Expired
    } else if record.is_suspension_due(now) {
        Due::SuspensionTimedOut
    } else if record.has_lapsed_lease(now) {
        let expires_at = record.lease.as_ref().map(|lease| lease.expires_at);
        if row.attempt_timeout_at.is_some() && expires_at >= row.attempt_timeout_at {
            Due::TimedOut
        } else if row.is_out_of_reclaims() {
            Due::OutOfReclaims
        } else {
            Due::Lapsed
        }
    } else if ended_lease && row.is_out_of_reclaims() {
        Due::OutOfReclaims
    } else if record.live_grant(now).is_some() {
        Due::NotYet
    } else if ended_lease || record.state_at(now).eligibility_state == EligibilityState::EligibleNow {
        Due::Ready
    } else {
        Due::NotYet
    }
}

/// Works off the rows of a lane whose time has come, at most as many as one claim may.
pub(crate) fn promote(
    state: &mut State,
    lane: &LaneId,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<(), EngineError> {
    let most = usize::try_from(state.limits.promote_per_claim).unwrap_or(usize::MAX);
    #[cfg(feature = "flaws")]
    let most = flaw::promoted_at_once(state, most);
    let ids = state.index.due(lane, now, most);
    #[cfg(feature = "flaws")]
    let ids = flaw::promotable(state, ids, now);
    for id in ids {
        if state.left.contains(&id) {
            continue;
        }
        let due = decide_due(state.row(&id)?, now);
        #[cfg(feature = "flaws")]
        let due = flaw::decide_due(state, state.row(&id)?, now, due);
        settle(state, &id, due, now, mint)?;
    }
    Ok(())
}

/// Writes down what time has done to one row.
pub(crate) fn settle(
    state: &mut State,
    id: &ExecutionId,
    due: Due,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<(), EngineError> {
    match due {
        Due::Expired => expire(state, id, now),
        Due::TimedOut => time_out(state, id, now, mint),
        Due::SuspensionTimedOut => time_out_suspension(state, id, now),
        Due::OutOfReclaims => give_up(state, id, now),
        Due::Lapsed | Due::Ready => {
            let (row, index, _) = state.parts(id)?;
            let place = Place::promoted(&row.record);
            index.place(row, place);
            Ok(())
        }
        Due::NotYet => Ok(()),
    }
}

/// Fails an attempt that ran out of its time: a retry follows by the rule, or else the execution expires.
fn time_out(state: &mut State, id: &ExecutionId, now: TimestampMs, mint: &mut dyn Mint) -> Result<(), EngineError> {
    let failure = (ATTEMPT_TIMEOUT, FailureClass::Timeout.as_str());
    let decision = retry_decision(state, id, FailureClass::Timeout, failure.1, mint)?;
    let row = state.row_mut(id)?;
    row.record.failure_reason = Some(failure.0.to_owned());
    row.record.failure_category = Some(failure.1.to_owned());
    match decision {
        RetryDecision::RetryAfter(delay_ms) => {
            let reason = ReleaseReason::AttemptTimeoutRetryScheduled;
            schedule_retry(state, id, (failure, reason), None, delay_ms, now).map(drop)
        }
        RetryDecision::Terminal => {
            let ending = Ending {
                outcome: TerminalOutcome::Expired,
                phase: AttemptPhase::EndedFailure,
                failure: Some(failure),
                lease_event: (LeaseEventKind::Released, Some(ReleaseReason::AttemptTimeout)),
                ended_by: None,
                completed_at: now,
            };
            end(state, id, &ending, now)
        }
    }
}

/// Ends a suspension whose time-out has come, as its behaviour says.
pub(super) fn time_out_suspension(state: &mut State, id: &ExecutionId, now: TimestampMs) -> Result<(), EngineError> {
    let (row, index, _) = state.parts(id)?;
    let behavior = row.record.settle_suspension(now);
    let record = &mut row.record;
    let outcome = record.state.terminal_outcome;
    let Some(completed_at) = record.completed_at.filter(|_| outcome != TerminalOutcome::None) else {
        record.last_transition_at = now;
        record.last_mutation_at = now;
        let place = Place::of(row);
        index.place(row, place);
        return Ok(());
    };
    let reason = behavior.map(SuspensionRecord::timeout_reason).unwrap_or_default();
    let is_cancelled = outcome == TerminalOutcome::Cancelled;
    let ending = Ending {
        outcome,
        phase: if is_cancelled { AttemptPhase::EndedCancelled } else { AttemptPhase::EndedFailure },
        failure: Some((reason.as_str(), FailureClass::Timeout.as_str())).filter(|_| !is_cancelled),
        lease_event: (LeaseEventKind::Expired, None),
        ended_by: None,
        completed_at,
    };
    end(state, id, &ending, now)
}

/// Ends an execution whose deadline has come.
pub(super) fn expire(state: &mut State, id: &ExecutionId, now: TimestampMs) -> Result<(), EngineError> {
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
    let takeable = |rank: &&Rank| {
        state.execution(&rank.2).is_some_and(|row| !row.record.is_past_deadline(now)) && !state.passed.contains(&rank.2)
    };
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
    let label = state.label;
    let (row, index, events) = state.parts(id)?;
    let lease_epoch = LeaseEpoch(row.record.lease_epoch.0 + 1);
    #[cfg(feature = "flaws")]
    let lease_epoch = flaw::next_epoch(planted, row, lease_epoch);
    let (attempt_type, told, kind) = arrival(row);
    #[cfg(feature = "flaws")]
    let kind = flaw::kind(planted, kind);
    if row.record.state.ownership_state == OwnershipState::Leased {
        events.lease(row, LeaseEventKind::Expired, None, now);
    }
    if kind == HandleKind::Reclaimed {
        row.close_attempt(AttemptPhase::InterruptedReclaimed, None, now);
        row.record.lease_reclaim_count += 1;
    }
    let lease_id = mint.lease_id();
    let resumed = row.record.lease.as_ref().filter(|_| kind == HandleKind::Resumed).map(|lease| lease.attempt_id);
    let attempt_id = resumed.unwrap_or_else(|| mint.attempt_id());
    let fence = LeaseFence { lease_id, lease_epoch, attempt_id };
    let attempt_index = match resumed {
        Some(_) => resume_attempt(row, fence, policy, now)?,
        None => start_attempt(row, fence, attempt_type, policy, now),
    };
    row.attempt_timeout_at = after(row.attempt_timeout_ms, now);
    #[cfg(feature = "flaws")]
    (row.attempt_timeout_at = flaw::attempt_limit(planted, row.attempt_timeout_at));
    row.record.state = StateVector::leased();
    row.record.lease_epoch = fence.lease_epoch;
    row.record.lease = Some(LeaseRecord {
        lease_id: fence.lease_id,
        attempt_id: fence.attempt_id,
        attempt_index,
        worker_instance_id: policy.worker_instance_id.clone(),
        acquired_at: now,
        expires_at: lease_end(row, now.plus(lease_ttl)),
        last_renewed_at: None,
    });
    row.record.grant = None;
    row.record.delay_until = None;
    row.record.started_at = row.record.started_at.or(Some(now));
    row.record.last_transition_at = now;
    row.record.last_mutation_at = now;
    row.ended_by = None;
    events.lease(row, told, None, now);
    let place = Place::of(row);
    index.place(row, place);
    let payload = HandlePayload {
        execution_id: *id,
        attempt_index,
        fence,
        lease_ttl,
        lane_id: row.record.lane_id.clone(),
        worker_instance_id: policy.worker_instance_id.clone(),
    };
    Ok(payload.seal(BackendTag::try_new(label)?, kind))
}

/// How the work of a row comes to its next holder.
fn arrival(row: &StoredExecution) -> (AttemptType, LeaseEventKind, HandleKind) {
    let state = &row.record.state;
    if state.ownership_state != OwnershipState::Unowned {
        return (AttemptType::Reclaim, LeaseEventKind::Reclaimed, HandleKind::Reclaimed);
    }
    let attempt_type = match state.attempt_state {
        _ if row.attempts.is_empty() => AttemptType::Initial,
        AttemptState::PendingReplayAttempt => AttemptType::Replay,
        _ => AttemptType::Retry,
    };
    let kind =
        if state.attempt_state == AttemptState::AttemptInterrupted { HandleKind::Resumed } else { HandleKind::Fresh };
    (attempt_type, LeaseEventKind::Acquired, kind)
}

/// When a lease ends that would end at `expires_at`: no lease outlives its attempt.
pub(super) fn lease_end(row: &StoredExecution, expires_at: TimestampMs) -> TimestampMs {
    row.attempt_timeout_at.map_or(expires_at, |timeout| timeout.min(expires_at))
}

/// Takes up the latest attempt again, under another lease.
fn resume_attempt(
    row: &mut StoredExecution,
    fence: LeaseFence,
    policy: &ClaimPolicy,
    now: TimestampMs,
) -> Result<AttemptIndex, EngineError> {
    let attempt = row.attempts.last_mut().ok_or_else(|| EngineError::corrupt("interrupted without an attempt"))?;
    attempt.phase = AttemptPhase::Started;
    attempt.resumed_at = Some(now);
    attempt.lease_id = fence.lease_id;
    attempt.lease_epoch = fence.lease_epoch;
    attempt.worker_id = policy.worker_id.clone();
    attempt.worker_instance_id = Arc::new(policy.worker_instance_id.clone());
    Ok(attempt.attempt_index)
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
