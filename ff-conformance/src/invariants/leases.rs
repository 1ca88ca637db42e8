//! Leases: one at a time, each with its epoch, its start and one end.

use ff_core::{
    AttemptType, LeaseEventKind, LeaseHistoryEvent, LifecyclePhase, OwnershipState, ReleaseReason, TerminalOutcome,
};

use super::{History, Reads, Run, World, holds};
use crate::{Cx, Verdict, check};

pub(super) fn check(cx: &Cx, world: &World) -> Verdict {
    for history in world.histories.values() {
        alternate(cx, world, history)?;
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
        | ReleaseReason::Suspend
        | ReleaseReason::Operator => None,
    }
}

/// Acquisitions and ends take turns; every end is that of the lease before.
fn alternate(cx: &Cx, world: &World, history: &History) -> Verdict {
    let (events, mut epochs) = (&history.leases, 0);
    for (number, event) in events.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|last| events.get(last));
        let held = before.filter(|before| is_acquisition(before));
        if is_acquisition(event) {
            epochs += 1;
            check!(cx, "FF-LSE-001", (before, event), holds("one lease ends before the next begins", held.is_none()));
            let found = (epochs, event);
            check!(cx, "FF-LSE-002", found, holds("epochs grow by one", event.lease_epoch.0 == epochs));
            follows(cx, before, event, begins_run(history, before, event))?;
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
        let fits = over.is_none() || begins_run(history, before, event);
        check!(cx, "FF-LSE-007", (before, event), holds("only a replay follows the end of the execution", fits));
    }
    Ok(())
}

/// True if the acquisition is the first of a replay.
fn begins_run(history: &History, before: Option<&LeaseHistoryEvent>, event: &LeaseHistoryEvent) -> bool {
    let attempt = history.attempts.iter().find(|attempt| attempt.attempt_index == event.attempt_index);
    event.kind == LeaseEventKind::Acquired
        && attempt.is_some_and(|attempt| attempt.attempt_type == AttemptType::Replay)
        && before.is_some_and(|before| before.attempt_index != event.attempt_index)
}

/// A take-over follows the lapse that it is told with; another acquisition follows a retry, an end that was replayed or
/// nothing.
fn follows(cx: &Cx, before: Option<&LeaseHistoryEvent>, event: &LeaseHistoryEvent, replays: bool) -> Verdict {
    let reason = before.and_then(|before| before.reason);
    let fits = match (event.kind, before.map(|before| before.kind)) {
        (LeaseEventKind::Reclaimed, Some(LeaseEventKind::Expired | LeaseEventKind::Revoked)) => true,
        (LeaseEventKind::Acquired, None) => true,
        // What ended it may have been told of no lease.
        (
            LeaseEventKind::Acquired,
            Some(LeaseEventKind::Released | LeaseEventKind::Expired | LeaseEventKind::Revoked),
        ) if replays => true,
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
    let unwritten = history.is_untold();
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
    if !matches!(history.run(info), Run::Began(_)) {
        return Ok(());
    }
    let ended = last.and_then(|event| event.reason).and_then(ends_with);
    let fits = ended.is_none_or(|outcome| outcome == state.terminal_outcome);
    check!(cx, "FF-LSE-007", (id, state, last), holds("the lease ended as the execution did", fits));
    let fits = match state.terminal_outcome {
        TerminalOutcome::Success => ended.is_some(),
        // The claim that finds no reclaim left fails what was revoked or had been told as expired.
        TerminalOutcome::Failed => {
            ended.is_some()
                || info.failure_category.as_deref() == Some(ReleaseReason::MaxReclaimsExceeded.as_str())
                || reads.ended_suspended()
        }
        TerminalOutcome::Cancelled => ended.is_some() || info.cancelled_by.as_deref() != Some("worker"),
        TerminalOutcome::None | TerminalOutcome::Expired | TerminalOutcome::Skipped => true,
    };
    check!(cx, "FF-LSE-003", (id, state, last), holds("the end gave the lease back", fits));
    Ok(())
}
