//! Suspended work: what is suspended, listed and open agree, deliveries are told, and nothing shows a secret.

use std::sync::Arc;

use ff_core::{
    Capability, EngineBackend, ExecutionInfo, LeaseEventKind, LifecyclePhase, ListPendingWaitpointsArgs, PageLimit,
    PendingWaitpointInfo, ReleaseReason, SignalDeliveryEffect, SuspendedExecutionEntry, WaitpointState,
};

use super::{History, Reads, World, holds};
use crate::{Cx, Stop, Verdict, check};

/// All suspended executions, page by page.
pub(super) async fn walk(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Vec<SuspendedExecutionEntry>, Stop> {
    let mut entries: Vec<SuspendedExecutionEntry> = Vec::new();
    let mut cursor = None;
    loop {
        let page = client.list_suspended(cursor, PageLimit::new(3)?).await?;
        let last = page.entries.last().map(SuspendedExecutionEntry::cursor);
        entries.extend(page.entries);
        let rises = entries.is_sorted_by(|a, b| a.cursor() < b.cursor());
        check!(cx, "FF-WPT-022", &entries, holds("entries rise over all pages", rises));
        match page.next_cursor {
            None => return Ok(entries),
            next => {
                check!(cx, "FF-WPT-022", (next, last), holds("a cursor is the last of its page", next == last));
                cursor = next;
            }
        }
    }
}

/// The open waitpoints of an execution, where the store has them.
pub(super) async fn open(
    client: &Arc<dyn EngineBackend>,
    info: &ExecutionInfo,
) -> Result<Option<Vec<PendingWaitpointInfo>>, Stop> {
    if !client.capabilities().supports.has(Capability::Waitpoints) {
        return Ok(None);
    }
    let page = client.list_pending_waitpoints(ListPendingWaitpointsArgs::new(info.execution_id)).await?;
    Ok(Some(page.waitpoints))
}

pub(super) fn check(cx: &Cx, world: &World) -> Verdict {
    for reads in &world.reads {
        suspended(cx, world, reads)?;
        waitpoints(cx, world, reads)?;
    }
    for (reads, history) in world.told() {
        leases(cx, reads, &history)?;
        deliveries(cx, world, reads, &history)?;
    }
    secrets(cx, world)
}

/// What is suspended is listed, and nothing else is.
fn suspended(cx: &Cx, world: &World, reads: &Reads) -> Verdict {
    let (id, is_suspended) = (reads.info.execution_id, reads.info.state.lifecycle_phase == LifecyclePhase::Suspended);
    if let Some(entries) = &world.suspended {
        let count = entries.iter().filter(|entry| entry.execution_id == id).count();
        let fits = count == usize::from(is_suspended);
        check!(cx, "FF-WPT-001", (id, reads.info.state, count), holds("it is listed iff it is suspended", fits));
    }
    let waitpoint = reads.snapshot.current_waitpoint;
    let found = (id, reads.info.state, waitpoint);
    check!(cx, "FF-WPT-001", found, holds("a current waitpoint iff suspended", waitpoint.is_some() == is_suspended));
    Ok(())
}

/// Active waitpoints are those of what is suspended, pending ones of an attempt that goes on.
fn waitpoints(cx: &Cx, world: &World, reads: &Reads) -> Verdict {
    let Some(open) = &reads.waitpoints else { return Ok(()) };
    let (id, state) = (reads.info.execution_id, reads.info.state);
    let active: Vec<_> = open.iter().filter(|waitpoint| waitpoint.state == WaitpointState::Active).collect();
    let is_suspended = state.lifecycle_phase == LifecyclePhase::Suspended;
    let found = (id, state, &active);
    check!(
        cx,
        "FF-WPT-009",
        found,
        holds("a waitpoint is active iff it is suspended", active.is_empty() != is_suspended)
    );
    let current = reads.snapshot.current_waitpoint;
    let fits = current.is_none_or(|current| active.iter().any(|waitpoint| waitpoint.waitpoint_id == current));
    check!(cx, "FF-WPT-001", (id, current, &active), holds("the current waitpoint is active", fits));
    let ended = state.lifecycle_phase == LifecyclePhase::Terminal;
    check!(cx, "FF-WPT-009", (id, state, open), holds("nothing is open once it has ended", !ended || open.is_empty()));
    check!(cx, "FF-WPT-023", open, holds("ids rise", open.is_sorted_by(|a, b| a.waitpoint_id < b.waitpoint_id)));
    let fits = open.iter().all(|waitpoint| {
        let is_active = waitpoint.state == WaitpointState::Active;
        let ahead = waitpoint.expires_at.is_none_or(|end| world.now.is_none_or(|now| !end.has_come(now)));
        waitpoint.execution_id == id
            && waitpoint.activated_at.is_some() == is_active
            && waitpoint.token_fingerprint.len() == 16
            && ahead
    });
    check!(cx, "FF-WPT-023", open, holds("each is of the execution, with what its state has", fits));
    Ok(())
}

/// What is suspended gave its lease back, and only that.
fn leases(cx: &Cx, reads: &Reads, history: &History) -> Verdict {
    let last = history.leases.last();
    let suspends = |reason| reason == Some(ReleaseReason::Suspend);
    let fits = reads.info.state.lifecycle_phase != LifecyclePhase::Suspended
        || last.is_some_and(|event| event.kind == LeaseEventKind::Released && suspends(event.reason));
    let found = (reads.info.execution_id, reads.info.state, last);
    check!(cx, "FF-WPT-001", found, holds("a suspension gave its lease back", fits));
    Ok(())
}

/// A delivery is told in the namespace of its execution, in order; a repeat follows the first.
fn deliveries(cx: &Cx, world: &World, reads: &Reads, history: &History) -> Verdict {
    let (id, events) = (reads.info.execution_id, &history.signals);
    let elsewhere = events.iter().find(|event| event.namespace != reads.info.namespace);
    check!(cx, "FF-WPT-027", (id, elsewhere), holds("events have its namespace", elsewhere.is_none()));
    let fits = events.iter().zip(events.iter().skip(1)).all(|(event, next)| world.in_order(event.at, next.at));
    check!(cx, "FF-WPT-027", (id, events), holds("events are told in order", fits));
    for (number, event) in events.iter().enumerate() {
        let same = |other: &&ff_core::SignalDeliveryEvent| {
            (other.waitpoint_id, other.signal_id) == (event.waitpoint_id, event.signal_id)
                && other.effect != SignalDeliveryEffect::Deduped
        };
        let first = events[..number].iter().any(|other| same(&other));
        let fits = first == (event.effect == SignalDeliveryEffect::Deduped);
        check!(cx, "FF-WPT-008", (id, event), holds("a signal is accepted once at a waitpoint", fits));
    }
    let satisfied = events.iter().filter(|event| event.effect == SignalDeliveryEffect::Satisfied).count();
    let suspensions = history.leases.iter().filter(|event| event.reason == Some(ReleaseReason::Suspend)).count();
    let found = (id, satisfied, suspensions);
    check!(cx, "FF-WPT-004", found, holds("one signal at most ends a suspension", satisfied <= suspensions));
    Ok(())
}

/// What the time-out of a suspension leaves behind.
pub(super) fn ends(cx: &Cx, world: &World, reads: &Reads) -> Verdict {
    let info = &reads.info;
    let found = (info.execution_id, info.state, info.completed_at, info.execution_deadline_at);
    let before = info
        .execution_deadline_at
        .is_none_or(|deadline| info.completed_at.is_some_and(|at| at < deadline) || !world.slack.is_zero());
    check!(cx, "FF-WPT-010", found, holds("it ended before its deadline", before));
    let has_come = info.completed_at.is_some_and(|at| world.now.is_none_or(|now| world.in_order(at, now)));
    check!(cx, "FF-WPT-010", found, holds("it ended at an instant that has come", has_come));
    Ok(())
}

/// No call and no event of the case shows a token or a secret.
fn secrets(cx: &Cx, world: &World) -> Verdict {
    check!(cx, "FF-WPT-018", cx.leak(), holds("no call shows a token or a secret", cx.leak().is_none()));
    let Some(dump) = &world.dump else { return Ok(()) };
    let told = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        dump.lease_history, dump.completions, dump.operator_events, dump.signal_deliveries, world.suspended
    );
    let waitpoints: Vec<_> = world.reads.iter().map(|reads| &reads.waitpoints).collect();
    let shown = cx.shows_a_secret(&told) || cx.shows_a_secret(&format!("{waitpoints:?}"));
    check!(cx, "FF-WPT-018", shown, holds("no event and no listing shows a token or a secret", !shown));
    Ok(())
}
