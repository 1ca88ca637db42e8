//! Reservations: a row is kept for one worker process until it is redeemed or its time is over.

use std::time::Duration;

use ff_core::{
    AttemptType, BackendTag, CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs,
    ClaimForWorkerOutcome, ClaimGrant, ClaimPolicy, ContentionKind, EligibilityState, EngineError, ExecutionId,
    GrantRecord, Handle, HandleKind, HandlePayload, LeaseEventKind, OwnershipState, Redeeming, StateVector,
    TimestampMs, UnclaimedReason,
};

use super::{arrival, pick, promote, take};
#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{Mint, Place, State, StoredExecution};

pub(in crate::apply) fn claim_for_worker(
    state: &mut State,
    args: &ClaimForWorkerArgs,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<ClaimForWorkerOutcome, EngineError> {
    let life = args.checked_ttl_ms();
    #[cfg(feature = "flaws")]
    let life = flaw::grant_life(state, life);
    let expires_at = now.plus(Duration::from_millis(life?));
    promote(state, &args.lane_id, now, mint)?;
    let offered = &args.worker_capabilities;
    #[cfg(feature = "flaws")]
    let offered = &flaw::offered(state, offered);
    let Some(id) = pick(state, &args.lane_id, offered, now) else {
        return Ok(ClaimForWorkerOutcome::NoWork);
    };
    #[cfg(feature = "flaws")]
    let planted = state.flaw;
    let (row, index, events) = state.parts(&id)?;
    // What time has done to the row is written down, so that the grant is all that it waits for.
    if row.record.state.ownership_state == OwnershipState::Leased {
        events.lease(row, LeaseEventKind::Expired, None, now);
        row.record.state = StateVector::lapsed();
        row.record.last_transition_at = now;
        #[cfg(feature = "flaws")]
        flaw::lapse_written(planted, row);
    } else if row.record.state.eligibility_state == EligibilityState::NotEligibleUntilTime {
        row.record.state = StateVector::eligible(row.record.state.attempt_state);
    }
    let grant_key = mint.grant_key();
    row.record.grant = Some(GrantRecord {
        grant_key,
        worker_id: args.worker_id.clone(),
        worker_instance_id: args.worker_instance_id.clone(),
        expires_at,
        redeemed: false,
    });
    row.record.last_mutation_at = now;
    let place = Place::of(row);
    #[cfg(feature = "flaws")]
    let place = flaw::reserved(planted, row, place);
    index.place(row, place);
    let lane_id = row.record.lane_id.clone();
    Ok(ClaimForWorkerOutcome::Granted(ClaimGrant { execution_id: id, grant_key, expires_at, lane_id }))
}

pub(in crate::apply) fn claim_execution(
    state: &mut State,
    args: &ClaimExecutionArgs,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<ClaimExecutionResult, EngineError> {
    redeem(state, args, Redeemable::Any, now, mint).map(ClaimExecutionResult::Claimed)
}

pub(in crate::apply) fn claim_from_reclaim(
    state: &mut State,
    token: &ClaimExecutionArgs,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<Option<Handle>, EngineError> {
    match redeem(state, token, Redeemable::Any, now, mint) {
        Err(EngineError::Contention(ContentionKind::ExecutionNotLeaseable | ContentionKind::LeaseConflict)) => Ok(None),
        answer => answer.map(Some),
    }
}

pub(in crate::apply) fn claim_resumed_execution(
    state: &mut State,
    args: &ClaimExecutionArgs,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<ClaimExecutionResult, EngineError> {
    redeem(state, args, Redeemable::Interrupted, now, mint).map(ClaimExecutionResult::Claimed)
}

pub(in crate::apply) fn explain_unclaimed(
    state: &State,
    id: &ExecutionId,
    capabilities: &CapabilitySet,
    now: TimestampMs,
) -> Result<Option<UnclaimedReason>, EngineError> {
    id.check_partition(state.limits.partitions)?;
    let reason = state.execution(id).map(|row| row.record.unclaimed_reason(&row.required, capabilities, now));
    #[cfg(feature = "flaws")]
    let reason = reason.map(|reason| flaw::explained(state, reason));
    Ok(reason)
}

/// What work a grant may be redeemed for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Redeemable {
    Any,
    /// An attempt that was interrupted by a delay, a wait or a suspension.
    Interrupted,
}

/// Hands the reserved row to the worker that the grant names, or returns the lease that it was handed.
fn redeem(
    state: &mut State,
    args: &ClaimExecutionArgs,
    redeemable: Redeemable,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<Handle, EngineError> {
    let lease_ttl = Duration::from_millis(args.check(&state.limits)?);
    #[cfg(feature = "flaws")]
    let lease_ttl = flaw::redeemed_life(state, lease_ttl);
    let (id, worker) = (args.grant.execution_id, (&args.worker_id, &args.worker_instance_id));
    let row = state.row(&id)?;
    let verdict = row.record.check_grant(&args.grant.grant_key, worker, now);
    #[cfg(feature = "flaws")]
    let verdict = flaw::redeeming(state.flaw, row, args, now, verdict);
    let is_taken = matches!(
        verdict,
        Err(EngineError::Contention(ContentionKind::ExecutionNotLeaseable | ContentionKind::LeaseConflict))
    );
    let kind = if verdict == Ok(Redeeming::Repeated) { latest_kind(row) } else { arrival(row).2 };
    let interrupted = redeemable == Redeemable::Interrupted;
    #[cfg(feature = "flaws")]
    let interrupted = flaw::asks_for_interrupted(state, interrupted);
    if interrupted && kind != HandleKind::Resumed && !is_taken {
        return Err(EngineError::Contention(ContentionKind::NotAResumedExecution));
    }
    match verdict? {
        Redeeming::Repeated => repeated(row, kind, lease_ttl, state.label),
        Redeeming::First => {
            let redeemed = row.record.grant.clone().map(|grant| GrantRecord { redeemed: true, ..grant });
            let policy = ClaimPolicy::new(args.worker_id.clone(), args.worker_instance_id.clone(), lease_ttl);
            let handle = take(state, &id, &policy, lease_ttl, now, mint)?;
            state.row_mut(&id)?.record.grant = redeemed;
            Ok(handle)
        }
    }
}

/// How the latest lease came to its holder.
fn latest_kind(row: &StoredExecution) -> HandleKind {
    match row.attempts.last() {
        Some(attempt) if attempt.resumed_at.is_some() => HandleKind::Resumed,
        Some(attempt) if attempt.attempt_type == AttemptType::Reclaim => HandleKind::Reclaimed,
        _ => HandleKind::Fresh,
    }
}

/// The handle of the latest lease, as it was handed out.
fn repeated(row: &StoredExecution, kind: HandleKind, lease_ttl: Duration, label: &str) -> Result<Handle, EngineError> {
    let record = &row.record;
    let (Some(lease), Some(fence)) = (&record.lease, record.fence()) else {
        return Err(EngineError::corrupt("leased without a lease"));
    };
    let payload = HandlePayload {
        execution_id: record.execution_id,
        attempt_index: lease.attempt_index,
        fence,
        lease_ttl,
        lane_id: record.lane_id.clone(),
        worker_instance_id: lease.worker_instance_id.clone(),
    };
    Ok(payload.seal(BackendTag::try_new(label)?, kind))
}
