//! Cases of failure: what is retried, how often, and what a repeated call is told.

use std::{collections::BTreeSet, sync::Arc};

use ff_core::{
    AttemptIndex, Backoff, EngineBackend, ExecutionPolicy, FailOutcome, FailureClass, FailureReason, HandleKind,
    LifecyclePhase, RetryPolicy, TerminalOutcome,
};

use futures::future::join_all;

use crate::{
    Claimed, Cx, TTL, Verdict, answers, check,
    crowds::{claim_order, clients},
    equals,
    holders::code,
    instants::{after, before, ms},
    is_none, is_true, refused, refused_with,
    stages::{backing_off, failed, held, held_as, not_active, retrying},
    words::{BACKING_OFF, FAILED, LAPSED, LEASED, RETRY_DUE, attempt_log, completion_log, lease_log, reads, vector},
};

/// Fails what `claimed` holds, as `class`.
async fn fail(
    client: &Arc<dyn EngineBackend>,
    claimed: &Claimed,
    class: FailureClass,
) -> Result<FailOutcome, ff_core::EngineError> {
    client.fail(&claimed.handle, FailureReason::new("broken"), class).await
}

const fn is_retried(outcome: FailOutcome) -> bool {
    matches!(outcome, FailOutcome::RetryScheduled { .. })
}

/// Without a retry policy every failure is terminal, whatever its class.
///
/// Covers FF-EXE-030, FF-EXE-036.
pub async fn fail_without_a_policy_is_terminal(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for class in FailureClass::ALL {
        let claimed = held(cx, &a).await?;
        check!(cx, "FF-EXE-030", fail(&a, &claimed, *class).await, answers(FailOutcome::TerminalFailed));
        let info = cx.info(&a, &claimed.payload.execution_id).await?;
        check!(cx, "FF-EXE-036", vector(&info), reads(FAILED));
        check!(cx, "FF-EXE-036", info.failure_category.as_deref(), equals(Some(class.as_str())));
    }
    Ok(())
}

/// With a retry policy transient failures, crashes and time-outs are retried, permanent and cancelled ones never.
///
/// Covers FF-EXE-030.
pub async fn fail_retries_by_class(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for (class, retried) in [
        (FailureClass::Transient, true),
        (FailureClass::InfraCrash, true),
        (FailureClass::Timeout, true),
        (FailureClass::Permanent, false),
        (FailureClass::Cancelled, false),
    ] {
        let claimed = held_as(cx, &a, cx.execution()?.policy(retrying(3, 1000))).await?;
        let outcome = fail(&a, &claimed, class).await?;
        check!(cx, "FF-EXE-030", (class, is_retried(outcome)), equals((class, retried)));
    }
    Ok(())
}

/// A policy of no retries is no retry.
///
/// Covers FF-EXE-030, FF-EXE-031.
pub async fn fail_with_no_retries_is_terminal(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held_as(cx, &a, cx.execution()?.policy(retrying(0, 0))).await?;
    let outcome = fail(&a, &claimed, FailureClass::Transient).await;
    check!(cx, "FF-EXE-031", outcome, answers(FailOutcome::TerminalFailed));
    check!(cx, "FF-EXE-030", cx.info(&a, &claimed.payload.execution_id).await?.retry_count, equals(0));
    Ok(())
}

/// A failure that is retried after a wait leaves an execution that waits for its due instant.
///
/// Covers FF-EXE-035, FF-EXE-003, FF-EXE-002, FF-EXE-011, FF-EXE-040, FF-LSE-003, FF-SUB-001.
pub async fn fail_with_a_wait_leaves_work_that_waits(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held_as(cx, &a, cx.execution()?.policy(retrying(3, 1500))).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(5)).await?;
    let now = cx.now().await?;
    let reason = FailureReason::new("Leitung tot").category("network");

    let outcome = a.fail(&claimed.handle, reason, FailureClass::Transient).await;

    let delay_until = after(now, 1500);
    check!(cx, "FF-EXE-035", outcome, answers(FailOutcome::RetryScheduled { delay_until }));
    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-003", vector(&info), reads(BACKING_OFF));
    check!(cx, "FF-EXE-035", (info.delay_until, info.last_transition_at), equals((Some(delay_until), now)));
    let why = (info.failure_reason.as_deref(), info.failure_category.as_deref());
    check!(cx, "FF-EXE-035", why, equals((Some("Leitung tot"), Some("network"))));
    check!(cx, "FF-EXE-011", (info.retry_count, info.total_attempt_count), equals((1, 1)));
    check!(cx, "FF-EXE-040", (info.current_attempt, info.completed_at), equals((None, None)));
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_failure 1"));
    let ended = dump.attempts.iter().all(|attempt| {
        attempt.ended_at == Some(now)
            && attempt.failure_reason.as_deref() == Some("Leitung tot")
            && attempt.failure_category.as_deref() == Some("network")
    });
    check!(cx, "FF-EXE-002", ended, is_true());
    check!(cx, "FF-LSE-003", lease_log(&dump, &id), reads("acquired 1, released 1 failed_retry_scheduled"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads(""));
    Ok(())
}

/// A failure that is retried at once leaves an execution that a claim may take in the same instant.
///
/// Covers FF-EXE-035, FF-EXE-003.
pub async fn fail_without_a_wait_leaves_work_that_is_ready(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held_as(cx, &a, cx.execution()?.policy(retrying(1, 0))).await?;
    let id = claimed.payload.execution_id;
    let delay_until = cx.now().await?;

    let outcome = fail(&a, &claimed, FailureClass::InfraCrash).await;

    check!(cx, "FF-EXE-035", outcome, answers(FailOutcome::RetryScheduled { delay_until }));
    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&info), reads(RETRY_DUE));
    check!(cx, "FF-EXE-035", info.delay_until, is_none());
    check!(cx, "FF-EXE-035", claim_order(cx, &a, 1).await?, equals(vec![id]));
    Ok(())
}

/// A retry can be claimed from exactly its due instant on, as fresh work with a new attempt.
///
/// Covers FF-EXE-035, FF-CLM-005, FF-CLM-012, FF-EXE-001, FF-EXE-003.
pub async fn claim_takes_a_retry_from_its_due_instant_on(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (first, _) = backing_off(cx, &a, 1500).await?;
    let id = first.payload.execution_id;
    let due = after(cx.now().await?, 1500);

    cx.set_time(before(due, 1)).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(BACKING_OFF));
    check!(cx, "FF-EXE-035", claim_order(cx, &a, 1).await?, equals(vec![]));
    cx.set_time(due).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(RETRY_DUE));
    let second = cx.claimed(&a, "worker").await?;
    let got = (second.handle.kind(), second.payload.attempt_index, second.payload.fence.lease_epoch.0);
    check!(cx, "FF-CLM-012", got, equals((HandleKind::Fresh, AttemptIndex(1), 2)));
    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-003", vector(&info), reads(LEASED));
    check!(cx, "FF-EXE-035", info.delay_until, is_none());
    check!(cx, "FF-EXE-001", attempt_log(&dump, &id), reads("0 initial ended_failure 1, 1 retry started 2"));
    Ok(())
}

/// Retries come to the limit and no further: the failure after the last one is terminal.
///
/// Covers FF-EXE-031, FF-EXE-011, FF-EXE-001, FF-SUB-001.
pub async fn fail_retries_up_to_the_limit(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for most in [1, 3, 7] {
        let id = cx.created(&a, cx.execution()?.policy(retrying(most, 10))).await?;
        for retry in 1..=most {
            let claimed = cx.claimed(&a, "worker").await?;
            let outcome = fail(&a, &claimed, FailureClass::Transient).await?;
            check!(cx, "FF-EXE-031", (retry, is_retried(outcome)), equals((retry, true)));
            check!(cx, "FF-EXE-011", cx.info(&a, &id).await?.retry_count, equals(retry));
            cx.pass_time(ms(10)).await?;
        }
        let last = cx.claimed(&a, "worker").await?;
        let outcome = fail(&a, &last, FailureClass::Transient).await;
        check!(cx, "FF-EXE-031", outcome, answers(FailOutcome::TerminalFailed));
        let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
        check!(cx, "FF-EXE-031", vector(&info), reads(FAILED));
        check!(cx, "FF-EXE-011", (info.retry_count, info.total_attempt_count), equals((most, most + 1)));
        check!(cx, "FF-EXE-001", last.payload.attempt_index, equals(AttemptIndex(most)));
        check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("failed"));
    }
    Ok(())
}

/// A retry policy without words allows three retries.
///
/// Covers FF-EXE-031.
pub async fn three_retries_are_allowed_by_default(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created(&a, cx.execution()?.policy(ExecutionPolicy::new().retry(RetryPolicy::default()))).await?;
    let mut retries = 0;
    for _ in 0..5 {
        let claimed = cx.claimed(&a, "worker").await?;
        match fail(&a, &claimed, FailureClass::Timeout).await? {
            FailOutcome::RetryScheduled { delay_until } => cx.set_time(delay_until).await?,
            FailOutcome::TerminalFailed => break,
        }
        retries += 1;
    }
    check!(cx, "FF-EXE-031", (retries, cx.info(&a, &id).await?.retry_count), equals((3, 3)));
    Ok(())
}

/// Take-overs use up no retries, and retries no take-overs.
///
/// Covers FF-EXE-011, FF-EXE-031.
pub async fn retries_and_take_overs_are_counted_apart(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = retrying(1, 0).max_reclaim_count(1);
    let id = cx.created(&a, cx.execution()?.policy(policy)).await?;
    cx.claimed(&a, "worker").await?;
    cx.pass_time(TTL).await?;
    let second = cx.claimed(&a, "worker").await?;
    check!(cx, "FF-EXE-031", is_retried(fail(&a, &second, FailureClass::Transient).await?), is_true());
    let third = cx.claimed(&a, "worker").await?;
    let info = cx.info(&a, &id).await?;
    let counters = (info.total_attempt_count, info.retry_count, info.lease_reclaim_count);
    check!(cx, "FF-EXE-011", counters, equals((3, 1, 1)));
    let outcome = fail(&a, &third, FailureClass::Transient).await;
    check!(cx, "FF-EXE-031", outcome, answers(FailOutcome::TerminalFailed));
    Ok(())
}

/// A terminal failure ends execution, attempt and lease as failed, with message and category, and tells so.
///
/// Covers FF-EXE-036, FF-EXE-003, FF-EXE-002, FF-LSE-003, FF-SUB-001.
pub async fn fail_for_good_ends_the_execution_as_failed(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(5)).await?;
    let now = cx.now().await?;
    let reason = FailureReason::new("kaputt").category("disk");

    let outcome = a.fail(&claimed.handle, reason, FailureClass::Permanent).await;

    check!(cx, "FF-EXE-036", outcome, answers(FailOutcome::TerminalFailed));
    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-003", vector(&info), reads(FAILED));
    let why = (info.failure_reason.as_deref(), info.failure_category.as_deref());
    check!(cx, "FF-EXE-036", why, equals((Some("kaputt"), Some("disk"))));
    check!(cx, "FF-EXE-036", (info.completed_at, info.last_transition_at), equals((Some(now), now)));
    check!(cx, "FF-EXE-036", (info.cancellation_reason, info.cancelled_by), equals((None, None)));
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_failure 1"));
    let ended = dump.attempts.iter().all(|attempt| {
        attempt.ended_at == Some(now)
            && attempt.failure_reason.as_deref() == Some("kaputt")
            && attempt.failure_category.as_deref() == Some("disk")
    });
    check!(cx, "FF-EXE-002", ended, is_true());
    check!(cx, "FF-LSE-003", lease_log(&dump, &id), reads("acquired 1, released 1 failed_terminal"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("failed"));
    Ok(())
}

/// If the policy lists categories only failures of these are retried; a failure without one has its class's word.
///
/// Covers FF-EXE-034.
pub async fn fail_retries_listed_categories_only(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let listed = ["network", "timeout", "a,b", "größe"];
    for (category, class, retried) in [
        (Some("network"), FailureClass::Transient, true),
        (Some("größe"), FailureClass::Transient, true),
        (Some("a,b"), FailureClass::Transient, true),
        (Some("a"), FailureClass::Transient, false),
        (Some("Network"), FailureClass::Transient, false),
        (Some("net"), FailureClass::Transient, false),
        (Some("network"), FailureClass::Permanent, false),
        (Some("disk"), FailureClass::Timeout, false),
        (None, FailureClass::Timeout, true),
        (None, FailureClass::Transient, false),
    ] {
        let retryable_categories: BTreeSet<String> = listed.map(str::to_owned).into();
        let retry = RetryPolicy { retryable_categories, ..RetryPolicy::default() };
        let claimed = held_as(cx, &a, cx.execution()?.policy(ExecutionPolicy::new().retry(retry))).await?;
        let reason = FailureReason::new("broken");
        let reason = category.map_or(reason.clone(), |category| reason.category(category));
        let outcome = a.fail(&claimed.handle, reason, class).await?;
        check!(cx, "FF-EXE-034", (category, class, is_retried(outcome)), equals((category, class, retried)));
    }
    Ok(())
}

/// If the policy lists no categories every category is retried.
///
/// Covers FF-EXE-034.
pub async fn fail_retries_any_category_if_none_is_listed(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for category in ["network", "permanent", "\u{1f980}"] {
        let claimed = held_as(cx, &a, cx.execution()?.policy(retrying(1, 1000))).await?;
        let reason = FailureReason::new("broken").category(category);
        let outcome = a.fail(&claimed.handle, reason, FailureClass::Transient).await?;
        check!(cx, "FF-EXE-034", is_retried(outcome), is_true());
    }
    Ok(())
}

/// Failing again before the next claim is the first answer again, also when the retry has become due.
///
/// Covers FF-EXE-028, FF-EXE-011.
pub async fn fail_again_returns_the_scheduled_retry(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    for backoff in [Backoff::Fixed { delay_ms: 1000 }, jittered(), Backoff::Fixed { delay_ms: 0 }] {
        let retry = RetryPolicy { backoff, ..RetryPolicy::default() };
        let claimed = held_as(cx, &a, cx.execution()?.policy(ExecutionPolicy::new().retry(retry))).await?;
        let first = fail(&a, &claimed, FailureClass::Transient).await?;
        let written = cx.dump().await?;

        for span in [0, 500, 1500] {
            cx.pass_time(ms(span)).await?;
            for class in FailureClass::ALL {
                check!(cx, "FF-EXE-028", fail(&b, &claimed, *class).await, answers(first));
            }
        }
        check!(cx, "FF-EXE-028", cx.dump().await?, equals(written));
        check!(cx, "FF-EXE-011", cx.info(&a, &claimed.payload.execution_id).await?.retry_count, equals(1));
        cx.claimed(&a, "worker").await?;
    }
    Ok(())
}

const fn jittered() -> Backoff {
    Backoff::Exponential { initial_delay_ms: 1000, max_delay_ms: 1000, multiplier: 2.0, jitter: true }
}

/// Failing again after the next claim is a stale call; it ends nobody's work.
///
/// Covers FF-EXE-028, FF-LSE-004.
pub async fn fail_again_after_the_next_claim_is_stale(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (old, _) = backing_off(cx, &a, 0).await?;
    cx.claimed(&a, "other").await?;
    let written = cx.dump().await?;

    check!(cx, "FF-LSE-004", fail(&a, &old, FailureClass::Transient).await, refused("State(StaleLease)"));

    let id = old.payload.execution_id;
    check!(cx, "FF-EXE-028", vector(&cx.info(&a, &id).await?), reads(LEASED));
    check!(cx, "FF-LSE-004", cx.dump().await?, equals(written));
    cx.pass_time(TTL).await?;
    check!(cx, "FF-LSE-004", fail(&a, &old, FailureClass::Transient).await, refused("State(LeaseExpired)"));
    check!(cx, "FF-EXE-028", vector(&cx.info(&a, &id).await?), reads(LAPSED));
    Ok(())
}

/// Failing again after a terminal failure is the first answer again; message and category stay.
///
/// Covers FF-EXE-028, FF-SUB-001.
pub async fn fail_again_returns_the_terminal_failure(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let claimed = failed(cx, &a).await?;
    let written = cx.dump().await?;

    for span in [ms(0), TTL] {
        cx.pass_time(span).await?;
        let reason = FailureReason::new("another reason").category("other");
        let answer = b.fail(&claimed.handle, reason, FailureClass::Transient).await;
        check!(cx, "FF-EXE-028", answer, answers(FailOutcome::TerminalFailed));
    }
    let dump = cx.dump().await?;
    check!(cx, "FF-SUB-001", completion_log(&dump, &claimed.payload.execution_id), reads("failed"));
    check!(cx, "FF-EXE-028", dump, equals(written));
    Ok(())
}

/// A scheduled retry that another worker completed is no first answer any more: the late repeat learns how it ended.
///
/// Covers FF-EXE-028, FF-ERR-004.
pub async fn fail_again_after_another_completed_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (old, _) = backing_off(cx, &a, 0).await?;
    let new = cx.claimed(&a, "other").await?;
    a.complete(&new.handle, None).await?;

    let ended = not_active(&new, TerminalOutcome::Success, LifecyclePhase::Terminal);
    check!(cx, "FF-ERR-004", fail(&a, &old, FailureClass::Transient).await, refused_with(ended));
    let answers = [code(&a.renew(&old.handle).await), code(&a.complete(&old.handle, None).await)];
    check!(
        cx,
        "FF-EXE-028",
        answers,
        equals(["Contention(ExecutionNotActive)", "Contention(ExecutionNotActive)"].map(str::to_owned))
    );
    Ok(())
}

/// However often the work fails, `retry_count` stays at its cap.
///
/// Covers FF-EXE-011.
pub async fn retry_count_never_exceeds_its_cap(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for most in [0, 2] {
        let id = cx.created(&a, cx.execution()?.policy(retrying(most, 0))).await?;
        for _ in 0..most + 3 {
            let Some(claimed) = cx.try_claim(&a, "worker", TTL).await? else { break };
            fail(&a, &claimed, FailureClass::Transient).await?;
        }
        let info = cx.info(&a, &id).await?;
        check!(cx, "FF-EXE-011", (info.retry_count, info.total_attempt_count), equals((most, most + 1)));
    }
    Ok(())
}

/// Of many failures by one holder at the same time one schedules the retry, and all answer its due instant.
///
/// Covers FF-EXE-028, FF-EXE-011.
pub async fn failures_at_once_schedule_one_retry(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(crate::Stop::Errored("no client".to_owned())) };
    for _ in 0..5 {
        let retry = RetryPolicy { backoff: jittered(), ..RetryPolicy::default() };
        let claimed = held_as(cx, a, cx.execution()?.policy(ExecutionPolicy::new().retry(retry))).await?;

        let fails = clients.iter().map(|client| fail(client, &claimed, FailureClass::Transient));
        let outcomes = join_all(fails).await.into_iter().collect::<Result<Vec<_>, _>>()?;

        let info = cx.info(a, &claimed.payload.execution_id).await?;
        let stored = info.delay_until.map(|delay_until| FailOutcome::RetryScheduled { delay_until });
        let told: Vec<_> = outcomes.into_iter().map(Some).collect();
        check!(cx, "FF-EXE-028", told, equals(vec![stored; 4]));
        check!(cx, "FF-EXE-011", info.retry_count, equals(1));
    }
    Ok(())
}

/// A reader finds the last failure, also when the work succeeded later.
///
/// Covers FF-EXE-041.
pub async fn the_last_failure_stays_readable(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created(&a, cx.execution()?.policy(retrying(2, 0))).await?;
    let told = |info: ff_core::ExecutionInfo| (info.failure_reason, info.failure_category);
    let words = |reason: &str, category: &str| (Some(reason.to_owned()), Some(category.to_owned()));

    let first = cx.claimed(&a, "worker").await?;
    a.fail(&first.handle, FailureReason::new("first").category("disk"), FailureClass::Transient).await?;
    check!(cx, "FF-EXE-041", told(cx.info(&a, &id).await?), equals(words("first", "disk")));
    let second = cx.claimed(&a, "worker").await?;
    check!(cx, "FF-EXE-041", told(cx.info(&a, &id).await?), equals(words("first", "disk")));
    a.fail(&second.handle, FailureReason::new("second"), FailureClass::Timeout).await?;
    let third = cx.claimed(&a, "worker").await?;
    a.complete(&third.handle, None).await?;
    check!(cx, "FF-EXE-041", told(cx.info(&a, &id).await?), equals(words("second", "timeout")));
    let reasons: Vec<_> = cx.dump().await?.attempts.into_iter().map(|attempt| attempt.failure_reason).collect();
    check!(cx, "FF-EXE-041", reasons, equals(vec![Some("first".to_owned()), Some("second".to_owned()), None]));
    Ok(())
}
