//! Claims as a queue that hands out everything once: nothing lost, doubled, or from nowhere.

use std::collections::{BTreeMap, BTreeSet};

use ff_backend_memory::{Obs, Op};
use ff_core::{LeaseEventKind, LeaseId, WorkerInstanceId};

use super::{Calls, Finding};

const NAME: &str = "claims";

pub(super) fn check(calls: &Calls<'_>) -> Option<Finding> {
    let handed_out = calls.handed_out();
    let mut holders = BTreeMap::new();
    for (recorded, held) in &handed_out {
        let (id, epoch) = (held.execution_id, held.fence.lease_epoch.0);
        if let Some(other) = holders.insert((id, epoch), recorded.client) {
            let text =
                format!("doubled: {id} in epoch {epoch} went to client {other} and to client {}", recorded.client);
            return Some(Finding::new("FF-LSE-001", NAME, text));
        }
    }
    let begins = |kind| matches!(kind, LeaseEventKind::Acquired | LeaseEventKind::Reclaimed);
    let logged: BTreeSet<LeaseId> =
        calls.burst.log.leases.iter().filter(|event| begins(event.kind)).map(|event| event.lease_id).collect();
    if let Some((_, held)) = handed_out.iter().find(|(_, held)| !logged.contains(&held.fence.lease_id)) {
        let (id, epoch) = (held.execution_id, held.fence.lease_epoch.0);
        let text = format!("lost: {id} was handed out in epoch {epoch}, and the lease history does not know it");
        return Some(Finding::new("FF-LSE-003", NAME, text));
    }
    let known: BTreeSet<LeaseId> = handed_out.iter().map(|(_, held)| held.fence.lease_id).collect();
    let recovered = lost(calls);
    let unexpected = calls.burst.log.leases.iter().find(|event| {
        begins(event.kind) && !known.contains(&event.lease_id) && !recovered.contains(&event.worker_instance_id)
    });
    unexpected.map(|event| {
        let (id, epoch, process) = (event.execution_id, event.lease_epoch.0, &event.worker_instance_id);
        let text = format!("unexpected: {id} was taken in epoch {epoch} by {process}, who was not told");
        Finding::new("FF-CLM-004", NAME, text)
    })
}

/// The worker processes of the claims whose answers were lost.
fn lost(calls: &Calls<'_>) -> BTreeSet<WorkerInstanceId> {
    let process = |op: &Op| match op {
        Op::Claim { policy, .. } | Op::ClaimMany { policy, .. } | Op::CompleteAndClaim { policy, .. } => {
            Some(policy.worker_instance_id.clone())
        }
        Op::ClaimExecution(args) | Op::ClaimResumedExecution(args) => Some(args.worker_instance_id.clone()),
        Op::ClaimFromReclaim(token) => Some(token.worker_instance_id.clone()),
        _ => None,
    };
    calls.all().filter(|(_, _, obs)| **obs == Obs::Lost).filter_map(|(_, op, _)| process(op)).collect()
}
