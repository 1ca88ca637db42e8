//! Cases of the limits that a policy sets in time: of each attempt, and of the whole execution.

use std::{collections::BTreeSet, sync::Arc};

use ff_core::{
    Backoff, EngineBackend, ExecutionPolicy, FailureClass, FailureReason, HandleKind, LifecyclePhase, RetryPolicy,
    TerminalOutcome, TimeoutPolicy, TimestampMs,
};

use crate::{
    Claimed, Cx, Stop, TTL, Verdict, check,
    crowds::{claim_order, claims_at_once, clients, created_many},
    equals,
    holders::{all_refused, holder_answers},
    instants::{after, before, ms},
    is_none, is_ok, is_true,
    reads::read_all,
    refused, refused_with,
    routes::limited,
    stages::{held_as, not_active, retrying},
    words::{
        BACKING_OFF, EXPIRED, EXPIRED_UNSTARTED, FAILED, LAPSED, LEASED, WAITING, attempt_log, completion_log,
        lease_log, reads, vector,
    },
};

/// The limit of an attempt unless a case says otherwise.
const LIMIT_MS: u64 = 1000;

/// Work whose attempts may take [`LIMIT_MS`], under a lease that was asked for longer.
async fn limited_work(cx: &Cx, client: &Arc<dyn EngineBackend>, policy: ExecutionPolicy) -> Result<Claimed, Stop> {
    held_as(cx, client, cx.execution()?.policy(policy.timeouts(limited(LIMIT_MS)))).await
}

/// When the live lease of an execution ends.
async fn lease_end(cx: &Cx, client: &Arc<dyn EngineBackend>, claimed: &Claimed) -> Result<Option<TimestampMs>, Stop> {
    let lease = read_all(cx, client, &claimed.payload.execution_id).await?.snapshot.current_lease;
    Ok(lease.map(|lease| lease.expires_at))
}

/// A lease ends with the time of its attempt at the latest, at the claim and at every renewal.
///
/// Covers FF-LSE-063.
pub async fn no_lease_outlives_the_time_of_its_attempt(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for (ttl_ms, granted, early) in [(60_000, 1000, 1000), (1001, 1000, 1000), (1000, 1000, 1000), (900, 900, 950)] {
        cx.created(&a, cx.execution()?.policy(ExecutionPolicy::new().timeouts(limited(LIMIT_MS)))).await?;
        let begin = cx.now().await?;
        let claimed = cx.claimed_for(&a, "worker", ms(ttl_ms)).await?;
        check!(cx, "FF-LSE-063", lease_end(cx, &a, &claimed).await?, equals(Some(after(begin, granted))));
        cx.pass_time(ms(50)).await?;
        check!(cx, "FF-LSE-063", a.renew(&claimed.handle).await?.expires_at, equals(after(begin, early)));
        cx.pass_time(ms(800)).await?;
        check!(cx, "FF-LSE-063", a.renew(&claimed.handle).await?.expires_at, equals(after(begin, 1000)));
        check!(cx, "FF-LSE-063", lease_end(cx, &a, &claimed).await?, equals(Some(after(begin, 1000))));
        a.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// A holder may do everything until the time of its attempt is over, and nothing from that instant on.
///
/// Covers FF-LSE-063, FF-LSE-005, FF-EXE-010, FF-EXE-003.
pub async fn the_time_of_an_attempt_ends_the_power_of_its_lease(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = limited_work(cx, &a, retrying(3, 0)).await?;
    cx.pass_time(ms(LIMIT_MS - 1)).await?;
    check!(cx, "FF-LSE-063", a.progress(&claimed.handle, Some(99), None).await, is_ok());
    check!(cx, "FF-LSE-063", a.renew(&claimed.handle).await, is_ok());
    let written = cx.dump().await?;

    for passed in [1, 0, 60_000] {
        cx.pass_time(ms(passed)).await?;
        check!(cx, "FF-LSE-005", holder_answers(&a, &claimed.handle).await, all_refused("State(LeaseExpired)"));
        check!(cx, "FF-LSE-063", a.renew(&claimed.handle).await, refused("State(LeaseExpired)"));
        check!(cx, "FF-EXE-003", vector(&cx.info(&a, &claimed.payload.execution_id).await?), reads(LAPSED));
    }
    check!(cx, "FF-EXE-010", cx.dump().await?, equals(written));
    Ok(())
}

/// The next claim writes an attempt that ran out of time down as a failure of the class `timeout`, and schedules its
/// retry.
///
/// Covers FF-LSE-064, FF-EXE-003, FF-EXE-002, FF-EXE-011, FF-LSE-003, FF-SUB-001.
pub async fn claim_schedules_the_retry_of_an_attempt_that_ran_out_of_time(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = limited_work(cx, &a, retrying(3, 500)).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(LIMIT_MS + 10)).await?;
    let now = cx.now().await?;

    check!(cx, "FF-LSE-064", claim_order(cx, &a, 1).await?, equals(vec![]));

    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-003", vector(&info), reads(BACKING_OFF));
    check!(cx, "FF-LSE-064", (info.delay_until, info.last_transition_at), equals((Some(after(now, 500)), now)));
    let why = (info.failure_reason.as_deref(), info.failure_category.as_deref());
    check!(cx, "FF-LSE-064", why, equals((Some("attempt_timeout"), Some("timeout"))));
    let counters = (info.total_attempt_count, info.retry_count, info.lease_reclaim_count);
    check!(cx, "FF-EXE-011", counters, equals((1, 1, 0)));
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_failure 1"));
    let ended = dump.attempts.iter().all(|attempt| {
        attempt.ended_at == Some(now)
            && attempt.failure_reason.as_deref() == Some("attempt_timeout")
            && attempt.failure_category.as_deref() == Some("timeout")
    });
    check!(cx, "FF-LSE-064", ended, is_true());
    check!(cx, "FF-LSE-003", lease_log(&dump, &id), reads("acquired 1, released 1 attempt_timeout_retry_scheduled"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads(""));
    let waiting = not_active(&claimed, TerminalOutcome::None, LifecyclePhase::Runnable);
    check!(cx, "FF-LSE-064", a.renew(&claimed.handle).await, refused_with(waiting));
    cx.set_time(after(now, 500)).await?;
    let next = cx.claimed(&a, "next").await?;
    check!(cx, "FF-LSE-064", (next.handle.kind(), next.payload.attempt_index.0), equals((HandleKind::Fresh, 1)));
    Ok(())
}

/// What became of work after its attempt ran out of time and claims came: all that a reader sees.
async fn ended_by_time(cx: &Cx, client: &Arc<dyn EngineBackend>, policy: ExecutionPolicy) -> Result<String, Stop> {
    let claimed = limited_work(cx, client, policy).await?;
    cx.pass_time(ms(LIMIT_MS)).await?;
    claim_order(cx, client, 1).await?;
    let (info, id) = (cx.info(client, &claimed.payload.execution_id).await?, claimed.payload.execution_id);
    let dump = cx.dump().await?;
    Ok(format!("{} | {} | {}", vector(&info), lease_log(&dump, &id), completion_log(&dump, &id)))
}

/// Without a retry the execution expires, and is told so, in the step of the claim.
///
/// Covers FF-LSE-064, FF-EXE-003, FF-EXE-002, FF-LSE-003, FF-SUB-001.
pub async fn an_attempt_without_a_retry_that_runs_out_of_time_expires_the_execution(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = limited_work(cx, &a, ExecutionPolicy::new()).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(LIMIT_MS + 10)).await?;
    let now = cx.now().await?;

    check!(cx, "FF-LSE-064", claim_order(cx, &a, 1).await?, equals(vec![]));

    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-003", vector(&info), reads(EXPIRED));
    let why = (info.failure_reason.as_deref(), info.failure_category.as_deref(), info.completed_at);
    check!(cx, "FF-LSE-064", why, equals((Some("attempt_timeout"), Some("timeout"), Some(now))));
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_failure 1"));
    check!(cx, "FF-LSE-003", lease_log(&dump, &id), reads("acquired 1, released 1 attempt_timeout"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("expired"));
    let ended = not_active(&claimed, TerminalOutcome::Expired, LifecyclePhase::Terminal);
    check!(cx, "FF-LSE-064", a.complete(&claimed.handle, None).await, refused_with(ended));
    Ok(())
}

/// Whether a time-out is retried follows from the rule like any failure: its number and its categories.
///
/// Covers FF-LSE-064.
pub async fn a_time_out_is_retried_by_the_rule(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let listing = |category: &str| {
        let backoff = Backoff::Fixed { delay_ms: 60_000 };
        let retryable_categories = ["other", category].map(str::to_owned).into();
        ExecutionPolicy::new().retry(RetryPolicy { backoff, retryable_categories, ..RetryPolicy::default() })
    };
    let expired = format!("{EXPIRED} | acquired 1, released 1 attempt_timeout | expired");
    let retried = format!("{BACKING_OFF} | acquired 1, released 1 attempt_timeout_retry_scheduled | ");
    check!(cx, "FF-LSE-064", ended_by_time(cx, &a, listing("timeouts")).await?, reads(&expired));
    check!(cx, "FF-LSE-064", ended_by_time(cx, &a, listing("timeout")).await?, reads(&retried));
    check!(cx, "FF-LSE-064", ended_by_time(cx, &a, retrying(0, 0)).await?, reads(&expired));
    check!(cx, "FF-LSE-064", ended_by_time(cx, &a, retrying(1, 60_000)).await?, reads(&retried));
    Ok(())
}

/// A retry that runs out of time as often as the rule allows expires the execution.
///
/// Covers FF-LSE-064, FF-EXE-011, FF-LSE-003.
pub async fn time_outs_use_up_the_retries(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = limited_work(cx, &a, retrying(2, 0)).await?.payload.execution_id;
    for _ in 0..2 {
        cx.pass_time(ms(LIMIT_MS)).await?;
        check!(cx, "FF-LSE-064", claim_order(cx, &a, 2).await?, equals(vec![id]));
    }
    cx.pass_time(ms(LIMIT_MS)).await?;
    check!(cx, "FF-LSE-064", claim_order(cx, &a, 1).await?, equals(vec![]));

    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-011", (vector(&info), info.retry_count), equals((EXPIRED.to_owned(), 2)));
    let told = "acquired 1, released 1 attempt_timeout_retry_scheduled, acquired 2, released 2 \
                attempt_timeout_retry_scheduled, acquired 3, released 3 attempt_timeout";
    check!(cx, "FF-LSE-003", lease_log(&cx.dump().await?, &id), reads(told));
    Ok(())
}

/// The time of an attempt counts anew when the attempt is resumed, and for the attempts that follow it.
///
/// Covers FF-LSE-065.
pub async fn the_time_of_an_attempt_counts_anew_from_each_acquisition(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut claimed = limited_work(cx, &a, retrying(3, 0)).await?;
    for step in 0..4 {
        let begin = cx.now().await?;
        check!(cx, "FF-LSE-065", lease_end(cx, &a, &claimed).await?, equals(Some(after(begin, 1000))));
        cx.pass_time(ms(LIMIT_MS - 100)).await?;
        match step {
            0 => a.delay(&claimed.handle, before(begin, 1)).await?,
            1 => a.wait_children(&claimed.handle).await?,
            _ => drop(a.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Transient).await?),
        }
        claimed = cx.claimed(&a, "worker").await?;
    }
    cx.pass_time(ms(LIMIT_MS - 1)).await?;
    check!(cx, "FF-LSE-065", a.complete(&claimed.handle, None).await, is_ok());
    Ok(())
}

/// A lease that lapsed before the time of its attempt was over is taken over like any, also when that time came since.
///
/// Covers FF-LSE-066, FF-LSE-065, FF-LSE-003.
pub async fn a_lease_that_lapsed_before_its_attempt_is_taken_over(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for passed in [999, 1000, 5000] {
        let args = cx.execution()?.policy(retrying(3, 0).timeouts(limited(LIMIT_MS)));
        let id = cx.created(&a, args).await?;
        cx.claimed_for(&a, "worker", ms(999)).await?;
        cx.pass_time(ms(passed)).await?;

        let next = cx.claimed(&a, "other").await?;

        check!(cx, "FF-LSE-066", (next.payload.execution_id, next.handle.kind()), equals((id, HandleKind::Reclaimed)));
        check!(cx, "FF-LSE-003", lease_log(&cx.dump().await?, &id), reads("acquired 1, expired 1, reclaimed 2"));
        check!(cx, "FF-LSE-065", lease_end(cx, &a, &next).await?, equals(Some(after(cx.now().await?, 1000))));
        a.complete(&next.handle, None).await?;
    }
    Ok(())
}

/// A time-out is no take-over: it is retried also where no take-over is allowed, and uses none up.
///
/// Covers FF-LSE-066, FF-EXE-011.
pub async fn a_time_out_is_no_take_over(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = limited_work(cx, &a, retrying(1, 0).max_reclaim_count(0)).await?.payload.execution_id;
    cx.pass_time(ms(LIMIT_MS)).await?;
    check!(cx, "FF-LSE-066", claim_order(cx, &a, 1).await?, equals(vec![id]));
    let info = cx.info(&a, &id).await?;
    let counters = (info.total_attempt_count, info.retry_count, info.lease_reclaim_count);
    check!(cx, "FF-EXE-011", (vector(&info), counters), equals((LEASED.to_owned(), (2, 1, 0))));
    Ok(())
}

/// The deadline of the execution beats the time of its attempt when both have come.
///
/// Covers FF-EXE-008, FF-EXE-039, FF-LSE-003.
pub async fn a_deadline_beats_the_time_of_an_attempt(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 1000);
    let policy = retrying(3, 0).timeouts(limited(LIMIT_MS));
    let args = cx.execution()?.policy(policy).execution_deadline_at(deadline);
    let id = held_as(cx, &a, args).await?.payload.execution_id;
    cx.set_time(deadline).await?;

    check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));
    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-039", (vector(&info), info.failure_reason), equals((EXPIRED.to_owned(), None)));
    // The lease ended with its attempt, at the deadline.
    check!(cx, "FF-LSE-003", lease_log(&dump, &id), reads("acquired 1, expired 1"));
    Ok(())
}

/// Many attempts that run out of time at one instant are written down once each, by claims at the same time.
///
/// Covers FF-LSE-064, FF-SUB-001, FF-CLM-004.
pub async fn many_time_outs_are_written_down_once_each(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    let policy = |n: usize| if n.is_multiple_of(2) { retrying(1, 0) } else { ExecutionPolicy::new() };
    let ids = created_many(cx, a, 60, |n, args| args.policy(policy(n).timeouts(limited(LIMIT_MS)))).await?;
    claim_order(cx, a, 60).await?;
    cx.pass_time(ms(LIMIT_MS)).await?;

    let mut taken = Vec::new();
    for _ in 0..4 {
        let claimed = claims_at_once(cx, &clients, 8).await?;
        taken.extend(claimed.into_iter().map(|claimed| claimed.payload.execution_id));
    }

    let dump = cx.dump().await?;
    let retried: BTreeSet<_> = ids.iter().step_by(2).copied().collect();
    check!(cx, "FF-CLM-004", (taken.len(), taken.into_iter().collect()), equals((30, retried.clone())));
    for id in &ids {
        let expected = if retried.contains(id) {
            ("acquired 1, released 1 attempt_timeout_retry_scheduled, acquired 2", "")
        } else {
            ("acquired 1, released 1 attempt_timeout", "expired")
        };
        check!(cx, "FF-LSE-064", lease_log(&dump, id), reads(expected.0));
        check!(cx, "FF-SUB-001", completion_log(&dump, id), reads(expected.1));
    }
    Ok(())
}

/// A limit of the whole execution counts from its creation, unless the create names a deadline.
///
/// Covers FF-LSE-067, FF-EXE-003, FF-EXE-008.
pub async fn a_relative_deadline_counts_from_creation(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let timeouts = TimeoutPolicy { execution_deadline_ms: Some(1000), ..TimeoutPolicy::default() };
    let policy = ExecutionPolicy::new().timeouts(timeouts);
    let named = after(cx.now().await?, 5000);
    let both = cx.created(&a, cx.execution()?.policy(policy.clone()).execution_deadline_at(named)).await?;
    cx.pass_time(ms(7)).await?;
    let (id, created_at) = (cx.created(&a, cx.execution()?.policy(policy)).await?, cx.now().await?);

    let deadline = cx.info(&a, &both).await?.execution_deadline_at;
    check!(cx, "FF-LSE-067", deadline, equals(Some(named)));
    let deadline = after(created_at, 1000);
    check!(cx, "FF-LSE-067", cx.info(&a, &id).await?.execution_deadline_at, equals(Some(deadline)));
    cx.set_time(before(deadline, 1)).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(WAITING));
    cx.set_time(deadline).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(EXPIRED_UNSTARTED));
    check!(cx, "FF-EXE-008", claim_order(cx, &a, 2).await?, equals(vec![both]));
    check!(cx, "FF-LSE-067", completion_log(&cx.dump().await?, &id), reads("expired"));
    Ok(())
}

/// The number of take-overs may stand in either place of the policy, and not in both.
///
/// Covers FF-LSE-068, FF-LSE-014.
pub async fn max_reclaim_count_is_given_once(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let nested = |count| {
        let timeouts = TimeoutPolicy { max_reclaim_count: Some(count), ..TimeoutPolicy::default() };
        ExecutionPolicy::new().timeouts(timeouts)
    };
    let empty = cx.dump().await?;
    for policy in [nested(1).max_reclaim_count(1), nested(0).max_reclaim_count(5)] {
        let answer = a.create_execution(cx.execution()?.policy(policy)).await;
        check!(cx, "FF-LSE-068", answer, refused("Validation(InvalidPolicyJson)"));
    }
    check!(cx, "FF-LSE-068", cx.dump().await?, equals(empty));
    let id = held_as(cx, &a, cx.execution()?.policy(nested(1))).await?.payload.execution_id;
    for taken in [vec![id], vec![]] {
        cx.pass_time(TTL).await?;
        check!(cx, "FF-LSE-014", claim_order(cx, &a, 2).await?, equals(taken));
    }
    check!(cx, "FF-LSE-068", vector(&cx.info(&a, &id).await?), reads(FAILED));
    Ok(())
}

/// A limit in time is 1 ms to 100 years; another is refused and nothing is created.
///
/// Covers FF-LSE-068.
pub async fn create_execution_refuses_a_limit_outside_its_range(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let years: u64 = 100 * 365 * 24 * 3_600_000;
    let of_attempt = |ms| TimeoutPolicy { attempt_timeout_ms: Some(ms), ..TimeoutPolicy::default() };
    let of_execution = |ms| TimeoutPolicy { execution_deadline_ms: Some(ms), ..TimeoutPolicy::default() };
    for limit in [0, 2 * years, u64::MAX] {
        for timeouts in [of_attempt(limit), of_execution(limit)] {
            let answer = a.create_execution(cx.execution()?.policy(ExecutionPolicy::new().timeouts(timeouts))).await;
            check!(cx, "FF-LSE-068", answer, refused("Validation(InvalidPolicyJson)"));
        }
    }
    let lanes = a.list_lanes(None, ff_core::PageLimit::new(1)?).await?;
    check!(cx, "FF-LSE-068", lanes.lanes.first(), is_none());
    for timeouts in [of_attempt(1), of_attempt(years), of_execution(1), of_execution(years)] {
        let args = cx.execution()?.policy(ExecutionPolicy::new().timeouts(timeouts));
        check!(cx, "FF-LSE-068", a.create_execution(args).await, is_ok());
    }
    Ok(())
}
