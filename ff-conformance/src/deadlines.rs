//! Cases of the deadline of a whole execution: it beats every other rule, from its very instant on.

use ff_core::{
    ExecutionPolicy, FailureClass, FailureReason, LeaseStatus, LifecyclePhase, PublicState, TerminalOutcome,
};

use crate::{
    Claimed, Cx, Stop, TTL, Verdict, check,
    crowds::claim_order,
    equals,
    holders::{all_refused, holder_answers},
    instants::{after, before, ms},
    is_none, is_ok, is_true,
    reads::read_all,
    refused_with,
    stages::{held_as, not_active, retrying},
    words::{
        BACKING_OFF, COMPLETED, EXPIRED, EXPIRED_UNSTARTED, LAPSED, LEASED, WAITING, attempt_log, completion_log,
        lease_log, reads, vector,
    },
};

/// An execution under a lease of `ttl_ms`, whose deadline lies `deadline_ms` ahead.
async fn held_until(cx: &Cx, deadline_ms: i64, ttl_ms: u64) -> Result<Claimed, Stop> {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, deadline_ms);
    cx.created(&a, cx.execution()?.execution_deadline_at(deadline)).await?;
    cx.claimed_for(&a, "worker", ms(ttl_ms)).await
}

/// A deadline in the past is accepted: the execution exists, is expired, and no claim takes it.
///
/// Covers FF-EXE-008, FF-EXE-003, FF-EXE-039, FF-EXE-024.
pub async fn create_execution_accepts_a_deadline_in_the_past(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    let mut ids = Vec::new();
    for deadline in [before(now, 3_600_000), before(now, 1), now] {
        ids.push(cx.created(&a, cx.execution()?.execution_deadline_at(deadline)).await?);
    }
    for written in [false, true] {
        for id in &ids {
            let info = cx.info(&a, id).await?;
            check!(cx, "FF-EXE-003", vector(&info), reads(EXPIRED_UNSTARTED));
            check!(cx, "FF-EXE-024", (info.started_at, info.completed_at), equals((None, Some(info.created_at))));
            let dump = cx.dump().await?;
            let told = if written { "expired" } else { "" };
            check!(cx, "FF-EXE-039", completion_log(&dump, id), reads(told));
            check!(cx, "FF-EXE-039", (lease_log(&dump, id), attempt_log(&dump, id)), equals(Default::default()));
        }
        check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));
    }
    Ok(())
}

/// A deadline in the past is written down by the next claim also of a worker who has seen since that nothing was due.
///
/// Covers FF-EXE-039.
pub async fn a_deadline_in_the_past_is_written_down_after_claims_of_later_work(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let deadline = cx.now().await?;
    cx.pass_time(ms(100_000)).await?;
    for _ in 0..4 {
        cx.created_plain(&b).await?;
        cx.claimed(&a, "worker").await?;
    }
    let id = cx.created(&b, cx.execution()?.execution_deadline_at(deadline)).await?;

    check!(cx, "FF-EXE-039", claim_order(cx, &a, 1).await?, equals(vec![]));
    check!(cx, "FF-EXE-039", completion_log(&cx.dump().await?, &id), reads("expired"));
    Ok(())
}

/// Waiting work expires at exactly its deadline, in every read, before anybody writes it down.
///
/// Covers FF-EXE-008, FF-EXE-003, FF-EXE-004, FF-EXE-010.
pub async fn waiting_work_reads_as_expired_from_its_deadline_on(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 1000);
    let id = cx.created(&a, cx.execution()?.execution_deadline_at(deadline)).await?;
    let written = cx.dump().await?;

    cx.set_time(before(deadline, 1)).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(WAITING));
    for passed in [0, 5000] {
        cx.set_time(after(deadline, passed)).await?;
        let seen = read_all(cx, &a, &id).await?;
        check!(cx, "FF-EXE-003", vector(&seen.info), reads(EXPIRED_UNSTARTED));
        check!(cx, "FF-EXE-004", seen.public_states(), equals([PublicState::Expired; 3]));
        check!(cx, "FF-EXE-008", seen.info.completed_at, equals(Some(deadline)));
        check!(cx, "FF-EXE-008", (seen.info.current_attempt, seen.snapshot.blocking_reason), equals((None, None)));
    }
    check!(cx, "FF-EXE-010", cx.dump().await?, equals(written));
    Ok(())
}

/// Waiting work can be claimed until the last millisecond before its deadline and not at it.
///
/// Covers FF-EXE-008.
pub async fn claim_takes_nothing_at_its_deadline(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 1000);
    let first = cx.created(&a, cx.execution()?.priority(1).execution_deadline_at(deadline)).await?;
    cx.created(&a, cx.execution()?.execution_deadline_at(deadline)).await?;
    let later = cx.created(&a, cx.execution()?.execution_deadline_at(after(deadline, 1))).await?;

    cx.set_time(before(deadline, 1)).await?;
    check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![first]));
    cx.set_time(deadline).await?;
    check!(cx, "FF-EXE-008", claim_order(cx, &a, 2).await?, equals(vec![later]));
    Ok(())
}

/// A holder may do everything until the deadline, and nothing from it on, though its lease still runs.
///
/// Covers FF-EXE-008, FF-ERR-004, FF-EXE-010.
pub async fn a_deadline_ends_the_power_of_a_live_lease(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held_until(cx, 1000, 60_000).await?;
    cx.pass_time(ms(999)).await?;
    check!(cx, "FF-EXE-008", a.renew(&claimed.handle).await, is_ok());
    check!(cx, "FF-EXE-008", a.progress(&claimed.handle, Some(99), None).await, is_ok());
    let written = cx.dump().await?;

    cx.pass_time(ms(1)).await?;
    let ended = not_active(&claimed, TerminalOutcome::Expired, LifecyclePhase::Terminal);
    check!(cx, "FF-ERR-004", a.complete(&claimed.handle, None).await, refused_with(ended));
    let answers = holder_answers(&a, &claimed.handle).await;
    check!(cx, "FF-EXE-008", answers, all_refused("Contention(ExecutionNotActive)"));
    check!(cx, "FF-EXE-010", cx.dump().await?, equals(written));
    Ok(())
}

/// Held work reads as expired from its deadline on, without a live lease and without a result.
///
/// Covers FF-EXE-008, FF-EXE-003, FF-EXE-004, FF-EXE-040.
pub async fn held_work_reads_as_expired_from_its_deadline_on(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held_until(cx, 1000, 60_000).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(999)).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(LEASED));

    cx.pass_time(ms(1)).await?;
    let seen = read_all(cx, &a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&seen.info), reads(EXPIRED));
    check!(cx, "FF-EXE-004", seen.public_states(), equals([PublicState::Expired; 3]));
    let lease = (&seen.snapshot.current_lease, seen.snapshot.lease_status);
    check!(cx, "FF-EXE-040", lease, equals((&None, LeaseStatus::None)));
    check!(cx, "FF-EXE-008", (seen.info.completed_at, seen.result), equals((seen.info.execution_deadline_at, None)));
    Ok(())
}

/// The claim that comes upon held work past its deadline writes the end down: released, attempt ended, completion told.
///
/// Covers FF-EXE-039, FF-EXE-003, FF-EXE-002, FF-EXE-025, FF-SUB-001.
pub async fn claim_writes_down_that_held_work_expired(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held_until(cx, 1000, 60_000).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(1500)).await?;
    let (deadline, now) = (before(cx.now().await?, 500), cx.now().await?);

    check!(cx, "FF-EXE-039", claim_order(cx, &a, 1).await?, equals(vec![]));

    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-003", vector(&info), reads(EXPIRED));
    check!(cx, "FF-EXE-039", info.completed_at, equals(Some(deadline)));
    check!(cx, "FF-EXE-025", (info.last_transition_at, info.last_mutation_at), equals((now, now)));
    check!(cx, "FF-EXE-039", (info.failure_reason, info.failure_category), equals((None, None)));
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_failure 1"));
    let ended = dump.attempts.iter().all(|attempt| {
        attempt.ended_at == Some(deadline)
            && attempt.failure_reason.as_deref() == Some("execution_deadline")
            && attempt.failure_category.as_deref() == Some("timeout")
    });
    check!(cx, "FF-EXE-039", ended, is_true());
    check!(cx, "FF-EXE-039", lease_log(&dump, &id), reads("acquired 1, released 1 execution_deadline"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("expired"));
    check!(cx, "FF-SUB-001", dump.completions.iter().all(|event| event.at == now), is_true());
    Ok(())
}

/// A lease that ran out before the deadline, or at it, is told as expired, not as released.
///
/// Covers FF-EXE-039.
pub async fn a_lease_that_ran_out_before_the_deadline_is_told_as_expired(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for (ttl_ms, end) in [(999, "expired 1"), (1000, "expired 1"), (1001, "released 1 execution_deadline")] {
        let claimed = held_until(cx, 1000, ttl_ms).await?;
        let id = claimed.payload.execution_id;
        cx.pass_time(ms(2000)).await?;

        check!(cx, "FF-EXE-039", claim_order(cx, &a, 1).await?, equals(vec![]));
        let dump = cx.dump().await?;
        check!(cx, "FF-EXE-039", lease_log(&dump, &id), reads(&format!("acquired 1, {end}")));
        check!(cx, "FF-EXE-039", attempt_log(&dump, &id), reads("0 initial ended_failure 1"));
        check!(cx, "FF-EXE-039", completion_log(&dump, &id), reads("expired"));
    }
    Ok(())
}

/// Lapsed work that meets its deadline expires; until then it can be taken over.
///
/// Covers FF-EXE-008, FF-EXE-003.
pub async fn lapsed_work_expires_at_its_deadline(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held_until(cx, 1000, 400).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(999)).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(LAPSED));
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(EXPIRED));
    let ended = not_active(&claimed, TerminalOutcome::Expired, LifecyclePhase::Terminal);
    check!(cx, "FF-EXE-008", a.renew(&claimed.handle).await, refused_with(ended));
    check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));
    Ok(())
}

/// Work taken over before its deadline expires at it like any other.
///
/// Covers FF-EXE-008, FF-EXE-039.
pub async fn taken_over_work_expires_at_its_deadline(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = held_until(cx, 1000, 400).await?.payload.execution_id;
    cx.pass_time(ms(999)).await?;
    let second = cx.claimed(&a, "other").await?;
    check!(cx, "FF-EXE-008", second.payload.execution_id, equals(id));
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));
    let told = lease_log(&cx.dump().await?, &id);
    check!(cx, "FF-EXE-039", told, reads("acquired 1, expired 1, reclaimed 2, released 2 execution_deadline"));
    Ok(())
}

/// A delay beyond the deadline never comes.
///
/// Covers FF-EXE-008, FF-EXE-003, FF-EXE-039.
pub async fn delayed_work_expires_at_its_deadline(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    let args = cx.execution()?.delay_until(after(now, 2000)).execution_deadline_at(after(now, 1000));
    let id = cx.created(&a, args).await?;
    let together = cx.execution()?.delay_until(after(now, 2000)).execution_deadline_at(after(now, 2000));
    let together = cx.created(&a, together).await?;

    cx.set_time(after(now, 1000)).await?;
    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-003", (vector(&info), info.delay_until), equals((EXPIRED_UNSTARTED.to_owned(), None)));
    cx.set_time(after(now, 2000)).await?;
    check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));
    let dump = cx.dump().await?;
    for id in [id, together] {
        check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(EXPIRED_UNSTARTED));
        check!(cx, "FF-EXE-039", completion_log(&dump, &id), reads("expired"));
    }
    Ok(())
}

/// A retry that waits beyond the deadline never comes; the failed attempt stays as it ended.
///
/// Covers FF-EXE-008, FF-EXE-003, FF-EXE-039.
pub async fn a_waiting_retry_expires_at_its_deadline(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 1000);
    let args = cx.execution()?.policy(retrying(3, 2000)).execution_deadline_at(deadline);
    let claimed = held_as(cx, &a, args).await?;
    let id = claimed.payload.execution_id;
    a.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(BACKING_OFF));

    cx.set_time(deadline).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(EXPIRED));
    check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));

    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-003", vector(&info), reads(EXPIRED));
    check!(cx, "FF-EXE-039", (info.retry_count, info.failure_reason.as_deref()), equals((1, Some("broken"))));
    check!(cx, "FF-EXE-039", attempt_log(&dump, &id), reads("0 initial ended_failure 1"));
    check!(cx, "FF-EXE-039", lease_log(&dump, &id), reads("acquired 1, released 1 failed_retry_scheduled"));
    check!(cx, "FF-EXE-039", completion_log(&dump, &id), reads("expired"));
    Ok(())
}

/// A failure is no first answer any more once the deadline of its retry was written down: something else ended it.
///
/// Covers FF-EXE-008, FF-EXE-028.
pub async fn fail_again_after_the_deadline_was_written_down_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 1000);
    let args = cx.execution()?.policy(retrying(3, 2000)).execution_deadline_at(deadline);
    let claimed = held_as(cx, &a, args).await?;
    let first = a.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
    let again = a.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Transient).await;
    check!(cx, "FF-EXE-028", again, crate::answers(first));

    cx.set_time(deadline).await?;
    claim_order(cx, &a, 1).await?;
    let again = a.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Transient).await;
    let ended = not_active(&claimed, TerminalOutcome::Expired, LifecyclePhase::Terminal);
    check!(cx, "FF-EXE-008", again, refused_with(ended));
    Ok(())
}

/// What ended before its deadline stays as it ended when the deadline comes.
///
/// Covers FF-EXE-005, FF-EXE-003, FF-SUB-001.
pub async fn a_deadline_leaves_ended_work_alone(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held_until(cx, 1000, 60_000).await?;
    let id = claimed.payload.execution_id;
    a.complete(&claimed.handle, Some(b"done".to_vec())).await?;
    let (written, completed_at) = (cx.dump().await?, cx.now().await?);

    cx.pass_time(ms(5000)).await?;
    check!(cx, "FF-EXE-005", claim_order(cx, &a, 1).await?, equals(vec![]));
    let seen = read_all(cx, &a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&seen.info), reads(COMPLETED));
    check!(
        cx,
        "FF-EXE-005",
        (seen.info.completed_at, seen.result),
        equals((Some(completed_at), Some(b"done".to_vec())))
    );
    check!(cx, "FF-EXE-005", a.complete(&claimed.handle, None).await, is_ok());
    check!(cx, "FF-SUB-001", cx.dump().await?, equals(written));
    Ok(())
}

/// An execution that expired is written down once, however many claims come.
///
/// Covers FF-EXE-039, FF-EXE-005, FF-SUB-001.
pub async fn an_expiry_is_written_down_once(cx: &Cx) -> Verdict {
    let clients = crate::crowds::clients(cx, 4).await?;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(held_until(cx, 1000, 60_000).await?.payload.execution_id);
    }
    cx.pass_time(ms(1000)).await?;

    check!(cx, "FF-EXE-005", crate::crowds::claims_at_once(cx, &clients, 4).await?.len(), equals(0));

    let dump = cx.dump().await?;
    for id in &ids {
        check!(cx, "FF-SUB-001", completion_log(&dump, id), reads("expired"));
        check!(cx, "FF-EXE-039", lease_log(&dump, id), reads("acquired 1, released 1 execution_deadline"));
    }
    cx.pass_time(TTL).await?;
    check!(cx, "FF-EXE-005", crate::crowds::claims_at_once(cx, &clients, 1).await?.len(), equals(0));
    check!(cx, "FF-EXE-039", cx.dump().await?, equals(dump));
    Ok(())
}

/// A lease may outlast the deadline; its end is told as it was granted, and nothing revives it.
///
/// Covers FF-EXE-008, FF-CLM-016.
pub async fn a_lease_may_outlast_the_deadline(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held_until(cx, 1000, 60_000).await?;
    let seen = read_all(cx, &a, &claimed.payload.execution_id).await?;
    let expires_at = seen.snapshot.current_lease.map(|lease| lease.expires_at);
    check!(cx, "FF-CLM-016", expires_at, equals(Some(after(cx.now().await?, 60_000))));
    check!(cx, "FF-EXE-008", seen.info.completed_at, is_none());
    Ok(())
}

/// Work that is past its deadline and has used up its take-overs has expired, not failed.
///
/// Covers FF-EXE-008, FF-EXE-039, FF-SUB-001.
pub async fn a_deadline_beats_used_up_take_overs(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 1000);
    let args = cx.execution()?.policy(ExecutionPolicy::new().max_reclaim_count(0)).execution_deadline_at(deadline);
    let id = cx.created(&a, args).await?;
    cx.claimed_for(&a, "worker", ms(400)).await?;
    cx.set_time(deadline).await?;

    check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));
    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-008", vector(&info), reads(EXPIRED));
    check!(cx, "FF-EXE-039", (info.failure_reason, info.failure_category), equals((None, None)));
    check!(cx, "FF-EXE-039", lease_log(&dump, &id), reads("acquired 1, expired 1"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("expired"));
    Ok(())
}
