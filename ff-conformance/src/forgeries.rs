//! Handles that no claim handed out: damaged, foreign, or with another fence.

use ff_core::{AttemptId, AttemptIndex, BackendTag, ExecutionId, Handle, HandlePayload, LeaseEpoch, LeaseId};

use crate::{Claimed, Stop};

/// The handle of `claimed` with its content changed.
pub(crate) fn altered(claimed: &Claimed, change: impl FnOnce(&mut HandlePayload)) -> Handle {
    let mut payload = claimed.payload.clone();
    change(&mut payload);
    payload.seal(claimed.handle.backend().clone(), claimed.handle.kind())
}

/// The handle of `claimed` for another execution.
pub(crate) fn naming(claimed: &Claimed, id: ExecutionId) -> Handle {
    altered(claimed, |payload| payload.execution_id = id)
}

/// The handle of `claimed` with one part of the fence changed, for each part.
pub(crate) fn near_fences(claimed: &Claimed) -> Vec<Handle> {
    let epoch = claimed.payload.fence.lease_epoch.0;
    vec![
        altered(claimed, |payload| payload.fence.lease_id = LeaseId::new()),
        altered(claimed, |payload| payload.fence.attempt_id = AttemptId::new()),
        altered(claimed, |payload| payload.fence.lease_epoch = LeaseEpoch(epoch + 1)),
        altered(claimed, |payload| payload.fence.lease_epoch = LeaseEpoch(epoch - 1)),
    ]
}

/// The handle of `claimed` with another attempt index.
pub(crate) fn other_attempt_index(claimed: &Claimed) -> Handle {
    altered(claimed, |payload| payload.attempt_index = AttemptIndex(payload.attempt_index.0 + 1))
}

/// Handles with the label of another backend: outside, inside, and both.
pub(crate) fn foreign(claimed: &Claimed) -> Result<Vec<Handle>, Stop> {
    let (own, kind) = (claimed.handle.backend().clone(), claimed.handle.kind());
    let other = BackendTag::try_new("elsewhere")?;
    let sealed = claimed.payload.seal(other.clone(), kind);
    Ok(vec![
        Handle::from_parts(other, kind, claimed.handle.opaque().to_vec()),
        Handle::from_parts(own, kind, sealed.opaque().to_vec()),
        sealed,
    ])
}

/// Handles that cannot be decoded: empty, cut short, with a byte too much, of an unknown version, without sense.
pub(crate) fn damaged(claimed: &Claimed) -> Vec<Handle> {
    let whole = claimed.handle.opaque();
    let version = [&[0xff, 0xff], whole.get(2..).unwrap_or_default()].concat();
    let cut = whole.get(..whole.len() / 2).unwrap_or_default().to_vec();
    [Vec::new(), cut, [whole, &[0]].concat(), version, b"not a handle".to_vec()]
        .into_iter()
        .map(|opaque| Handle::from_parts(claimed.handle.backend().clone(), claimed.handle.kind(), opaque))
        .collect()
}
