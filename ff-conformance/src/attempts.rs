//! Cases of what a holder does: progress, completion, its own cancel, and their repeats.

use ff_core::{
    EngineError, FailureClass, FailureReason, LeaseStatus, LifecyclePhase, Progress, PublicState, TerminalOutcome,
};
use futures::future::join3;

use crate::{
    Cx, TTL, Verdict, answers, check, equals,
    holders::{code, holder_answers},
    instants::ms,
    is_ok, is_true,
    reads::read_all,
    refused_with,
    stages::{cancelled, completed, failed, held, not_active},
    words::{CANCELLED, COMPLETED, LEASED, attempt_log, completion_log, lease_log, reads, vector},
};

/// Progress stores percent, message and instant, and changes nothing else.
///
/// Covers FF-EXE-038, FF-EXE-003, FF-LSE-010.
pub async fn progress_stores_what_it_is_told(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    let mut expected = read_all(cx, &a, &id).await?;
    cx.pass_time(ms(5)).await?;
    let now = cx.now().await?;

    check!(cx, "FF-EXE-038", a.progress(&claimed.handle, Some(40), Some("vierzig %".to_owned())).await, is_ok());

    let told = Progress { percent: Some(40), message: Some("vierzig %".to_owned()), updated_at: now };
    expected.info.progress = Some(told);
    (expected.info.last_mutation_at, expected.snapshot.last_mutation_at) = (now, now);
    let seen = read_all(cx, &a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&seen.info), reads(LEASED));
    check!(cx, "FF-EXE-038", seen, equals(expected));
    check!(cx, "FF-LSE-010", lease_log(&cx.dump().await?, &id), reads("acquired 1"));
    Ok(())
}

/// What progress is not told stays as it was, and the empty message is a message.
///
/// Covers FF-EXE-038.
pub async fn progress_leaves_what_it_is_not_told(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let text = |text: &str| Some(text.to_owned());
    let steps = [
        ((None, None), (None, None)),
        ((Some(7), None), (Some(7), None)),
        ((None, text("seven")), (Some(7), text("seven"))),
        ((None, None), (Some(7), text("seven"))),
        ((Some(0), None), (Some(0), text("seven"))),
        ((None, text("")), (Some(0), text(""))),
    ];
    for ((percent, message), expected) in steps {
        cx.pass_time(ms(1)).await?;
        check!(cx, "FF-EXE-038", a.progress(&claimed.handle, percent, message).await, is_ok());
        let told = cx.info(&a, &claimed.payload.execution_id).await?.progress;
        let updated_at = cx.now().await?;
        check!(cx, "FF-EXE-038", told, equals(Some(Progress { percent: expected.0, message: expected.1, updated_at })));
    }
    Ok(())
}

/// Completion ends execution, attempt and lease with success, and tells so, in one step.
///
/// Covers FF-EXE-027, FF-EXE-003, FF-EXE-002, FF-EXE-040, FF-SUB-001, FF-LSE-003.
pub async fn complete_ends_the_execution_with_success(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(5)).await?;
    let now = cx.now().await?;

    check!(cx, "FF-EXE-027", a.complete(&claimed.handle, Some(b"done".to_vec())).await, is_ok());

    let seen = read_all(cx, &a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&seen.info), reads(COMPLETED));
    check!(cx, "FF-EXE-027", seen.result, equals(Some(b"done".to_vec())));
    check!(cx, "FF-EXE-027", (seen.info.completed_at, seen.info.last_transition_at), equals((Some(now), now)));
    let lease = (&seen.snapshot.current_lease, seen.snapshot.lease_status);
    check!(cx, "FF-EXE-040", lease, equals((&None, LeaseStatus::None)));
    let attempt = seen.snapshot.current_attempt.map(|attempt| attempt.attempt_id);
    check!(cx, "FF-EXE-040", attempt, equals(Some(claimed.payload.fence.attempt_id)));
    let dump = cx.dump().await?;
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_success 1"));
    check!(cx, "FF-EXE-002", dump.attempts.iter().all(|attempt| attempt.ended_at == Some(now)), is_true());
    check!(cx, "FF-LSE-003", lease_log(&dump, &id), reads("acquired 1, released 1 completed"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("success"));
    Ok(())
}

/// An event of an end carries the lease that ended, its worker, its instant and its execution's namespace.
///
/// Covers FF-LSE-011, FF-SUB-001.
pub async fn the_events_of_an_end_carry_their_facts(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut args = cx.execution()?;
    args.namespace = cx.namespace("told")?;
    let claimed = crate::stages::held_as(cx, &a, args.clone()).await?;
    cx.pass_time(ms(5)).await?;
    a.complete(&claimed.handle, None).await?;

    let (dump, now, payload) = (cx.dump().await?, cx.now().await?, claimed.payload);
    let released = dump.lease_history.last().is_some_and(|event| {
        (event.execution_id, event.at) == (payload.execution_id, now)
            && (event.lease_id, event.lease_epoch) == (payload.fence.lease_id, payload.fence.lease_epoch)
            && event.attempt_index == payload.attempt_index
            && event.worker_instance_id == payload.worker_instance_id
            && event.namespace == args.namespace
    });
    check!(cx, "FF-LSE-011", released, is_true());
    let completed = dump.completions.last().is_some_and(|event| {
        (event.execution_id, event.at, event.outcome) == (payload.execution_id, now, TerminalOutcome::Success)
            && event.namespace == args.namespace
    });
    check!(cx, "FF-SUB-001", completed, is_true());
    Ok(())
}

/// Completing again is the first answer again: nothing is written, the first result stays, one completion is told.
///
/// Covers FF-EXE-028, FF-SUB-001.
pub async fn complete_again_changes_nothing(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let claimed = completed(cx, &a).await?;
    let id = claimed.payload.execution_id;
    let written = cx.dump().await?;

    for span in [ms(0), ms(1), TTL] {
        cx.pass_time(span).await?;
        for payload in [Some(b"done".to_vec()), Some(b"other".to_vec()), Some(Vec::new()), None] {
            check!(cx, "FF-EXE-028", a.complete(&claimed.handle, payload.clone()).await, is_ok());
            check!(cx, "FF-EXE-028", b.complete(&claimed.handle, payload).await, is_ok());
        }
    }
    check!(cx, "FF-EXE-028", a.get_execution_result(&id).await?, equals(Some(b"done".to_vec())));
    let dump = cx.dump().await?;
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("success"));
    check!(cx, "FF-EXE-028", dump, equals(written));
    Ok(())
}

/// A first completion without a result stays without one.
///
/// Covers FF-EXE-028.
pub async fn complete_again_adds_no_result(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    a.complete(&claimed.handle, None).await?;
    check!(cx, "FF-EXE-028", a.complete(&claimed.handle, Some(b"late".to_vec())).await, is_ok());
    check!(cx, "FF-EXE-028", a.get_execution_result(&claimed.payload.execution_id).await?, equals(None));
    Ok(())
}

/// The worker's cancel ends execution, attempt and lease as cancelled, and tells so, in one step.
///
/// Covers FF-EXE-037, FF-EXE-003, FF-EXE-002, FF-SUB-001, FF-LSE-003.
pub async fn cancel_ends_the_execution_as_cancelled(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(5)).await?;
    let now = cx.now().await?;

    check!(cx, "FF-EXE-037", a.cancel(&claimed.handle, "kein Bedarf").await, is_ok());

    let seen = read_all(cx, &a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&seen.info), reads(CANCELLED));
    let why = (seen.info.cancellation_reason.as_deref(), seen.info.cancelled_by.as_deref());
    check!(cx, "FF-EXE-037", why, equals((Some("kein Bedarf"), Some("worker"))));
    check!(cx, "FF-EXE-037", (seen.info.completed_at, seen.info.last_transition_at), equals((Some(now), now)));
    check!(cx, "FF-EXE-037", (seen.info.failure_reason, seen.info.failure_category), equals((None, None)));
    check!(cx, "FF-EXE-037", seen.snapshot.lease_status, equals(LeaseStatus::None));
    let dump = cx.dump().await?;
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_cancelled 1"));
    check!(cx, "FF-LSE-003", lease_log(&dump, &id), reads("acquired 1, released 1 cancelled"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("cancelled"));
    Ok(())
}

/// Cancelling again is the first answer again: nothing is written and the first reason stays.
///
/// Covers FF-EXE-028, FF-SUB-001.
pub async fn cancel_again_changes_nothing(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let claimed = cancelled(cx, &a).await?;
    let written = cx.dump().await?;

    for span in [ms(0), TTL] {
        cx.pass_time(span).await?;
        check!(cx, "FF-EXE-028", a.cancel(&claimed.handle, "no longer wanted").await, is_ok());
        check!(cx, "FF-EXE-028", b.cancel(&claimed.handle, "another reason").await, is_ok());
    }
    let dump = cx.dump().await?;
    check!(cx, "FF-SUB-001", completion_log(&dump, &claimed.payload.execution_id), reads("cancelled"));
    check!(cx, "FF-EXE-028", dump, equals(written));
    Ok(())
}

/// Another ending call than the first is refused with how the execution ended, and writes nothing.
///
/// Covers FF-EXE-029, FF-ERR-004.
pub async fn another_end_than_the_first_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let ends = [
        (completed(cx, &a).await?, "complete", TerminalOutcome::Success),
        (failed(cx, &a).await?, "fail", TerminalOutcome::Failed),
        (cancelled(cx, &a).await?, "cancel", TerminalOutcome::Cancelled),
    ];
    let written = cx.dump().await?;

    for (claimed, end, outcome) in ends {
        let refusal = not_active(&claimed, outcome, LifecyclePhase::Terminal);
        let answers = holder_answers(&a, &claimed.handle).await;
        for (operation, answer) in answers {
            let expected = if operation == end { "Ok".to_owned() } else { refusal.code() };
            check!(cx, "FF-EXE-029", (end, operation, answer), equals((end, operation, expected)));
        }
        check!(cx, "FF-ERR-004", a.renew(&claimed.handle).await, refused_with(refusal));
    }
    check!(cx, "FF-EXE-029", cx.dump().await?, equals(written));
    Ok(())
}

/// The whole way: create, claim, complete, and the result is there for everybody.
///
/// Covers FF-EXE-027, FF-EXE-004.
pub async fn work_goes_from_create_to_result(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let bytes: Vec<u8> = (0..=u8::MAX).rev().collect();
    let id = cx.created(&a, cx.execution()?.input_payload(bytes.clone())).await?;
    let claimed = cx.claimed(&b, "worker").await?;
    let input = cx.info(&b, &claimed.payload.execution_id).await?.input_payload;
    check!(cx, "FF-EXE-027", b.complete(&claimed.handle, Some(input)).await, is_ok());
    check!(cx, "FF-EXE-027", a.get_execution_result(&id).await, answers(Some(bytes)));
    check!(cx, "FF-EXE-004", read_all(cx, &a, &id).await?.public_states(), equals([PublicState::Completed; 3]));
    Ok(())
}

/// Of three ends by one holder at the same time exactly one takes effect.
///
/// Covers FF-EXE-029, FF-SUB-001, FF-EXE-005.
pub async fn of_ends_at_once_one_takes_effect(cx: &Cx) -> Verdict {
    let (a, b, c) = (cx.client("a").await?, cx.client("b").await?, cx.client("c").await?);
    for _ in 0..10 {
        let claimed = held(cx, &a).await?;
        let handle = &claimed.handle;

        let (completed, failed, cancelled) = join3(
            a.complete(handle, Some(b"done".to_vec())),
            b.fail(handle, FailureReason::new("broken"), FailureClass::Permanent),
            c.cancel(handle, "over"),
        )
        .await;

        let mut got = [code(&completed), code(&failed), code(&cancelled)];
        got.sort();
        let refused = "Contention(ExecutionNotActive)".to_owned();
        check!(cx, "FF-EXE-029", got, equals([refused.clone(), refused, "Ok".to_owned()]));
        let state = cx.info(&a, &claimed.payload.execution_id).await?.public_state;
        let expected = if completed.is_ok() {
            PublicState::Completed
        } else if failed.is_ok() {
            PublicState::Failed
        } else {
            PublicState::Cancelled
        };
        check!(cx, "FF-EXE-005", state, equals(expected));
        let told = completion_log(&cx.dump().await?, &claimed.payload.execution_id);
        check!(cx, "FF-SUB-001", told.contains(','), equals(false));
    }
    Ok(())
}

/// Of many completions by one holder at the same time all succeed, and one result and one completion are there.
///
/// Covers FF-EXE-028, FF-SUB-001.
pub async fn completions_at_once_are_one(cx: &Cx) -> Verdict {
    let clients = crate::crowds::clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(crate::Stop::Errored("no client".to_owned())) };
    for _ in 0..5 {
        let claimed = held(cx, a).await?;
        let completes = clients.iter().zip(0_u8..).map(|(client, n)| client.complete(&claimed.handle, Some(vec![n])));

        let answers: Result<Vec<()>, EngineError> = futures::future::join_all(completes).await.into_iter().collect();

        check!(cx, "FF-EXE-028", answers, is_ok());
        let result = a.get_execution_result(&claimed.payload.execution_id).await?;
        check!(cx, "FF-EXE-028", result.is_some_and(|result| matches!(*result, [0..=3])), is_true());
        let dump = cx.dump().await?;
        check!(cx, "FF-SUB-001", completion_log(&dump, &claimed.payload.execution_id), reads("success"));
    }
    Ok(())
}
