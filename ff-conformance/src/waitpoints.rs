//! Cases of suspensions: they begin once, end once and close everything that belongs to them.

use std::sync::Arc;

use ff_core::{
    BlockingReason, CancelExecutionArgs, ContentionKind, EngineBackend, EngineError, ExecutionPolicy, HandleKind,
    LifecyclePhase, ListPendingWaitpointsArgs, PageLimit, PublicState, ResumeCondition, ResumeExecutionArgs,
    ResumeExecutionResult, SuspendOutcome, SuspensionId, SuspensionPolicy, SuspensionReasonCode, SuspensionRequester,
    TimeoutBehavior, UnclaimedReason, WaitpointBinding, WaitpointId,
};

use crate::{
    Cx, Stop, TTL, Verdict, answers, check, equals,
    instants::{after, ms},
    is_none, is_ok, is_true, refused, satisfies,
    stages::{completed, held},
    suspensions::{
        Suspended, all_of, claims, kid, listed, named_at, open_at, pending, seeded, suspended, suspended_as,
        suspended_with, suspends, times_out, waits_for, waits_for_any,
    },
    words::{
        CANCELLED, EXPIRED, INTERRUPTED, LEASED, RESUME_DELAYED, SUSPENDED, attempt_log, completion_log, lease_log,
        operator_log, reads, vector,
    },
};

/// A suspension gives the lease back in one step and keeps the attempt: no claim takes the execution.
///
/// Covers FF-WPT-001, FF-WPT-002, FF-EXE-003. Needs clock, dump, explanations, waitpoints.
pub async fn suspend_gives_the_lease_back(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    seeded(cx, &a).await?;
    let claimed = held(cx, &a).await?;
    cx.pass_time(ms(7)).await?;
    let now = cx.now().await?;

    let suspended = suspends(cx, &a, claimed, waits_for_any()).await?;

    let id = suspended.id();
    let (info, dump) = (cx.info(&b, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-003", vector(&info), reads(SUSPENDED));
    check!(cx, "FF-WPT-001", (info.last_transition_at, info.last_mutation_at), equals((now, now)));
    check!(cx, "FF-WPT-001", lease_log(&dump, &id), reads("acquired 1, released 1 suspend"));
    check!(cx, "FF-WPT-002", attempt_log(&dump, &id), reads("0 initial suspended 1"));
    check!(cx, "FF-WPT-001", suspended.receipt.kind(), equals(HandleKind::Suspended));
    check!(cx, "FF-WPT-001", cx.try_claim(&b, "other", TTL).await?.map(|_| ()), is_none());
    let why = b.explain_unclaimed(&id, &ff_core::CapabilitySet::default()).await?;
    check!(cx, "FF-WPT-001", why, equals(Some(UnclaimedReason::Suspended)));
    let shown = b.describe_execution(&id).await?.and_then(|snapshot| snapshot.current_waitpoint);
    check!(cx, "FF-WPT-001", shown, equals(Some(suspended.details.waitpoint_id)));
    Ok(())
}

/// Each reason of a suspension is the blocking reason that belongs to it.
///
/// Covers FF-WPT-001. Needs waitpoints.
pub async fn a_suspension_says_what_it_waits_for(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for reason in SuspensionReasonCode::ALL {
        let mut args = waits_for_any();
        args.reason_code = *reason;
        let id = suspended_with(cx, &a, args).await?.id();
        let blocking = cx.info(&a, &id).await?.state.blocking_reason;
        let expected = match reason {
            SuspensionReasonCode::WaitingForSignal | SuspensionReasonCode::StepBoundary => {
                BlockingReason::WaitingForSignal
            }
            SuspensionReasonCode::WaitingForApproval => BlockingReason::WaitingForApproval,
            SuspensionReasonCode::WaitingForCallback => BlockingReason::WaitingForCallback,
            SuspensionReasonCode::WaitingForToolResult => BlockingReason::WaitingForToolResult,
            SuspensionReasonCode::WaitingForOperatorReview | SuspensionReasonCode::ManualPause => {
                BlockingReason::PausedByOperator
            }
            SuspensionReasonCode::PausedByPolicy => BlockingReason::PausedByPolicy,
            SuspensionReasonCode::PausedByBudget => BlockingReason::WaitingForBudget,
        };
        check!(cx, "FF-WPT-001", (reason, blocking), equals((reason, expected)));
    }
    Ok(())
}

/// A signal resumes the execution: the next claim goes on with the same attempt under the next epoch, and the lease
/// from before the suspension works for nothing.
///
/// Covers FF-WPT-002, FF-EXE-003. Needs dump, waitpoints.
pub async fn a_resumed_attempt_goes_on(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let old = suspended(cx, &a).await?;
    let id = old.id();
    b.deliver_signal(old.signal()?).await?;
    let waiting = cx.info(&b, &id).await?;
    check!(cx, "FF-EXE-003", vector(&waiting), reads(INTERRUPTED));
    check!(cx, "FF-WPT-002", a.renew(&old.claimed.handle).await, refused("Contention(ExecutionNotActive)"));

    let taken = claims(cx, &b).await?;

    let attempt = old.claimed.payload.fence.attempt_id;
    let facts = taken.as_ref().map(|(claimed, kind, index, epoch)| {
        (*kind, *index, *epoch, claimed.payload.execution_id, claimed.payload.fence.attempt_id)
    });
    check!(cx, "FF-WPT-002", facts, equals(Some((HandleKind::Resumed, 0, 2, id, attempt))));
    let dump = cx.dump().await?;
    check!(cx, "FF-WPT-002", lease_log(&dump, &id), reads("acquired 1, released 1 suspend, acquired 2"));
    check!(cx, "FF-WPT-002", attempt_log(&dump, &id), reads("0 initial started 2"));
    for handle in [&old.claimed.handle, &old.receipt] {
        check!(cx, "FF-WPT-002", a.renew(handle).await, refused("State(StaleLease)"));
        check!(cx, "FF-WPT-002", a.complete(handle, None).await, refused("State(StaleLease)"));
    }
    if let Some((claimed, ..)) = taken {
        check!(cx, "FF-WPT-002", b.complete(&claimed.handle, None).await, is_ok());
    }
    Ok(())
}

/// What ends a suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Signal,
    Operator,
    Cancel,
    Deadline,
    Timeout(TimeoutBehavior),
}

const ENDS: [End; 8] = [
    End::Signal,
    End::Operator,
    End::Cancel,
    End::Deadline,
    End::Timeout(TimeoutBehavior::Fail),
    End::Timeout(TimeoutBehavior::Cancel),
    End::Timeout(TimeoutBehavior::Expire),
    End::Timeout(TimeoutBehavior::AutoResumeWithTimeoutSignal),
];

/// An execution whose suspension over two waitpoints `end` has just ended.
async fn ended_by(cx: &Cx, client: &Arc<dyn EngineBackend>, end: End) -> Result<Suspended, Stop> {
    let now = cx.now().await?;
    let mut execution = cx.execution()?;
    let mut args =
        waits_for(&["a", "b"], crate::suspensions::count(1, ff_core::CountKind::DistinctWaitpoints, &["a", "b"]));
    match end {
        End::Deadline => execution = execution.execution_deadline_at(after(now, 1000)),
        End::Timeout(behavior) => args = args.timeout(after(now, 1000), behavior),
        _ => {}
    }
    let old = suspended_as(cx, client, execution, args).await?;
    match end {
        End::Signal => drop(client.deliver_signal(old.signal_at("b", "go")?).await?),
        End::Operator => drop(client.resume_execution(ResumeExecutionArgs::new(old.id(), "reviewed")).await?),
        End::Cancel => drop(client.cancel_execution(CancelExecutionArgs::new(old.id(), "unwanted")).await?),
        End::Deadline | End::Timeout(_) => cx.set_time(after(now, 1000)).await?,
    }
    Ok(old)
}

/// Whatever ends a suspension closes all its waitpoints at once: listings show neither them nor the execution, and no
/// signal is taken any more.
///
/// Covers FF-WPT-009, FF-WPT-019. Needs clock, dump, operator_control, waitpoints.
pub async fn whatever_ends_a_suspension_closes_its_waitpoints(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for end in ENDS {
        let old = ended_by(cx, &a, end).await?;
        check!(cx, "FF-WPT-009", (end, open_at(&a, &old.id()).await?), equals((end, String::new())));
        check!(cx, "FF-WPT-009", (end, listed(&a).await?), equals((end, Vec::new())));
        let written = cx.dump().await?;
        let ended = cx.info(&a, &old.id()).await?.state.lifecycle_phase == LifecyclePhase::Terminal;
        let code = if ended { "State(TargetNotSignalable)" } else { "State(WaitpointClosed)" };
        for key in ["a", "b"] {
            check!(cx, "FF-WPT-009", a.deliver_signal(old.signal_at(key, "late")?).await, refused(code));
        }
        check!(cx, "FF-WPT-019", cx.dump().await?, equals(written));
        if !ended {
            cx.claimed(&a, "next").await?;
        }
    }
    Ok(())
}

/// Once a suspension has ended, its time-out does nothing at any later time, whatever became of the execution.
///
/// Covers FF-WPT-010. Needs clock, dump, operator_control, scanners, waitpoints.
pub async fn a_timeout_of_an_ended_suspension_does_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let begin = cx.now().await?;
    let mut ids = Vec::new();
    for (number, end) in [End::Signal, End::Operator, End::Cancel, End::Signal, End::Signal].into_iter().enumerate() {
        let args = times_out(after(begin, 5000), TimeoutBehavior::Fail);
        let old = suspended_with(cx, &a, args).await?;
        match end {
            End::Cancel => drop(a.cancel_execution(CancelExecutionArgs::new(old.id(), "unwanted")).await?),
            End::Operator => drop(a.resume_execution(ResumeExecutionArgs::new(old.id(), "reviewed")).await?),
            _ => drop(a.deliver_signal(old.signal()?).await?),
        }
        if number >= 3 {
            let claimed = cx.claimed_for(&a, "next", ms(3_600_000)).await?;
            if number == 4 {
                a.complete(&claimed.handle, None).await?;
            }
        }
        ids.push(old.id());
    }
    let (mut before, mut afterwards) = (Vec::new(), Vec::new());
    for id in &ids {
        before.push(cx.info(&a, id).await?);
    }
    let written = cx.dump().await?;
    cx.set_time(after(begin, 60_000)).await?;
    for id in &ids {
        afterwards.push(cx.info(&a, id).await?);
    }
    check!(cx, "FF-WPT-010", afterwards, equals(before));
    a.scan(ff_core::ScanArgs::new(ff_core::ScannerKind::SuspensionTimeout)).await?;
    check!(cx, "FF-WPT-010", cx.dump().await?, equals(written));
    Ok(())
}

/// An operator resumes what no signal can: at once or after a delay; a repeat until the next claim changes nothing.
///
/// Covers FF-WPT-025, FF-WPT-012, FF-WPT-013, FF-WPT-011. Needs clock, dump, waitpoints.
pub async fn resume_execution_ends_a_suspension(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = suspended_with(cx, &a, waits_for(&["a"], ResumeCondition::OperatorOnly)).await?;
    let (id, args) = (old.id(), ResumeExecutionArgs::new(old.id(), "reviewed"));
    let resumed = |public_state| ResumeExecutionResult::Resumed { public_state };
    check!(cx, "FF-WPT-025", a.resume_execution(args.clone()).await, answers(resumed(PublicState::Waiting)));
    check!(cx, "FF-WPT-025", vector(&cx.info(&a, &id).await?), reads(INTERRUPTED));
    let written = cx.dump().await?;
    check!(cx, "FF-WPT-025", operator_log(&written, &id), reads("resumed reviewed"));
    check!(cx, "FF-WPT-025", a.resume_execution(args.clone()).await, answers(resumed(PublicState::Waiting)));
    check!(cx, "FF-WPT-025", cx.dump().await?, equals(written));
    let taken = cx.claimed(&a, "next").await?;
    check!(cx, "FF-WPT-025", taken.handle.kind(), equals(HandleKind::Resumed));
    check!(cx, "FF-WPT-013", a.observe_signals(&taken.handle).await?, equals(Vec::new()));
    check!(cx, "FF-WPT-025", a.resume_execution(args).await, refused("State(ExecutionNotSuspended)"));

    let again = suspends(cx, &a, taken, waits_for_any()).await?;
    let delayed = ResumeExecutionArgs::new(id, "later").resume_delay(ms(1000));
    check!(cx, "FF-WPT-025", a.resume_execution(delayed).await, answers(resumed(PublicState::Delayed)));
    check!(cx, "FF-WPT-011", vector(&cx.info(&a, &again.id()).await?), reads(RESUME_DELAYED));
    cx.pass_time(ms(999)).await?;
    check!(cx, "FF-WPT-011", claims(cx, &a).await?.map(|_| ()), is_none());
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-WPT-011", claims(cx, &a).await?.is_some(), is_true());
    Ok(())
}

/// What is not suspended cannot be resumed, whatever else it is.
///
/// Covers FF-WPT-025. Needs clock, dump, waitpoints.
pub async fn resume_execution_refuses_what_is_not_suspended(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    let ended = completed(cx, &a).await?.payload.execution_id;
    let waiting = cx.created_plain(&a).await?;
    let active = cx.claimed(&a, "worker").await?.payload.execution_id;
    let failed = suspended_with(cx, &a, times_out(after(now, 10), TimeoutBehavior::Fail)).await?.id();
    let auto = TimeoutBehavior::AutoResumeWithTimeoutSignal;
    let resumed = suspended_with(cx, &a, times_out(after(now, 10), auto)).await?.id();
    let due = cx.execution()?.execution_deadline_at(after(now, 10));
    let expired = suspended_as(cx, &a, due, waits_for_any()).await?.id();
    cx.set_time(after(now, 10)).await?;
    let written = cx.dump().await?;
    for id in [ended, waiting, active, failed, resumed, expired] {
        let answer = a.resume_execution(ResumeExecutionArgs::new(id, "reviewed")).await;
        check!(cx, "FF-WPT-025", answer, refused("State(ExecutionNotSuspended)"));
    }
    let unknown = ResumeExecutionArgs::new(cx.execution()?.execution_id, "reviewed");
    check!(cx, "FF-WPT-025", a.resume_execution(unknown).await, refused("NotFound(Execution)"));
    let long = ResumeExecutionArgs::new(ended, "x".repeat(4097));
    check!(cx, "FF-WPT-025", a.resume_execution(long).await, refused("Validation(InvalidInput)"));
    check!(cx, "FF-WPT-025", cx.dump().await?, equals(written));
    Ok(())
}

/// What ends a suspended execution ends it as it ends any other.
///
/// Covers FF-WPT-004, FF-EXE-003, FF-WPT-013. Needs clock, dump, operator_control, waitpoints.
pub async fn a_suspended_execution_is_cancelled_and_expires(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = ended_by(cx, &a, End::Cancel).await?.id();
    let dump = cx.dump().await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(CANCELLED));
    check!(cx, "FF-WPT-004", completion_log(&dump, &id), reads("cancelled"));
    check!(cx, "FF-WPT-004", lease_log(&dump, &id), reads("acquired 1, released 1 suspend"));
    check!(cx, "FF-WPT-004", attempt_log(&dump, &id), reads("0 initial ended_cancelled 1"));
    let old = ended_by(cx, &a, End::Deadline).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &old.id()).await?), reads(EXPIRED));
    check!(cx, "FF-WPT-013", a.observe_signals(&old.receipt).await?, equals(Vec::new()));
    Ok(())
}

/// Suspended executions are listed over the whole store by the instant of their suspension and id, behind a cursor
/// that works also when what it names is gone.
///
/// Covers FF-WPT-022. Needs clock, waitpoints.
pub async fn list_suspended_pages_by_instant_and_id(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut all = Vec::new();
    for number in 0..6 {
        if number % 2 == 0 {
            cx.pass_time(ms(5)).await?;
        }
        let mut args =
            waits_for_any().requested_by(SuspensionRequester::Policy).continuation_metadata_pointer("s3://x");
        args.reason_code = SuspensionReasonCode::WaitingForApproval;
        all.push(suspended_with(cx, &a, args).await?);
    }
    let page = a.list_suspended(None, PageLimit::MAX).await?;
    let mut expected: Vec<_> = page.entries.iter().map(|entry| (entry.suspended_at, entry.execution_id)).collect();
    expected.sort();
    let got: Vec<_> = page.entries.iter().map(|entry| (entry.suspended_at, entry.execution_id)).collect();
    check!(cx, "FF-WPT-022", (got.len(), got), equals((6, expected.clone())));
    let shows = page.entries.iter().all(|entry| {
        entry.reason == SuspensionReasonCode::WaitingForApproval
            && entry.requested_by == SuspensionRequester::Policy
            && entry.continuation_metadata_pointer.as_deref() == Some("s3://x")
            && entry.timeout_at.is_none()
    });
    check!(cx, "FF-WPT-022", shows, is_true());

    let two = a.list_suspended(None, PageLimit::new(2)?).await?;
    let cursor = two.next_cursor.ok_or_else(|| Stop::Errored("no second page".to_owned()))?;
    let named = all.iter().find(|old| old.id() == cursor.execution_id);
    let named = named.ok_or_else(|| Stop::Errored("a cursor of nobody".to_owned()))?;
    a.deliver_signal(named.signal()?).await?;
    let rest = a.list_suspended(Some(cursor), PageLimit::MAX).await?;
    let got: Vec<_> = rest.entries.iter().map(|entry| (entry.suspended_at, entry.execution_id)).collect();
    check!(cx, "FF-WPT-022", (got, rest.next_cursor), equals((expected[2..].to_vec(), None)));
    let none = a.list_suspended(None, PageLimit::new(0)?).await?;
    check!(cx, "FF-WPT-022", (none.entries.len(), none.next_cursor), equals((0, None)));
    Ok(())
}

/// Open waitpoints are listed by id with what they ask for and never with their token; closed ones hide none of them.
///
/// Covers FF-WPT-023. Needs clock, waitpoints.
pub async fn list_pending_waitpoints_shows_what_is_open(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let mut claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    // The closed ones stand before the open ones of the suspension.
    let mut ids = [(); 6].map(|()| WaitpointId::new());
    ids.sort_unstable();
    let at =
        |place: usize, key: &str| WaitpointBinding::Fresh { waitpoint_id: ids[place], waitpoint_key: key.to_owned() };
    for place in 0..4 {
        let mut args = waits_for_any();
        args.waitpoints = vec![at(place, "a")];
        let old = suspends(cx, &a, claimed, args).await?;
        a.deliver_signal(old.signal()?).await?;
        claimed = cx.claimed(&a, "next").await?;
    }
    let waiting = pending(cx, &a, &claimed, "p").await?;
    let members = vec![named_at("a", "yes"), named_at("b", "x"), named_at("a", "no"), named_at("a", "yes")];
    let now = cx.now().await?;
    let mut args = waits_for(&["a", "b"], all_of(members)).timeout(after(now, 5000), TimeoutBehavior::Fail);
    args.waitpoints = vec![at(4, "a"), at(5, "b")];
    let old = suspends(cx, &a, claimed, args).await?;

    let list = ListPendingWaitpointsArgs::new(id);
    let page = a.list_pending_waitpoints(list).await?;
    let names = |key: &str| {
        let found = page.waitpoints.iter().find(|waitpoint| waitpoint.waitpoint_key == key);
        found.map(|found| (found.required_signal_names.join(","), found.token_kid.clone(), found.expires_at))
    };
    let first = kid(crate::suspensions::KID)?;
    let end = Some(after(now, 5000));
    check!(cx, "FF-WPT-023", names("a"), equals(Some(("yes,no".to_owned(), first.clone(), end))));
    check!(cx, "FF-WPT-023", names("b"), equals(Some(("x".to_owned(), first.clone(), end))));
    check!(cx, "FF-WPT-023", names("p"), equals(Some((String::new(), first, Some(after(now, 60_000))))));
    let shown = page.waitpoints.iter().find(|waitpoint| waitpoint.waitpoint_id == waiting.waitpoint_id);
    let digits = waiting.token.expose().split_once(':').map(|(_, digits)| digits[..16].to_owned());
    check!(cx, "FF-WPT-023", shown.map(|shown| shown.token_fingerprint.clone()), equals(digits));

    let (mut walked, mut cursor): (Vec<WaitpointId>, _) = (Vec::new(), None);
    loop {
        let page = a.list_pending_waitpoints(list.after(cursor).limit(PageLimit::new(1)?)).await?;
        walked.extend(page.waitpoints.iter().map(|waitpoint| waitpoint.waitpoint_id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let all: Vec<_> = page.waitpoints.iter().map(|waitpoint| waitpoint.waitpoint_id).collect();
    check!(cx, "FF-WPT-023", walked, equals(all));
    let unknown = ListPendingWaitpointsArgs::new(cx.execution()?.execution_id);
    check!(cx, "FF-WPT-023", a.list_pending_waitpoints(unknown).await, refused("NotFound(Execution)"));
    let beyond = ff_core::ExecutionId::from_parts(u16::MAX, id.as_uuid());
    let answer = a.list_pending_waitpoints(ListPendingWaitpointsArgs::new(beyond)).await;
    check!(cx, "FF-WPT-023", answer, refused("Validation(InvalidInput)"));
    check!(cx, "FF-WPT-023", old.id(), equals(id));
    Ok(())
}

/// The policy of an execution gives its suspensions a time-out and a behaviour; what a suspension says itself wins.
///
/// Covers FF-WPT-024. Needs clock, dump, waitpoints.
pub async fn the_policy_of_an_execution_times_its_suspensions_out(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    let rule = SuspensionPolicy { default_timeout_ms: Some(1000), timeout_behavior: TimeoutBehavior::Expire };
    let policy = ExecutionPolicy::new().suspensions(rule);
    let own = times_out(after(now, 2000), TimeoutBehavior::Cancel);
    let by_policy = suspended_as(cx, &a, cx.execution()?.policy(policy.clone()), waits_for_any()).await?.id();
    let by_itself = suspended_as(cx, &a, cx.execution()?.policy(policy), own).await?.id();
    cx.set_time(after(now, 999)).await?;
    check!(cx, "FF-WPT-024", vector(&cx.info(&a, &by_policy).await?), reads(SUSPENDED));
    cx.set_time(after(now, 1000)).await?;
    check!(cx, "FF-WPT-024", vector(&cx.info(&a, &by_policy).await?), reads(EXPIRED));
    check!(cx, "FF-WPT-024", vector(&cx.info(&a, &by_itself).await?), reads(SUSPENDED));
    cx.set_time(after(now, 2000)).await?;
    check!(cx, "FF-WPT-024", vector(&cx.info(&a, &by_itself).await?), reads(CANCELLED));
    Ok(())
}

/// A holder operation after a resume meets the next lease, and a replay of an execution that ended suspended starts a
/// new attempt whose suspensions are its own.
///
/// Covers FF-WPT-001, FF-WPT-013, FF-WPT-009, FF-WPT-021. Needs clock, operator_control, waitpoints.
pub async fn a_replay_of_a_suspended_execution_starts_anew(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = ended_by(cx, &a, End::Timeout(TimeoutBehavior::Fail)).await?;
    a.replay_execution(ff_core::ReplayExecutionArgs::new(old.id())).await?;
    let taken = cx.claimed(&a, "next").await?;
    check!(cx, "FF-WPT-001", (taken.handle.kind(), taken.payload.attempt_index.0), equals((HandleKind::Fresh, 1)));
    check!(cx, "FF-WPT-001", vector(&cx.info(&a, &old.id()).await?), reads(LEASED));
    check!(cx, "FF-WPT-013", a.observe_signals(&taken.handle).await?, equals(Vec::new()));
    check!(cx, "FF-WPT-009", a.deliver_signal(old.signal_at("a", "go")?).await, refused("State(WaitpointClosed)"));
    let mut args = waits_for_any();
    args.suspension_id = SuspensionId::new();
    let new = suspends(cx, &a, taken, args).await?;
    a.deliver_signal(new.signal()?).await?;
    let resumed = cx.claimed(&a, "next").await?;
    let seen = a.observe_signals(&resumed.handle).await?.len();
    check!(cx, "FF-WPT-013", seen, equals(1));
    let stale = a.suspend(&old.claimed.handle, waits_for_any()).await;
    let is_stale = |got: &Result<SuspendOutcome, EngineError>| {
        !matches!(got, Err(EngineError::Contention(ContentionKind::LeaseConflict)) | Ok(_))
    };
    check!(cx, "FF-WPT-021", stale, satisfies("is refused for good", is_stale));
    Ok(())
}

/// A suspension keeps nobody's place but its own: a resumed execution goes ahead of what was created after it.
///
/// Covers FF-CLM-001, FF-WPT-002. Needs clock, waitpoints.
pub async fn a_resumed_execution_keeps_its_place(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = suspended(cx, &a).await?;
    cx.pass_time(ms(5)).await?;
    cx.created_plain(&a).await?;
    a.deliver_signal(old.signal()?).await?;
    let taken = claims(cx, &a).await?.map(|(claimed, kind, ..)| (claimed.payload.execution_id, kind));
    check!(cx, "FF-CLM-001", taken, equals(Some((old.id(), HandleKind::Resumed))));
    Ok(())
}
