//! Leases: one at a time, each with its epoch, its start and one end.

use ff_core::{LeaseEventKind, LeaseHistoryEvent, LifecyclePhase, OwnershipState, ReleaseReason, TerminalOutcome};

use super::{History, Reads, World, holds};
use crate::{Cx, Verdict, check};

pub(super) fn check(cx: &Cx, world: &World) -> Verdict {
    for history in world.histories.values() {
        alternate(cx, world, &history.leases)?;
    }
    for (reads, history) in world.told() {
        count(cx, reads, &history.leases)?;
        stands_as_told(cx, reads, &history)?;
    }
    Ok(())
}

const fn is_acquisition(event: &LeaseHistoryEvent) -> bool {
    matches!(event.kind, LeaseEventKind::Acquired | LeaseEventKind::Reclaimed)
}

/// The reasons that end an execution with its lease, and how.
const fn ends_with(reason: ReleaseReason) -> Option<TerminalOutcome> {
    match reason {
        ReleaseReason::Completed => Some(TerminalOutcome::Success),
        ReleaseReason::FailedTerminal | ReleaseReason::MaxReclaimsExceeded => Some(TerminalOutcome::Failed),
        ReleaseReason::Cancelled => Some(TerminalOutcome::Cancelled),
        ReleaseReason::AttemptTimeout | ReleaseReason::ExecutionDeadline => Some(TerminalOutcome::Expired),
        ReleaseReason::FailedRetryScheduled
        | ReleaseReason::AttemptTimeoutRetryScheduled
        | ReleaseReason::WorkerDelay
        | ReleaseReason::WaitingChildren
        | ReleaseReason::Operator => None,
    }
}

/// Acquisitions and ends take turns; every end is that of the lease before.
fn alternate(cx: &Cx, world: &World, events: &[LeaseHistoryEvent]) -> Verdict {
    let mut epochs = 0;
    for (number, event) in events.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|last| events.get(last));
        let held = before.filter(|before| is_acquisition(before));
        if is_acquisition(event) {
            epochs += 1;
            check!(cx, "FF-LSE-001", (before, event), holds("one lease ends before the next begins", held.is_none()));
            let found = (epochs, event);
            check!(cx, "FF-LSE-002", found, holds("epochs grow by one", event.lease_epoch.0 == epochs));
            follows(cx, before, event)?;
            let twice = events[..number].iter().any(|other| other.lease_id == event.lease_id);
            check!(cx, "FF-LSE-002", event, holds("every lease has an id of its own", !twice));
        } else {
            let same = held.is_some_and(|held| {
                (held.lease_id, held.lease_epoch, held.attempt_index)
                    == (event.lease_id, event.lease_epoch, event.attempt_index)
                    && held.worker_instance_id == event.worker_instance_id
            });
            check!(cx, "FF-LSE-003", (before, event), holds("an end is that of the lease held, once", same));
        }
        let fits = match (event.kind, event.reason) {
            (LeaseEventKind::Released, Some(reason)) => reason != ReleaseReason::MaxReclaimsExceeded,
            (LeaseEventKind::Revoked, reason) => reason.is_some(),
            (LeaseEventKind::Acquired | LeaseEventKind::Reclaimed | LeaseEventKind::Expired, reason) => {
                reason.is_none()
            }
            (LeaseEventKind::Released, None) => false,
        };
        check!(cx, "FF-LSE-011", event, holds("it has the reason of its kind", fits));
        let fits = before.is_none_or(|before| world.in_order(before.at, event.at));
        check!(cx, "FF-LSE-011", (before, event), holds("events are told in order", fits));
        let over = before.and_then(|before| before.reason).and_then(ends_with);
        check!(cx, "FF-LSE-007", (before, event), holds("nothing follows the end of the execution", over.is_none()));
    }
    Ok(())
}

/// A take-over follows the lapse that it is told with; another acquisition follows a retry or nothing.
fn follows(cx: &Cx, before: Option<&LeaseHistoryEvent>, event: &LeaseHistoryEvent) -> Verdict {
    let reason = before.and_then(|before| before.reason);
    let fits = match (event.kind, before.map(|before| before.kind)) {
        (LeaseEventKind::Reclaimed, Some(LeaseEventKind::Expired | LeaseEventKind::Revoked)) => true,
        (LeaseEventKind::Acquired, None) => true,
        (LeaseEventKind::Acquired, Some(LeaseEventKind::Released)) => {
            reason.is_some_and(|reason| ends_with(reason).is_none())
        }
        _ => false,
    };
    check!(cx, "FF-LSE-015", (before, event), holds("a take-over follows a lapse, nothing else does", fits));
    Ok(())
}

/// The epoch counts the acquisitions.
fn count(cx: &Cx, reads: &Reads, events: &[LeaseHistoryEvent]) -> Verdict {
    let info = &reads.info;
    let count = events.iter().filter(|event| is_acquisition(event)).count();
    let fits = u64::try_from(count) == Ok(info.current_lease_epoch.0);
    let found = (info.execution_id, info.current_lease_epoch, count);
    check!(cx, "FF-LSE-003", found, holds("the epoch counts the acquisitions", fits));
    let elsewhere = events.iter().find(|event| event.namespace != info.namespace);
    check!(cx, "FF-LSE-011", (elsewhere, &info.namespace), holds("events have its namespace", elsewhere.is_none()));
    Ok(())
}

/// The history ends where the execution stands.
fn stands_as_told(cx: &Cx, reads: &Reads, history: &History) -> Verdict {
    let info = &reads.info;
    let (id, state) = (info.execution_id, info.state);
    let last = history.leases.last();
    let held = last.filter(|event| is_acquisition(event));
    if let Some(lease) = &reads.snapshot.current_lease {
        let fits = held.is_some_and(|event| {
            (event.lease_id, event.lease_epoch, event.attempt_index, event.at)
                == (lease.lease_id, lease.lease_epoch, lease.attempt_index, lease.acquired_at)
                && event.worker_instance_id == lease.worker_instance_id
        });
        check!(cx, "FF-LSE-003", (id, lease, last), holds("the live lease is the one acquired last", fits));
    }
    let unwritten = history.completions.is_empty();
    let fits = match (state.lifecycle_phase, state.ownership_state) {
        (LifecyclePhase::Active, OwnershipState::Leased) => held.is_some(),
        // Whoever writes a lapse down first tells of it.
        (LifecyclePhase::Active, OwnershipState::LeaseExpiredReclaimable) => {
            held.is_some() || last.is_some_and(|event| event.kind == LeaseEventKind::Expired)
        }
        (LifecyclePhase::Terminal, _) if state.terminal_outcome == TerminalOutcome::Expired => {
            held.is_none() || unwritten
        }
        _ => held.is_none(),
    };
    check!(cx, "FF-LSE-001", (id, state, last), holds("a lease is held iff the state says so", fits));
    let ended = last.and_then(|event| event.reason).and_then(ends_with);
    let fits = ended.is_none_or(|outcome| outcome == state.terminal_outcome);
    check!(cx, "FF-LSE-007", (id, state, last), holds("the lease ended as the execution did", fits));
    let by_holder = matches!(
        state.terminal_outcome,
        TerminalOutcome::Success | TerminalOutcome::Failed | TerminalOutcome::Cancelled
    );
    check!(cx, "FF-LSE-003", (id, state, last), holds("the end gave the lease back", !by_holder || ended.is_some()));
    Ok(())
}
