//! Lease exclusion: the leases of one execution follow one another, epoch by epoch, and an old one is worth nothing.

use std::collections::BTreeMap;

use ff_core::{ExecutionId, LeaseEventKind, LeaseHistoryEvent};

use super::{Calls, Finding};

const NAME: &str = "lease exclusion";

pub(super) fn check(calls: &Calls<'_>) -> Option<Finding> {
    history(calls).or_else(|| early_lapses(calls)).or_else(|| old_holders(calls))
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

/// By both: no lease is told to have lapsed before its time, which its handle knows.
fn early_lapses(calls: &Calls<'_>) -> Option<Finding> {
    let lives: BTreeMap<_, _> =
        calls.handed_out().into_iter().map(|(_, held)| (held.fence.lease_id, held.lease_ttl)).collect();
    let log = &calls.burst.log.leases;
    let begins = log.iter().filter(|event| matches!(event.kind, LeaseEventKind::Acquired | LeaseEventKind::Reclaimed));
    let ends: BTreeMap<_, _> =
        begins.filter_map(|event| Some((event.lease_id, event.at.plus(*lives.get(&event.lease_id)?)))).collect();
    let is_early = |event: &&LeaseHistoryEvent| {
        event.kind == LeaseEventKind::Expired && ends.get(&event.lease_id).is_some_and(|end| event.at < *end)
    };
    log.iter().find(is_early).map(|event| {
        let (id, epoch) = (event.execution_id, event.lease_epoch.0);
        let text = format!("{id}: epoch {epoch} was told to have lapsed while it was live");
        Finding::new("FF-LSE-001", NAME, text)
    })
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
