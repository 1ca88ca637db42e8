//! The time-bound right to work: how it is extended, and how it is taken away.

use ff_core::{
    EngineError, Handle, LeaseEventKind, LeaseRenewal, Limits, Operation, OperatorEventKind, OwnershipState,
    ReleaseReason, RevokeLeaseArgs, RevokeLeaseResult, RevokeSkip, StateVector, TimestampMs,
};

use super::{Fenced, claims::lease_end, each, fence};
#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{Each, Place, State};

pub(super) fn renew(state: &mut State, handle: &Handle, now: TimestampMs) -> Result<LeaseRenewal, EngineError> {
    let Fenced::Held(held) = fence(state, handle, Operation::Renew, now)? else {
        return Err(EngineError::corrupt("a renewal never repeats"));
    };
    let (row, index, _) = state.parts(&held.execution_id)?;
    let expires_at = lease_end(row, now.plus(held.lease_ttl));
    let lease = row.record.lease.as_mut().ok_or_else(|| EngineError::corrupt("leased without a lease"))?;
    lease.expires_at = expires_at;
    lease.last_renewed_at = Some(now);
    let renewal = LeaseRenewal { expires_at: lease.expires_at, lease_epoch: row.record.lease_epoch };
    row.record.last_mutation_at = now;
    let place = Place::of(row);
    index.place(row, place);
    Ok(renewal)
}

pub(super) fn renew_many(
    state: &mut State,
    handles: &[Handle],
    now: TimestampMs,
) -> Result<Each<LeaseRenewal>, EngineError> {
    Limits::check_batch(handles.len(), 0)?;
    Ok(each(state, handles, |state, handle| renew(state, handle, now)))
}

pub(super) fn revoke_lease(
    state: &mut State,
    args: &RevokeLeaseArgs,
    now: TimestampMs,
) -> Result<RevokeLeaseResult, EngineError> {
    args.check(&state.limits)?;
    let (row, index, events) = state.parts(&args.execution_id)?;
    let ownership = row.record.check_active(now)?;
    let lease = row.record.lease.as_ref().ok_or_else(|| EngineError::corrupt("active without a lease"))?;
    let skip = if args.expected_lease_id.is_some_and(|expected| expected != lease.lease_id) {
        Some(RevokeSkip::LeaseIdMismatch)
    } else if args.worker_instance_id.as_ref().is_some_and(|expected| *expected != lease.worker_instance_id) {
        Some(RevokeSkip::DifferentWorkerInstanceId)
    } else {
        match ownership {
            OwnershipState::LeaseRevoked => Some(RevokeSkip::AlreadyRevoked),
            OwnershipState::LeaseExpiredReclaimable => Some(RevokeSkip::AlreadyExpired),
            OwnershipState::Unowned | OwnershipState::Leased => None,
        }
    };
    if let Some(reason) = skip {
        return Ok(RevokeLeaseResult::AlreadySatisfied { reason });
    }
    let answer = RevokeLeaseResult::Revoked { lease_id: lease.lease_id, lease_epoch: row.record.lease_epoch };
    row.record.state = StateVector::revoked();
    row.record.last_transition_at = now;
    row.record.last_mutation_at = now;
    events.lease(row, LeaseEventKind::Revoked, Some(ReleaseReason::Operator), now);
    events.operator(row, OperatorEventKind::LeaseRevoked, args.reason.clone(), now);
    let place = Place::of(row);
    index.place(row, place);
    #[cfg(feature = "flaws")]
    flaw::revoked(state, &args.execution_id);
    Ok(answer)
}
