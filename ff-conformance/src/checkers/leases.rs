//! Lease exclusion: the leases of one execution follow one another, epoch by epoch, and an old one is worth nothing.

use std::collections::BTreeMap;

use ff_core::{ExecutionId, LeaseEventKind};

use super::{Calls, Finding};

const NAME: &str = "lease exclusion";

pub(super) fn check(calls: &Calls<'_>) -> Option<Finding> {
    history(calls).or_else(|| old_holders(calls))
}

/// By the log: each lease ends before the next begins, and the epoch grows by one.
fn history(calls: &Calls<'_>) -> Option<Finding> {
    let mut latest: BTreeMap<ExecutionId, (u64, bool)> = BTreeMap::new();
    for event in &calls.burst.log.leases {
        let (id, epoch) = (event.execution_id, event.lease_epoch.0);
        let (last, is_live) = latest.get(&id).copied().unwrap_or((0, false));
        let begins = matches!(event.kind, LeaseEventKind::Acquired | LeaseEventKind::Reclaimed);
        if begins && is_live {
            let text = format!("{id}: epoch {epoch} began while epoch {last} was live");
            return Some(Finding::new("FF-LSE-001", NAME, text));
        }
        if begins && epoch != last + 1 {
            let text = format!("{id}: epoch {epoch} followed epoch {last}");
            return Some(Finding::new("FF-LSE-002", NAME, text));
        }
        if !begins && (!is_live || epoch != last) && event.kind != LeaseEventKind::Revoked {
            let text = format!("{id}: the end of epoch {epoch} was told, and epoch {last} is the latest");
            return Some(Finding::new("FF-LSE-003", NAME, text));
        }
        latest.insert(id, (epoch, begins));
    }
    None
}

/// By the answers: whoever was told of a lease before a call began makes the calls of older leases fail.
fn old_holders(calls: &Calls<'_>) -> Option<Finding> {
    let handed_out = calls.handed_out();
    for (granted, op, held) in calls.granted() {
        let newer = handed_out.iter().find(|(claim, newer)| {
            newer.execution_id == held.execution_id
                && newer.fence.lease_epoch > held.fence.lease_epoch
                && claim.returned.is_some_and(|told| told < granted.invoked)
        });
        if let Some((_, newer)) = newer {
            let (id, old, new) = (held.execution_id, held.fence.lease_epoch.0, newer.fence.lease_epoch.0);
            let operation = op.operation().as_str();
            let text = format!("{id}: {operation} of epoch {old} was granted after epoch {new} had been handed out");
            return Some(Finding::new("FF-LSE-004", NAME, text));
        }
    }
    None
}
