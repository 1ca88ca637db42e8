//! What a store with a fault does as work goes from one holder to the next.

use std::time::Duration;

use ff_core::{
    CapabilitySet, ClaimExecutionArgs, ContentionKind, EngineError, HandleKind, Operation, Redeeming, TimestampMs,
    UnclaimedReason, ValidationKind,
};

use super::Flaw;
use crate::{Place, State, StoredExecution};

const LATE: Duration = Duration::from_millis(1);

/// XP: whether a create is refused for its policy.
pub(crate) fn checked(state: &State, checked: Result<(), EngineError>) -> Result<(), EngineError> {
    match checked {
        Err(EngineError::Validation { kind: ValidationKind::InvalidPolicyJson, .. })
            if state.flaw == Some(Flaw::Xp) =>
        {
            Ok(())
        }
        checked => checked,
    }
}

/// XD: what a create stores.
pub(crate) fn created(state: &State, row: &mut StoredExecution) {
    if state.flaw == Some(Flaw::Xd) && row.deadline_after_ms.is_some() {
        row.record.execution_deadline_at = None;
    }
}

/// DL: until when work waits whose holder gave it back.
pub(crate) fn given_back(state: &State, by: Option<Operation>, until: TimestampMs) -> TimestampMs {
    let given_back = matches!(by, Some(Operation::Delay | Operation::WaitChildren));
    if state.flaw == Some(Flaw::Dl) && given_back { until.plus(LATE) } else { until }
}

/// RS: what the work is for its next holder.
pub(crate) fn kind(planted: Option<Flaw>, kind: HandleKind) -> HandleKind {
    if planted == Some(Flaw::Rs) && kind == HandleKind::Resumed { HandleKind::Fresh } else { kind }
}

/// TL: when the attempt of a new lease runs out of time.
pub(crate) fn attempt_limit(planted: Option<Flaw>, limit: Option<TimestampMs>) -> Option<TimestampMs> {
    limit.filter(|_| planted != Some(Flaw::Tl))
}

/// GT: the life of a grant.
pub(crate) fn grant_life(state: &State, life: Result<u64, EngineError>) -> Result<u64, EngineError> {
    if state.flaw == Some(Flaw::Gt) { Ok(life.unwrap_or(1)) } else { life }
}

/// GC: what the worker of a reservation offers.
pub(crate) fn offered(state: &State, offered: &CapabilitySet) -> CapabilitySet {
    if state.flaw == Some(Flaw::Gc) { CapabilitySet::default() } else { offered.clone() }
}

/// GX: what a reservation writes down of a lapsed lease.
pub(crate) fn lapse_written(planted: Option<Flaw>, row: &mut StoredExecution) {
    if planted == Some(Flaw::Gx) {
        row.record.last_transition_at = row.record.created_at;
    }
}

/// GV, GL: where a reserved row stands.
pub(crate) fn reserved(planted: Option<Flaw>, row: &StoredExecution, place: Place) -> Place {
    match planted {
        Some(Flaw::Gv) => Place::promoted(&row.record),
        Some(Flaw::Gl) => Place { due_at: row.record.execution_deadline_at, ..place },
        _ => place,
    }
}

/// GW, GR, GE: whether a grant is redeemed.
pub(crate) fn redeeming(
    planted: Option<Flaw>,
    row: &StoredExecution,
    args: &ClaimExecutionArgs,
    now: TimestampMs,
    verdict: Result<Redeeming, EngineError>,
) -> Result<Redeeming, EngineError> {
    let refused = |kind: ContentionKind| Err(EngineError::Contention(kind));
    match (planted, &row.record.grant) {
        (Some(Flaw::Gw), Some(grant)) if verdict == refused(ContentionKind::InvalidClaimGrant) => {
            let named = (&grant.worker_id, &grant.worker_instance_id);
            row.record.check_grant(&args.grant.grant_key, named, now)
        }
        (Some(Flaw::Gr), _) if verdict == Ok(Redeeming::Repeated) => refused(ContentionKind::LeaseConflict),
        (Some(Flaw::Ge), _) if verdict == refused(ContentionKind::ExecutionNotLeaseable) => {
            refused(ContentionKind::InvalidClaimGrant)
        }
        _ => verdict,
    }
}

/// GI: whether only an interrupted attempt is redeemed where only such a one was asked for.
pub(crate) fn asks_for_interrupted(state: &State, asks: bool) -> bool {
    asks && state.flaw != Some(Flaw::Gi)
}

/// GK: the life of a lease that came from a grant.
pub(crate) fn redeemed_life(state: &State, life: Duration) -> Duration {
    if state.flaw == Some(Flaw::Gk) { life + LATE } else { life }
}

/// GU: why a worker has not got an execution.
pub(crate) fn explained(state: &State, reason: UnclaimedReason) -> UnclaimedReason {
    match reason {
        UnclaimedReason::Reserved { .. } if state.flaw == Some(Flaw::Gu) => UnclaimedReason::Claimable,
        reason => reason,
    }
}
