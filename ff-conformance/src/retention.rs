//! Cases of what is removed once it is old: executions, idempotency keys, events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ff_core::{
    ChangePriorityArgs, CompletionEvent, CreateExecutionResult, Delivered, EngineBackend, ExecutionPolicy,
    LeaseHistoryEvent, Limits, OperatorEvent, PageLimit, PublicState, ScanArgs, ScannerFilter, ScannerKind,
    SignalDeliveryEvent, StreamCursor,
};

use crate::{
    Cx, Dump, Stop, TTL, Verdict, answers, check,
    crowds::{claim_order, created_many},
    equals,
    feeds::{self, Family, feed, taken},
    instants::{after, ms},
    refused,
    scanners::{done, passes},
    stages::{backing_off, cancelled, completed, failed, held, held_as, lapsed},
    suspensions::{suspended_with, waits_for_any},
};

/// How long what has ended is kept.
const DAY: Duration = Duration::from_millis(Limits::RETENTION_MS);

fn retention() -> ScanArgs {
    ScanArgs::new(ScannerKind::Retention)
}

/// The lines that are no events.
async fn records(cx: &Cx) -> Result<Vec<String>, Stop> {
    Ok(cx.dump().await?.lines.into_iter().filter(|line| !is_event(line)).collect())
}

fn is_event(line: &str) -> bool {
    line.contains("event")
}

/// Executions at every end, with everything that can belong to one.
async fn every_end(cx: &Cx, client: &Arc<dyn EngineBackend>, round: &str) -> Result<(), Stop> {
    let full = || -> Result<_, Stop> {
        let args = cx.execution()?.input_payload("input").tag("box.colour", "red").payload_encoding("plain");
        let key = format!("{round}-{}", args.execution_id);
        Ok(args.idempotency_key(key).creator_identity("suite"))
    };
    let claimed = held_as(cx, client, full()?).await?;
    client.progress(&claimed.handle, Some(40), Some("on its way".to_owned())).await?;
    client.complete(&claimed.handle, Some(b"result".to_vec())).await?;
    completed(cx, client).await?;
    failed(cx, client).await?;
    cancelled(cx, client).await?;
    let long = ExecutionPolicy::new().dedup_window_ms(Limits::DURATION_MS);
    let claimed = held_as(cx, client, full()?.policy(long)).await?;
    client.complete(&claimed.handle, None).await?;
    cx.created(client, full()?.execution_deadline_at(cx.now().await?)).await?;
    let worn_out = held_as(cx, client, full()?.policy(ExecutionPolicy::new().max_reclaim_count(0))).await?;
    cx.pass_time(worn_out.payload.lease_ttl).await?;
    for scanner in [ScannerKind::LeaseExpiry, ScannerKind::ExecutionDeadline] {
        client.scan(ScanArgs::new(scanner)).await?;
    }
    Ok(())
}

/// Once everything has ended and is old, nothing is left of it: as many records stay as after the first round.
///
/// Covers FF-SCN-008.
pub async fn retention_leaves_nothing_of_what_is_old(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    every_end(cx, &a, "first").await?;
    let uuids = a.list_executions(None, PageLimit::MAX).await?.executions;
    cx.pass_time(DAY).await?;
    passes(&a, &retention(), 5).await?;
    let kept = records(cx).await?;
    let named =
        kept.iter().filter(|line| uuids.iter().any(|id| line.contains(&id.as_uuid().to_string()))).collect::<Vec<_>>();
    check!(cx, "FF-SCN-008", named, equals(Vec::new()));

    for round in ["second", "third"] {
        every_end(cx, &a, round).await?;
    }
    cx.pass_time(DAY).await?;
    let few = passes(&a, &retention().limit(PageLimit::new(3)?), 50).await?;
    check!(cx, "FF-SCN-008", few.iter().map(|report| report.changed).sum::<u32>(), equals(14));
    check!(cx, "FF-SCN-008", records(cx).await?, equals(kept));
    check!(cx, "FF-SCN-008", a.list_executions(None, PageLimit::MAX).await?.executions, equals(Vec::new()));
    check!(cx, "FF-SCN-008", passes(&a, &retention(), 5).await?, equals(vec![done(0, 0)]));
    cx.removed_until_now().await
}

/// What has not ended, or ended less than a day ago, stays as it is; so do all events.
///
/// Covers FF-SCN-008. Needs listings.
pub async fn retention_leaves_the_rest_alone(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = completed(cx, &a).await?.payload.execution_id;
    cx.pass_time(ms(1)).await?;
    let young = completed(cx, &a).await?.payload.execution_id;
    held(cx, &a).await?;
    backing_off(cx, &a, 1000).await?;
    cx.created(&a, cx.execution()?.delay_until(after(cx.now().await?, 7))).await?;
    cx.created_plain(&a).await?;
    lapsed(cx, &a).await?;
    let written = cx.dump().await?;

    cx.pass_time(DAY - TTL - ms(2)).await?;
    check!(cx, "FF-SCN-008", a.scan(retention()).await, answers(done(0, 0)));
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-SCN-008", a.scan(retention()).await, answers(done(1, 1)));

    let kept = cx.dump().await?;
    let of_old = |line: &&String| line.contains(&old.as_uuid().to_string());
    let rest: Vec<_> = written.lines.iter().filter(|line| is_event(line) || !of_old(line)).collect();
    check!(cx, "FF-SCN-008", kept.lines.iter().collect::<Vec<_>>(), equals(rest));
    check!(cx, "FF-SCN-008", events(&kept), equals(events(&written)));
    check!(cx, "FF-SCN-008", a.read_execution_state(&young).await, answers(Some(PublicState::Completed)));
    cx.removed_until_now().await
}

fn events(dump: &Dump) -> (usize, usize) {
    (dump.lease_history.len(), dump.completions.len())
}

/// A removed execution is unknown to every read and write, and its id and key may be used again.
///
/// Covers FF-SCN-009.
pub async fn a_removed_execution_is_unknown(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let window = ExecutionPolicy::new().dedup_window_ms(Limits::DURATION_MS);
    let args = cx.execution()?.policy(window).idempotency_key("once").input_payload("input");
    let claimed = held_as(cx, &a, args.clone()).await?;
    let id = claimed.payload.execution_id;
    a.complete(&claimed.handle, Some(b"done".to_vec())).await?;
    cx.pass_time(DAY).await?;
    check!(cx, "FF-SCN-009", a.scan(retention()).await, answers(done(1, 1)));

    check!(cx, "FF-SCN-009", a.read_execution_state(&id).await, answers(None));
    check!(cx, "FF-SCN-009", a.describe_execution(&id).await, answers(None));
    check!(cx, "FF-SCN-009", a.read_execution_info(&id).await, answers(None));
    check!(cx, "FF-SCN-009", a.get_execution_result(&id).await, answers(None));
    check!(cx, "FF-SCN-009", a.complete(&claimed.handle, None).await, crate::refused("NotFound(Execution)"));
    check!(cx, "FF-SCN-009", a.renew(&claimed.handle).await, crate::refused("NotFound(Execution)"));

    let again = cx.execution()?.idempotency_key("once");
    let created = |id| CreateExecutionResult::Created { execution_id: id, public_state: PublicState::Waiting };
    check!(cx, "FF-SCN-009", a.create_execution(again.clone()).await, answers(created(again.execution_id)));
    let mut same = cx.execution()?;
    same.execution_id = id;
    check!(cx, "FF-SCN-009", a.create_execution(same).await, answers(created(id)));
    check!(cx, "FF-SCN-009", claim_order(cx, &a, 3).await?.len(), equals(2));
    cx.removed_until_now().await
}

/// A key that another execution has taken over stays when the first one is removed; one that lapsed goes by itself.
///
/// Covers FF-SCN-008, FF-SCN-009. Needs listings.
pub async fn retention_removes_lapsed_keys_and_no_other(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let window = |ms| ExecutionPolicy::new().dedup_window_ms(ms);
    let first = held_as(cx, &a, cx.execution()?.policy(window(1000)).idempotency_key("taken")).await?;
    a.complete(&first.handle, None).await?;
    for n in 0..3 {
        cx.created(&a, cx.execution()?.policy(window(1000)).idempotency_key(format!("short-{n}"))).await?;
    }
    cx.pass_time(ms(1000)).await?;
    let year = window(365 * 24 * 3_600_000);
    let second = cx.execution()?.policy(year).idempotency_key("taken");
    let second = cx.created(&a, second).await?;

    let few = passes(&a, &retention().limit(PageLimit::new(2)?), 5).await?;
    check!(cx, "FF-SCN-008", few.iter().map(|report| report.changed).collect::<Vec<_>>(), equals(vec![2, 1]));
    cx.pass_time(DAY).await?;
    check!(cx, "FF-SCN-008", a.scan(retention()).await, answers(done(1, 1)));

    let again = a.create_execution(cx.execution()?.idempotency_key("taken")).await;
    check!(cx, "FF-SCN-009", again, answers(CreateExecutionResult::Duplicate { execution_id: second }));
    cx.removed_until_now().await
}

/// A filter restricts the retention; what stands behind three times a pass of others is reached.
///
/// Covers FF-SCN-002, FF-SCN-005.
pub async fn retention_reaches_what_its_filter_leads_to(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let other = cx.namespace("other")?;
    let keyed = |n: usize, args: ff_core::CreateExecutionArgs| args.idempotency_key(format!("key-{n}"));
    created_many(cx, &a, 30, |n, mut args| {
        args.namespace = other.clone();
        keyed(n, args).tag("box.colour", "red")
    })
    .await?;
    end_all(cx, &a).await?;
    cx.pass_time(ms(1)).await?;
    created_many(cx, &a, 10, |n, args| keyed(n, args).tag("box.colour", "blue")).await?;
    end_all(cx, &a).await?;
    cx.pass_time(DAY).await?;

    let blue = ScannerFilter::new().instance_tag("box.colour", "blue");
    let reports = passes(&a, &retention().filter(blue).limit(PageLimit::new(10)?), 9).await?;
    check!(cx, "FF-SCN-002", reports.iter().map(|report| report.changed).sum::<u32>(), equals(10));
    let left = a.list_executions(None, PageLimit::MAX).await?.executions.len();
    check!(cx, "FF-SCN-005", left, equals(30));
    let ours = ScannerFilter::new().namespace(cx.namespace("suite")?);
    let reports = passes(&a, &retention().filter(ours).limit(PageLimit::new(10)?), 20).await?;
    check!(cx, "FF-SCN-005", reports.iter().map(|report| report.changed).sum::<u32>(), equals(0));
    cx.removed_until_now().await
}

/// Ends everything that waits in the lane.
async fn end_all(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<(), Stop> {
    while let Some(claimed) = cx.try_claim(client, "worker", TTL).await? {
        client.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// How many events passes remove until `want` are gone. A writer that is open anywhere in the server keeps them for as
/// long as it is open.
async fn events_removed(cx: &Cx, client: &Arc<dyn EngineBackend>, args: &ScanArgs, want: u32) -> Result<u32, Stop> {
    let (removed, limit) = (&AtomicU32::new(0), Duration::from_secs(30));
    let pass = || async move {
        let changed = passes(client, args, 9).await?.iter().map(|report| report.changed).sum::<u32>();
        Ok(removed.fetch_add(changed, Ordering::Relaxed) + changed >= want)
    };
    cx.eventually("the events are removed", limit, pass).await?;
    Ok(removed.load(Ordering::Relaxed))
}

/// Events are removed a day after they were told, the oldest first, whatever became of their executions.
///
/// Covers FF-SCN-010.
pub async fn events_are_removed_a_day_after_they_were_told(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for _ in 0..5 {
        completed(cx, &a).await?;
    }
    cx.pass_time(ms(1)).await?;
    let young = completed(cx, &a).await?.payload.execution_id;
    let written = cx.dump().await?;
    let args = ScanArgs::new(ScannerKind::EventRetention);

    cx.pass_time(DAY - ms(2)).await?;
    check!(cx, "FF-SCN-010", a.scan(args.clone()).await, answers(done(0, 0)));
    check!(cx, "FF-SCN-010", cx.dump().await?, equals(written));
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-SCN-010", events_removed(cx, &a, &args.clone().limit(PageLimit::new(4)?), 15).await?, equals(15));

    let kept = cx.dump().await?;
    check!(cx, "FF-SCN-010", events(&kept), equals((2, 1)));
    let of_young = kept.lease_history.iter().all(|event| event.execution_id == young);
    check!(cx, "FF-SCN-010", of_young, equals(true));
    let executions = a.list_executions(None, PageLimit::MAX).await?.executions.len();
    check!(cx, "FF-SCN-010", executions, equals(6));
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-SCN-010", events_removed(cx, &a, &args, 3).await?, equals(3));
    check!(cx, "FF-SCN-010", a.scan(args).await, answers(done(0, 0)));
    check!(cx, "FF-SCN-010", events(&cx.dump().await?), equals((0, 0)));
    cx.removed_until_now().await
}

/// Two executions that tell something in every family, 14 events in all.
async fn told(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<(), Stop> {
    for _ in 0..2 {
        let old = suspended_with(cx, client, waits_for_any()).await?;
        client.deliver_signal(old.signal()?).await?;
        client.change_priority(ChangePriorityArgs::new(old.id(), 7)).await?;
        let resumed = cx.claimed(client, "next").await?;
        client.complete(&resumed.handle, None).await?;
    }
    Ok(())
}

/// The whole log of a family, with its cursors.
async fn all_told<E: Family>(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Vec<Delivered<E>>, Stop> {
    let count = E::log(&cx.dump().await?).len();
    taken(&mut feed::<E>(client, &StreamCursor::Start).await?, count).await
}

/// What the cursors of a log lead to once its first half is removed.
async fn goes_on_where_nothing_is_missed<E: Family>(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    all: &[Delivered<E>],
) -> Verdict {
    let removed = all.len() / 2;
    let kept = feeds::events(&all[removed..]);
    let of_start = taken(&mut feed::<E>(client, &StreamCursor::Start).await?, kept.len()).await?;
    check!(cx, "FF-SUB-008", feeds::events(&of_start), equals(kept.clone()));
    for (at, delivered) in all.iter().enumerate() {
        let behind = &all[at + 1..];
        let answer = E::subscribe(client, &delivered.cursor, &ScannerFilter::new()).await;
        if behind.len() <= kept.len() {
            let rest = taken(&mut answer?, behind.len()).await?;
            check!(cx, "FF-SUB-003", feeds::events(&rest), equals(feeds::events(behind)));
            continue;
        }
        let oldest = answer.as_ref().err().and_then(ff_core::EngineError::oldest_cursor);
        check!(cx, "FF-SUB-006", answer.map(drop), refused("Validation(InvalidOffset)"));
        let Some(oldest) = oldest else { return Err(Stop::Errored("no cursor that works".to_owned())) };
        let rest = taken(&mut feed::<E>(client, &oldest).await?, kept.len()).await?;
        check!(cx, "FF-SUB-006", feeds::events(&rest), equals(kept.clone()));
    }
    Ok(())
}

/// A cursor goes on as long as every event behind it is kept, also right behind the last one that is gone; an older one
/// is refused with the oldest that works.
///
/// Covers FF-SUB-003, FF-SUB-006, FF-SUB-008. Needs lease_history, completions, operator_events, signal_deliveries.
pub async fn a_cursor_goes_on_while_all_behind_it_is_kept(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    told(cx, &a).await?;
    cx.pass_time(ms(1)).await?;
    told(cx, &a).await?;
    let leases = all_told::<LeaseHistoryEvent>(cx, &a).await?;
    let completions = all_told::<CompletionEvent>(cx, &a).await?;
    let operators = all_told::<OperatorEvent>(cx, &a).await?;
    let signals = all_told::<SignalDeliveryEvent>(cx, &a).await?;
    let told = [leases.len(), completions.len(), operators.len(), signals.len()];
    check!(cx, "FF-SUB-008", told, equals([16, 4, 4, 4]));
    cx.pass_time(DAY - ms(1)).await?;
    let removed = events_removed(cx, &a, &ScanArgs::new(ScannerKind::EventRetention), 14).await?;
    check!(cx, "FF-SUB-008", removed, equals(14));

    goes_on_where_nothing_is_missed(cx, &a, &leases).await?;
    goes_on_where_nothing_is_missed(cx, &a, &completions).await?;
    goes_on_where_nothing_is_missed(cx, &a, &operators).await?;
    goes_on_where_nothing_is_missed(cx, &a, &signals).await?;
    cx.removed_until_now().await
}
