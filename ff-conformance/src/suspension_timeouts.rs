//! Cases of suspensions that time out: by time alone, written down by a scan, a claim or an operator.

use std::{collections::BTreeMap, sync::Arc};

use ff_core::{
    CancelExecutionArgs, CapabilitySet, CompleteArgs, EngineBackend, EngineError, FailureClass, FailureReason, Handle,
    HandleKind, LifecyclePhase, ReplayExecutionArgs, ResumeExecutionArgs, ScanArgs, ScannerFilter, ScannerKind,
    TerminalOutcome, TimeoutBehavior, TimestampMs,
};

use crate::{
    Cx, Stop, TTL, Verdict, check, equals,
    instants::{after, ms},
    is_none, is_ok, is_true,
    reads::read_all,
    refused,
    scanners::done,
    stages::not_active,
    suspensions::{claims, listed, open_at, seen, suspended_as, suspended_with, times_out, waits_for_any},
    words::{
        CANCELLED, ESCALATED, EXPIRED, FAILED, INTERRUPTED, SUSPENDED, attempt_log, completion_log, lease_log, reads,
        vector,
    },
};

const AUTO: TimeoutBehavior = TimeoutBehavior::AutoResumeWithTimeoutSignal;

/// What each time-out leads to: state, failure or cancellation, completion, attempt.
const TABLE: [(TimeoutBehavior, &str, &str, &str, &str); 5] = [
    (TimeoutBehavior::Fail, FAILED, "suspension_timeout:fail", "failed", "0 initial ended_failure 1"),
    (TimeoutBehavior::Cancel, CANCELLED, "suspension_timeout:cancel", "cancelled", "0 initial ended_cancelled 1"),
    (TimeoutBehavior::Expire, EXPIRED, "suspension_timeout:expire", "expired", "0 initial ended_failure 1"),
    (AUTO, INTERRUPTED, "", "", "0 initial suspended 1"),
    (TimeoutBehavior::Escalate, ESCALATED, "", "", "0 initial suspended 1"),
];

/// A time-out takes effect at its instant for every reader, with nothing running; a scan then writes down what was
/// seen and tells it once.
///
/// Covers FF-WPT-010, FF-EXE-003, FF-SCN-001, FF-WPT-009. Needs clock, dump, listings, scanners, waitpoints.
pub async fn a_timeout_does_what_its_behavior_says(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for (behavior, state, reason, completion, attempt) in TABLE {
        let end = after(cx.now().await?, 1000);
        let old = suspended_with(cx, &a, times_out(end, behavior)).await?;
        let id = old.id();
        cx.set_time(after(end, -1)).await?;
        check!(
            cx,
            "FF-WPT-010",
            (behavior, vector(&cx.info(&a, &id).await?)),
            equals((behavior, SUSPENDED.to_owned()))
        );
        cx.set_time(end).await?;

        let seen = read_all(cx, &a, &id).await?;
        let (info, written) = (cx.info(&a, &id).await?, cx.dump().await?);
        check!(cx, "FF-EXE-003", (behavior, vector(&info)), equals((behavior, state.to_owned())));
        let told = info.failure_reason.clone().or(info.cancellation_reason.clone()).unwrap_or_default();
        let ended = Some(end).filter(|_| !completion.is_empty());
        check!(cx, "FF-WPT-010", (behavior, told, info.completed_at), equals((behavior, reason.to_owned(), ended)));
        let by = (behavior == TimeoutBehavior::Cancel).then(|| "system_timeout".to_owned());
        check!(cx, "FF-WPT-010", (behavior, info.cancelled_by.clone()), equals((behavior, by)));
        let open = if behavior == TimeoutBehavior::Escalate { "a active" } else { "" };
        check!(cx, "FF-WPT-009", (behavior, open_at(&a, &id).await?), equals((behavior, open.to_owned())));

        let scan = ScanArgs::new(ScannerKind::SuspensionTimeout);
        check!(cx, "FF-SCN-001", (behavior, a.scan(scan.clone()).await?), equals((behavior, done(1, 1))));

        let (mut late, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
        late.last_transition_at = info.last_transition_at;
        late.last_mutation_at = info.last_mutation_at;
        check!(cx, "FF-WPT-010", (behavior, late), equals((behavior, info)));
        check!(cx, "FF-WPT-010", seen.agree(), is_true());
        check!(cx, "FF-WPT-010", completion_log(&dump, &id), reads(completion));
        check!(cx, "FF-WPT-010", lease_log(&dump, &id), reads("acquired 1, released 1 suspend"));
        check!(cx, "FF-WPT-010", attempt_log(&dump, &id), reads(attempt));
        check!(cx, "FF-WPT-010", completion_log(&written, &id), reads(""));
        check!(cx, "FF-SCN-001", (behavior, a.scan(scan).await?), equals((behavior, done(0, 0))));
        cx.set_time(after(end, 1000)).await?;
        if behavior == AUTO {
            cx.claimed_for(&a, "next", ms(3_600_000)).await?;
        }
    }
    Ok(())
}

/// A time-out that resumes is claimed at its instant without a scan, and its worker sees the signal `timeout`.
///
/// Covers FF-WPT-010, FF-WPT-013, FF-CLM-005, FF-WPT-002. Needs clock, dump, waitpoints.
pub async fn a_timeout_resumes_by_time_alone(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let end = after(cx.now().await?, 1000);
    let old = suspended_with(cx, &a, times_out(end, AUTO)).await?;
    cx.set_time(after(end, -1)).await?;
    check!(cx, "FF-WPT-010", claims(cx, &b).await?.map(|_| ()), is_none());
    cx.set_time(after(end, 500)).await?;
    let before = a.observe_signals(&old.receipt).await?;
    let taken = claims(cx, &b).await?;
    let facts = taken.as_ref().map(|(_, kind, index, epoch)| (*kind, *index, *epoch));
    check!(cx, "FF-CLM-005", facts, equals(Some((HandleKind::Resumed, 0, 2))));
    let shown = b.observe_signals(&old.receipt).await?;
    check!(cx, "FF-WPT-013", shown, equals(before));
    let told: Vec<_> = shown.iter().map(|signal| (signal.signal_name.as_str(), signal.accepted_at)).collect();
    check!(cx, "FF-WPT-013", (told, shown[0].source_type.as_str()), equals((vec![("timeout", end)], "system")));
    let attempts = attempt_log(&cx.dump().await?, &old.id());
    check!(cx, "FF-WPT-002", attempts, reads("0 initial started 2"));
    Ok(())
}

/// What was escalated waits for an operator without an end, and signals still resume it.
///
/// Covers FF-WPT-010. Needs clock, scanners, waitpoints.
pub async fn an_escalated_suspension_can_still_be_resumed(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let end = after(cx.now().await?, 1000);
    for written in [false, true] {
        let end = if written { after(cx.now().await?, 1000) } else { end };
        let old = suspended_with(cx, &a, times_out(end, TimeoutBehavior::Escalate)).await?;
        let other = suspended_with(cx, &a, times_out(end, TimeoutBehavior::Escalate)).await?;
        for instant in [end, after(end, 100_000)] {
            cx.set_time(instant).await?;
            if written {
                a.scan(ScanArgs::new(ScannerKind::SuspensionTimeout)).await?;
            }
            let entry = a.list_suspended(None, ff_core::PageLimit::MAX).await?.entries.remove(0);
            let shown = (entry.reason, entry.timeout_at);
            let reason = ff_core::SuspensionReasonCode::WaitingForOperatorReview;
            check!(cx, "FF-WPT-010", shown, equals((reason, None)));
        }
        check!(cx, "FF-WPT-010", a.deliver_signal(old.signal()?).await, is_ok());
        check!(cx, "FF-WPT-010", vector(&cx.info(&a, &old.id()).await?), reads(INTERRUPTED));
        a.resume_execution(ResumeExecutionArgs::new(other.id(), "reviewed")).await?;
        for _ in 0..2 {
            let claimed = cx.claimed(&a, "next").await?;
            a.complete(&claimed.handle, None).await?;
        }
    }
    Ok(())
}

/// The earlier of time-out and deadline counts; at the same instant the deadline does, and what has ended stays so.
///
/// Covers FF-WPT-010, FF-EXE-005. Needs clock, scanners, waitpoints.
pub async fn the_earlier_of_timeout_and_deadline_counts(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for (timeout, deadline, behavior, state, ended) in [
        (1000, 2000, TimeoutBehavior::Fail, FAILED, 1000),
        (2000, 1000, TimeoutBehavior::Fail, EXPIRED, 1000),
        (1000, 1000, TimeoutBehavior::Fail, EXPIRED, 1000),
        (1000, 2000, AUTO, EXPIRED, 2000),
        (1000, 2000, TimeoutBehavior::Escalate, EXPIRED, 2000),
    ] {
        let now = cx.now().await?;
        let args = cx.execution()?.execution_deadline_at(after(now, deadline));
        let id = suspended_as(cx, &a, args, times_out(after(now, timeout), behavior)).await?.id();
        cx.set_time(after(now, 5000)).await?;
        let info = cx.info(&a, &id).await?;
        let expected = (state.to_owned(), Some(after(now, ended)));
        check!(cx, "FF-WPT-010", (vector(&info), info.completed_at), equals(expected.clone()));
        for scanner in [ScannerKind::ExecutionDeadline, ScannerKind::SuspensionTimeout] {
            a.scan(ScanArgs::new(scanner)).await?;
        }
        let info = cx.info(&a, &id).await?;
        check!(cx, "FF-EXE-005", (vector(&info), info.completed_at), equals(expected));
    }
    Ok(())
}

/// Whoever comes to an execution whose suspension has timed out meets what the time-out has made of it.
///
/// Covers FF-WPT-004, FF-WPT-010. Needs clock, dump, operator_control, waitpoints.
pub async fn an_operator_meets_what_a_timeout_has_done(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let end = after(cx.now().await?, 1000);
    let failed = suspended_with(cx, &a, times_out(end, TimeoutBehavior::Fail)).await?.id();
    let cancelled = suspended_with(cx, &a, times_out(end, TimeoutBehavior::Cancel)).await?.id();
    let resumed = suspended_with(cx, &a, times_out(end, AUTO)).await?.id();
    let replayed = suspended_with(cx, &a, times_out(end, TimeoutBehavior::Expire)).await?.id();
    cx.set_time(after(end, 10)).await?;
    check!(
        cx,
        "FF-WPT-004",
        a.cancel_execution(CancelExecutionArgs::new(failed, "late")).await,
        refused("State(Terminal)")
    );
    check!(cx, "FF-WPT-004", a.cancel_execution(CancelExecutionArgs::new(cancelled, "late")).await, is_ok());
    let info = cx.info(&a, &cancelled).await?;
    check!(
        cx,
        "FF-WPT-004",
        (info.cancelled_by, info.completed_at),
        equals((Some("system_timeout".to_owned()), Some(end)))
    );
    check!(cx, "FF-WPT-004", a.cancel_execution(CancelExecutionArgs::new(resumed, "late")).await, is_ok());
    check!(cx, "FF-WPT-004", vector(&cx.info(&a, &resumed).await?), reads(CANCELLED));
    a.replay_execution(ReplayExecutionArgs::new(replayed)).await?;
    let dump = cx.dump().await?;
    check!(cx, "FF-WPT-010", completion_log(&dump, &replayed), reads("expired"));
    check!(cx, "FF-WPT-010", attempt_log(&dump, &replayed), reads("0 initial ended_failure 1"));
    check!(cx, "FF-WPT-010", listed(&a).await?, equals(Vec::new()));
    Ok(())
}

/// A pass over suspensions that timed out keeps to its filter and its limit, and starves nobody behind others.
///
/// Covers FF-SCN-002, FF-SCN-004. Needs clock, scanners, waitpoints.
pub async fn scan_of_suspensions_keeps_to_filter_and_limit(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let end = after(cx.now().await?, 1000);
    for number in 0..5 {
        let mut args = cx.execution()?;
        args.namespace = cx.namespace(if number == 4 { "wanted" } else { "other" })?;
        suspended_as(cx, &a, args, times_out(end, TimeoutBehavior::Fail)).await?;
    }
    cx.set_time(end).await?;
    let filter = ScannerFilter::new().namespace(cx.namespace("wanted")?);
    let scan = ScanArgs::new(ScannerKind::SuspensionTimeout).filter(filter).limit(ff_core::PageLimit::new(2)?);
    let reports = crate::scanners::passes(&a, &scan, 10).await?;
    let (seen, changed): (Vec<u32>, Vec<u32>) = reports.iter().map(|report| (report.examined, report.changed)).unzip();
    check!(cx, "FF-SCN-004", (seen.iter().sum::<u32>(), changed.iter().sum::<u32>()), equals((5, 1)));
    check!(cx, "FF-SCN-002", seen.iter().all(|seen| *seen <= 2), is_true());
    let rest = crate::scanners::passes(&a, &ScanArgs::new(ScannerKind::SuspensionTimeout), 10).await?;
    let changed: u32 = rest.iter().map(|report| report.changed).sum();
    check!(cx, "FF-SCN-002", changed, equals(4));
    Ok(())
}

/// An ended suspension is not resumed by a late signal, and a late time-out does not undo a signal.
///
/// Covers FF-WPT-004, FF-WPT-001. Needs clock, dump, waitpoints.
pub async fn a_signal_and_a_timeout_meet_in_their_order(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let end = after(cx.now().await?, 1000);
    let late = suspended_with(cx, &a, times_out(end, AUTO)).await?;
    let early = suspended_with(cx, &a, times_out(end, TimeoutBehavior::Fail)).await?;
    cx.set_time(after(end, -1)).await?;
    a.deliver_signal(early.signal()?).await?;
    cx.set_time(end).await?;
    check!(cx, "FF-WPT-004", a.deliver_signal(late.signal()?).await, refused("State(WaitpointClosed)"));
    check!(cx, "FF-WPT-004", vector(&cx.info(&a, &early.id()).await?), reads(INTERRUPTED));
    check!(cx, "FF-WPT-004", seen(&a, &early.receipt).await?, equals(vec!["go".to_owned()]));
    check!(cx, "FF-WPT-004", seen(&a, &late.receipt).await?, equals(vec!["timeout".to_owned()]));
    let again = suspended_with(cx, &a, waits_for_any()).await;
    check!(cx, "FF-WPT-001", again.is_ok(), is_true());
    Ok(())
}

/// What every operation answers to the holder whose attempt was suspended.
async fn told(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    handle: &Handle,
) -> Result<BTreeMap<&'static str, Result<(), EngineError>>, Stop> {
    let (none, worker) = (CapabilitySet::default(), cx.worker("worker", TTL)?);
    let reason = FailureReason::new("broken");
    let renewed = client.renew_many(std::slice::from_ref(handle)).await?.remove(0);
    let done = client.complete_many(vec![CompleteArgs::new(handle.clone(), None)]).await?.remove(0);
    Ok(BTreeMap::from([
        ("renew", client.renew(handle).await.map(drop)),
        ("renew_many", renewed.map(drop)),
        ("progress", client.progress(handle, Some(50), None).await),
        ("complete", client.complete(handle, None).await),
        ("complete_many", done),
        ("complete_and_claim", client.complete_and_claim(handle, None, &none, worker).await.map(drop)),
        ("fail", client.fail(handle, reason, FailureClass::Transient).await.map(drop)),
        ("cancel", client.cancel(handle, "late").await),
        ("delay", client.delay(handle, TimestampMs::from_ms(0)).await),
        ("wait_children", client.wait_children(handle).await),
        ("create_waitpoint", client.create_waitpoint(handle, "b", TTL).await.map(drop)),
    ]))
}

/// The holder of what was suspended is told by every operation what a time-out has done, from its instant on and before
/// anybody has written it down; the deadline counts if it comes no later.
///
/// Covers FF-ERR-004, FF-WPT-010. Needs clock, waitpoints, batches, progress.
pub async fn a_holder_is_told_what_a_timeout_has_done(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (terminal, none) = (LifecyclePhase::Terminal, TerminalOutcome::None);
    for (behavior, outcome, phase) in [
        (TimeoutBehavior::Fail, TerminalOutcome::Failed, terminal),
        (TimeoutBehavior::Cancel, TerminalOutcome::Cancelled, terminal),
        (TimeoutBehavior::Expire, TerminalOutcome::Expired, terminal),
        (TimeoutBehavior::Escalate, none, LifecyclePhase::Suspended),
        (AUTO, none, LifecyclePhase::Runnable),
    ] {
        for (deadline_ms, outcome, phase) in [(1001, outcome, phase), (1000, TerminalOutcome::Expired, terminal)] {
            let (end, deadline) = (after(cx.now().await?, 1000), after(cx.now().await?, deadline_ms));
            let args = cx.execution()?.execution_deadline_at(deadline);
            let old = suspended_as(cx, &a, args, times_out(end, behavior)).await?;
            let written = cx.info(&a, &old.id()).await?.last_mutation_at;
            for (at, outcome, phase) in [(after(end, -1), none, LifecyclePhase::Suspended), (end, outcome, phase)] {
                cx.set_time(at).await?;
                let refusal = not_active(&old.claimed, outcome, phase);
                for (op, answer) in told(cx, &a, &old.claimed.handle).await? {
                    check!(
                        cx,
                        "FF-ERR-004",
                        (behavior, at, op, answer),
                        equals((behavior, at, op, Err(refusal.clone())))
                    );
                }
            }
            check!(cx, "FF-WPT-010", cx.info(&a, &old.id()).await?.last_mutation_at, equals(written));
            cx.set_time(after(end, 1)).await?;
        }
    }
    Ok(())
}
