//! Executions: their states fit, their reads agree, their instants are in order, their ends are told once.

use std::sync::Arc;

use ff_core::{
    BlockingReason, EligibilityState, EngineBackend, ExecutionId, LaneId, LeaseEventKind, LeaseHistoryEvent,
    LeaseStatus, LifecyclePhase, OperatorEventKind, OwnershipState, PageLimit, ReleaseReason, TerminalOutcome,
    TimestampMs,
};

use super::{History, Reads, Run, SMALL_WALK, World, holds, waitpoints};
use crate::{Cx, Stop, Verdict, check};

/// All executions, page by page; small numbers of them also by small pages.
pub(super) async fn walk(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Vec<ExecutionId>, Stop> {
    let ids = walk_by(cx, client, PageLimit::MAX).await?;
    if (1..=SMALL_WALK).contains(&ids.len()) {
        let small = walk_by(cx, client, PageLimit::new(7)?).await?;
        check!(cx, "FF-EXE-009", (&ids, &small), holds("pages of any size tell the same", ids == small));
    }
    let none = client.list_executions(None, PageLimit::new(0)?).await?;
    let empty = none.executions.is_empty() && none.next_cursor.is_none();
    check!(cx, "FF-EXE-026", none, holds("a limit of 0 is the empty page", empty));
    Ok(ids)
}

async fn walk_by(cx: &Cx, client: &Arc<dyn EngineBackend>, limit: PageLimit) -> Result<Vec<ExecutionId>, Stop> {
    let mut ids: Vec<ExecutionId> = Vec::new();
    let mut cursor = None;
    loop {
        let page = client.list_executions(cursor, limit).await?;
        let fits = page.executions.len() <= usize::from(limit.get());
        check!(cx, "FF-EXE-026", page.executions.len(), holds("a page keeps its limit", fits));
        let first = page.executions.first().zip(ids.last()).is_none_or(|(first, last)| last < first);
        let rises = first && page.executions.is_sorted_by(|a, b| a < b);
        check!(cx, "FF-EXE-009", page.executions, holds("ids rise over all pages", rises));
        let last = page.executions.last().copied();
        ids.extend(page.executions);
        match page.next_cursor {
            None => return Ok(ids),
            Some(next) => {
                check!(cx, "FF-EXE-026", (next, last), holds("a cursor is the last of its page", Some(next) == last));
                cursor = Some(next);
            }
        }
    }
}

/// All lanes, page by page.
pub(super) async fn walk_lanes(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Vec<LaneId>, Stop> {
    let mut lanes: Vec<LaneId> = Vec::new();
    let mut cursor = None;
    loop {
        let page = client.list_lanes(cursor, PageLimit::MAX).await?;
        let first = page.lanes.first().zip(lanes.last()).is_none_or(|(first, last)| last < first);
        let rises = first && page.lanes.is_sorted_by(|a, b| a < b);
        check!(cx, "FF-EXE-022", page.lanes, holds("lanes rise over all pages", rises));
        let goes_on = !page.lanes.is_empty();
        lanes.extend(page.lanes);
        match page.next_cursor {
            Some(next) if goes_on => cursor = Some(next),
            _ => return Ok(lanes),
        }
    }
}

pub(super) fn check(cx: &Cx, world: &World) -> Verdict {
    for reads in &world.reads {
        agree(cx, reads)?;
        lease_agrees(cx, reads)?;
        instants(cx, world, reads)?;
        ends(cx, world, reads)?;
        if let Some(lanes) = &world.lanes {
            let lane = &reads.info.lane_id;
            check!(cx, "FF-EXE-022", lane, holds("its lane is listed", lanes.binary_search(lane).is_ok()));
        }
    }
    for (reads, history) in world.told() {
        counters(cx, reads, &history)?;
        completions(cx, world, reads, &history)?;
        operators(cx, world, reads, &history)?;
    }
    exist(cx, world)
}

/// The dimensions fit together and all reads tell them alike.
fn agree(cx: &Cx, reads: &Reads) -> Verdict {
    let Reads { info, snapshot, state, .. } = reads;
    let id = info.execution_id;
    check!(cx, "FF-EXE-003", (id, info.state), holds("the dimensions fit together", info.state.is_legal()));
    let states = [info.state.public_state(), info.public_state, snapshot.public_state, *state];
    let alike = states.iter().all(|state| *state == states[0]);
    check!(cx, "FF-EXE-004", (id, states), holds("derived and read states are one", alike));
    let of_info = (id, &info.namespace, &info.lane_id, info.created_at, info.last_mutation_at);
    let of_snapshot =
        (snapshot.execution_id, &snapshot.namespace, &snapshot.lane_id, snapshot.created_at, snapshot.last_mutation_at);
    check!(cx, "FF-EXE-004", (of_info, of_snapshot), holds("both reads tell the same", of_info == of_snapshot));
    let of_info = (info.current_attempt, info.total_attempt_count);
    let of_snapshot = (snapshot.current_attempt, snapshot.total_attempt_count);
    check!(cx, "FF-EXE-004", (id, of_info, of_snapshot), holds("both reads tell the same", of_info == of_snapshot));
    let reason = Some(info.state.blocking_reason).filter(|reason| *reason != BlockingReason::None);
    let reasons = (id, reason, snapshot.blocking_reason);
    check!(cx, "FF-EXE-004", reasons, holds("both reads tell the same", reason == snapshot.blocking_reason));
    let waits = info.state.eligibility_state == EligibilityState::NotEligibleUntilTime;
    let due = (id, info.state.eligibility_state, info.delay_until);
    check!(cx, "FF-EXE-014", due, holds("a due instant iff it waits for one", info.delay_until.is_some() == waits));
    Ok(())
}

/// The lease of the snapshot is the one that the state tells of.
fn lease_agrees(cx: &Cx, reads: &Reads) -> Verdict {
    let Reads { info, snapshot, .. } = reads;
    let id = info.execution_id;
    let expected = match info.state.ownership_state {
        OwnershipState::Unowned => LeaseStatus::None,
        OwnershipState::Leased => LeaseStatus::Live,
        OwnershipState::LeaseExpiredReclaimable => LeaseStatus::Expired,
        OwnershipState::LeaseRevoked => LeaseStatus::Revoked,
    };
    let found = (id, info.state.ownership_state, snapshot.lease_status);
    check!(cx, "FF-EXE-040", found, holds("the lease status is its ownership", snapshot.lease_status == expected));
    let live = snapshot.lease_status == LeaseStatus::Live;
    let found = (id, snapshot.lease_status, &snapshot.current_lease);
    check!(cx, "FF-EXE-040", found, holds("a lease iff it is live", snapshot.current_lease.is_some() == live));
    if let Some(lease) = &snapshot.current_lease {
        let current = info.current_attempt.map(|attempt| attempt.attempt_index);
        let fits = lease.lease_epoch == info.current_lease_epoch && Some(lease.attempt_index) == current;
        let found = (id, lease, info.current_lease_epoch, current);
        check!(cx, "FF-EXE-040", found, holds("the lease has the latest epoch and attempt", fits));
    }
    Ok(())
}

/// Instants are in order, and what they stand for has happened.
fn instants(cx: &Cx, world: &World, reads: &Reads) -> Verdict {
    let info = &reads.info;
    let id = info.execution_id;
    let terminal = info.state.lifecycle_phase == LifecyclePhase::Terminal;
    let started = (id, info.started_at, info.total_attempt_count);
    let there = info.started_at.is_some() == (info.total_attempt_count > 0);
    check!(cx, "FF-EXE-024", started, holds("started iff there was an attempt", there));
    let completed = (id, info.completed_at, info.state.lifecycle_phase);
    check!(cx, "FF-EXE-024", completed, holds("completed iff terminal", info.completed_at.is_some() == terminal));
    for later in [info.started_at, info.completed_at, Some(info.last_transition_at)].into_iter().flatten() {
        let found = (id, info.created_at, later);
        check!(
            cx,
            "FF-EXE-006",
            found,
            holds("nothing lies before its creation", world.in_order(info.created_at, later))
        );
    }
    let (transition, mutation) = (info.last_transition_at, info.last_mutation_at);
    let found = (id, transition, mutation);
    check!(cx, "FF-EXE-025", found, holds("a transition is a mutation", world.in_order(transition, mutation)));
    let Some(now) = world.now else { return Ok(()) };
    check!(cx, "FF-EXE-025", (id, mutation, now), holds("no write lies ahead", world.in_order(mutation, now)));
    let past = info.execution_deadline_at.is_some_and(|deadline| deadline.has_come(now));
    let found = (id, info.execution_deadline_at, now, info.state.lifecycle_phase);
    check!(cx, "FF-EXE-008", found, holds("what is past its deadline is terminal", terminal || !past));
    let due = info.delay_until.is_some_and(|due| due.has_come(now));
    check!(cx, "FF-EXE-014", (id, info.delay_until, now), holds("no delay is told that is over", !due));
    if let Some(lease) = &reads.snapshot.current_lease {
        let live = !lease.expires_at.has_come(now);
        check!(cx, "FF-LSE-005", (id, lease.expires_at, now), holds("a live lease ends later than now", live));
    }
    Ok(())
}

/// What an end leaves behind.
fn ends(cx: &Cx, world: &World, reads: &Reads) -> Verdict {
    let info = &reads.info;
    let (id, outcome) = (info.execution_id, info.state.terminal_outcome);
    let bytes = reads.result.as_ref().map(Vec::len);
    let fits = bytes.is_none() || outcome == TerminalOutcome::Success;
    check!(cx, "FF-EXE-023", (id, outcome, bytes), holds("a result only after success", fits));
    let failure = (&info.failure_reason, &info.failure_category);
    let told = info.failure_reason.is_some() && info.failure_category.is_some();
    let fits = told || outcome != TerminalOutcome::Failed;
    check!(cx, "FF-EXE-036", (id, outcome, failure), holds("what failed says why", fits));
    let fits = info.failure_reason.is_none() || info.total_attempt_count > 0;
    check!(cx, "FF-EXE-036", (id, failure), holds("only what ran can fail", fits));
    let cancelled = outcome == TerminalOutcome::Cancelled;
    let cancel = (&info.cancellation_reason, &info.cancelled_by);
    let fits = info.cancellation_reason.is_some() == cancelled && info.cancelled_by.is_some() == cancelled;
    check!(cx, "FF-EXE-037", (id, outcome, cancel), holds("what was cancelled, and nothing else, says so", fits));
    let instants = (id, outcome, info.completed_at, info.last_transition_at, info.last_mutation_at);
    match outcome {
        TerminalOutcome::None => Ok(()),
        _ if reads.ended_suspended() => waitpoints::ends(cx, world, reads),
        TerminalOutcome::Expired => {
            let at = info.execution_deadline_at.max(Some(info.created_at));
            let found = (id, info.execution_deadline_at, info.completed_at, &info.failure_reason);
            let by_deadline = info.completed_at == at && info.execution_deadline_at.is_some();
            let by_attempt = info.completed_at == Some(info.last_transition_at)
                && info.failure_reason.as_deref() == Some(ReleaseReason::AttemptTimeout.as_str());
            let fits = by_deadline || by_attempt;
            check!(cx, "FF-EXE-039", found, holds("it expired at its deadline, or with its attempt", fits));
            Ok(())
        }
        TerminalOutcome::Success | TerminalOutcome::Failed | TerminalOutcome::Cancelled | TerminalOutcome::Skipped => {
            let at = Some(info.last_transition_at);
            // Labels are the one thing that may be written after the end.
            let untouched = info.last_transition_at == info.last_mutation_at || cx.has_called("set_execution_tag");
            let fits = info.completed_at == at && untouched;
            check!(cx, "FF-EXE-005", instants, holds("nothing was written after the end", fits));
            let before = info.execution_deadline_at.is_none_or(|deadline| {
                info.completed_at.is_some_and(|at| !deadline.has_come(at)) || !world.slack.is_zero()
            });
            let found = (id, outcome, info.completed_at, info.execution_deadline_at);
            check!(cx, "FF-EXE-008", found, holds("it ended before its deadline", before));
            Ok(())
        }
    }
}

/// Counters are the numbers of what they count in the latest run.
fn counters(cx: &Cx, reads: &Reads, history: &History) -> Verdict {
    let info = &reads.info;
    let (id, run) = (info.execution_id, history.run(info));
    let fits = |counter: u32, test: &dyn Fn(&LeaseHistoryEvent) -> bool| {
        let since = |first| history.leases.iter().filter(|event| event.attempt_index >= first && test(event)).count();
        let counter = usize::try_from(counter).unwrap_or(usize::MAX);
        match run {
            Run::Began(first) => counter == since(first),
            Run::Unclaimed => counter == 0,
            Run::Unclear(first) => counter == 0 || counter == since(first),
        }
    };
    let retried = fits(info.retry_count, &|event| {
        matches!(event.reason, Some(ReleaseReason::FailedRetryScheduled | ReleaseReason::AttemptTimeoutRetryScheduled))
    });
    let found = (id, run, info.retry_count, &history.leases);
    check!(cx, "FF-EXE-011", found, holds("retry_count counts the scheduled retries", retried));
    let reclaimed = fits(info.lease_reclaim_count, &|event| event.kind == LeaseEventKind::Reclaimed);
    let found = (id, run, info.lease_reclaim_count, &history.leases);
    check!(cx, "FF-EXE-011", found, holds("lease_reclaim_count counts the take-overs", reclaimed));
    Ok(())
}

/// One completion for each end, with its outcome; between two ends lies a replay.
fn completions(cx: &Cx, world: &World, reads: &Reads, history: &History) -> Verdict {
    let info = &reads.info;
    let (id, outcome) = (info.execution_id, info.state.terminal_outcome);
    let told: Vec<TerminalOutcome> = history.completions.iter().map(|event| event.outcome).collect();
    let replays = usize::try_from(info.replay_count).unwrap_or(usize::MAX);
    let current = told.get(replays..).unwrap_or_default();
    let fits = told.len() >= replays
        && match outcome {
            TerminalOutcome::None => current.is_empty(),
            // Until somebody writes it down, a deadline that has come is seen and not told.
            TerminalOutcome::Expired => current.is_empty() || current == [outcome],
            _ if reads.ended_suspended() => current.is_empty() || current == [outcome],
            TerminalOutcome::Success
            | TerminalOutcome::Failed
            | TerminalOutcome::Cancelled
            | TerminalOutcome::Skipped => current == [outcome],
        };
    check!(cx, "FF-SUB-001", (id, outcome, replays, &told), holds("each end is told once, nothing else is", fits));
    let mut turns: Vec<TimestampMs> = Vec::new();
    for (number, event) in history.completions.iter().enumerate() {
        let fits = event.namespace == info.namespace && (number < replays || event.at == info.last_transition_at);
        let found = (event, &info.namespace, info.last_transition_at);
        check!(cx, "FF-SUB-001", found, holds("it is told with the end, in its namespace", fits));
        turns.push(event.at);
        turns.extend(history.replays().nth(number).map(|replay| replay.at));
    }
    let fits = turns.iter().zip(turns.iter().skip(1)).all(|(turn, next)| world.in_order(*turn, *next));
    check!(cx, "FF-SUB-001", (id, turns), holds("ends and replays take turns", fits));
    Ok(())
}

/// What operators did is told as it stands.
fn operators(cx: &Cx, world: &World, reads: &Reads, history: &History) -> Verdict {
    let info = &reads.info;
    let (id, events) = (info.execution_id, &history.operators);
    let replays: Vec<&str> = history.replays().map(|event| event.detail.as_str()).collect();
    let numbered: Vec<String> = (1..=info.replay_count).map(|number| number.to_string()).collect();
    check!(
        cx,
        "FF-EXE-070",
        (id, &numbered, &replays),
        holds("each replay is told by its number", replays == numbered)
    );
    let resumed = events.iter().filter(|event| event.kind == OperatorEventKind::Resumed).count();
    let suspended = history.leases.iter().filter(|event| event.reason == Some(ReleaseReason::Suspend)).count();
    check!(cx, "FF-WPT-025", (id, resumed, suspended), holds("a resume ends a suspension", resumed <= suspended));
    let revoked = history.leases.iter().filter(|event| event.reason == Some(ReleaseReason::Operator)).count();
    let told = events.iter().filter(|event| event.kind == OperatorEventKind::LeaseRevoked).count();
    check!(cx, "FF-EXE-070", (id, revoked, told), holds("each revocation is told once", revoked == told));
    let priority = events.iter().rev().find(|event| event.kind == OperatorEventKind::PriorityChanged);
    let fits = priority.is_none_or(|event| event.detail == info.priority.to_string());
    check!(cx, "FF-EXE-070", (id, info.priority, priority), holds("the priority told last is the priority", fits));
    let by = info.cancelled_by.as_ref().filter(|by| *by != "worker" && !reads.ended_suspended());
    let cancelled = by.zip(info.cancellation_reason.as_ref()).map(|(by, reason)| format!("{by}: {reason}"));
    let last = events.last();
    let told = last.filter(|event| event.kind == OperatorEventKind::Cancelled).map(|event| event.detail.clone());
    check!(cx, "FF-EXE-070", (id, &cancelled, last), holds("a cancel by an operator is told last", cancelled == told));
    let elsewhere = events.iter().find(|event| event.namespace != info.namespace);
    check!(cx, "FF-EXE-070", (id, elsewhere), holds("events have its namespace", elsewhere.is_none()));
    let fits = events.iter().zip(events.iter().skip(1)).all(|(event, next)| world.in_order(event.at, next.at));
    check!(cx, "FF-EXE-070", (id, events), holds("events are told in order", fits));
    Ok(())
}

/// Attempts and events are of executions that exist, and no end is told twice.
fn exist(cx: &Cx, world: &World) -> Verdict {
    for (id, history) in &world.histories {
        let (told, replays) = (history.completions.len(), history.replays().count());
        let fits = told == replays || told == replays + 1;
        check!(cx, "FF-SUB-001", (id, told, replays), holds("an end is told once", fits));
        let Some(ids) = &world.ids else { continue };
        let known = ids.binary_search(id).is_ok();
        check!(cx, "FF-EXE-001", id, holds("attempts are of what exists", known || history.attempts.is_empty()));
        check!(cx, "FF-LSE-011", id, holds("lease events are of what exists", known || history.leases.is_empty()));
        check!(cx, "FF-SUB-001", id, holds("completions are of what exists", known || told == 0));
        let operated = !history.operators.is_empty();
        check!(cx, "FF-EXE-070", id, holds("operators act on what exists", known || !operated));
    }
    Ok(())
}
