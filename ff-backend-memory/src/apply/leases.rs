//! The time-bound right to work: how it is extended.

use ff_core::{EngineError, Handle, LeaseRenewal, Operation, TimestampMs};

use super::{Fenced, claims::lease_end, fence};
use crate::{Place, State};

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
