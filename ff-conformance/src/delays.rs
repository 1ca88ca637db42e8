//! Cases of a lease that is given back while its attempt goes on: `delay` and `wait_children`.

use std::sync::Arc;

use ff_core::{
    AttemptIndex, EngineBackend, ExecutionPolicy, HandleKind, LeaseEpoch, LeaseStatus, LifecyclePhase, PublicState,
    TerminalOutcome, TimestampMs,
};

use crate::{
    Claimed, Cx, Stop, TTL, Verdict, check,
    crowds::claim_order,
    equals,
    holders::{all_refused, holder_answers},
    instants::{after, before, ms},
    is_none, is_ok, is_true,
    reads::read_all,
    refused, refused_with,
    stages::{held, held_as, not_active},
    words::{EXPIRED, INTERRUPTED, LEASED, PARKED, attempt_log, completion_log, lease_log, reads, vector},
};

/// How a holder gives its lease back and keeps its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivesBack {
    /// `delay` until an instant that has come.
    Delay,
    /// `wait_children` without an edge.
    Wait,
}

impl GivesBack {
    const ALL: [Self; 2] = [Self::Delay, Self::Wait];

    const fn reason(self) -> &'static str {
        match self {
            Self::Delay => "worker_delay",
            Self::Wait => "waiting_children",
        }
    }
}

async fn given_back(
    client: &Arc<dyn EngineBackend>,
    how: GivesBack,
    claimed: &Claimed,
    now: TimestampMs,
) -> Result<(), ff_core::EngineError> {
    match how {
        GivesBack::Delay => client.delay(&claimed.handle, now).await,
        GivesBack::Wait => client.wait_children(&claimed.handle).await,
    }
}

/// An execution that its holder delayed for `ms`.
async fn delayed(cx: &Cx, client: &Arc<dyn EngineBackend>, ms: i64) -> Result<Claimed, Stop> {
    let claimed = held(cx, client).await?;
    client.delay(&claimed.handle, after(cx.now().await?, ms)).await?;
    Ok(claimed)
}

/// A delay gives the lease back and keeps the attempt: the execution waits for the instant, without a holder.
///
/// Covers FF-LSE-060, FF-EXE-003, FF-EXE-004, FF-EXE-002, FF-EXE-040, FF-SUB-001.
pub async fn delay_gives_the_lease_back_until_an_instant(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(5)).await?;
    let (now, due) = (cx.now().await?, after(cx.now().await?, 1000));

    check!(cx, "FF-LSE-060", a.delay(&claimed.handle, due).await, is_ok());

    let seen = read_all(cx, &a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&seen.info), reads(PARKED));
    check!(cx, "FF-EXE-004", seen.public_states(), equals([PublicState::Delayed; 3]));
    check!(cx, "FF-LSE-060", (seen.info.delay_until, seen.info.last_transition_at), equals((Some(due), now)));
    check!(cx, "FF-EXE-040", seen.snapshot.lease_status, equals(LeaseStatus::None));
    check!(cx, "FF-EXE-040", seen.snapshot.current_lease, is_none());
    let attempt = seen.info.current_attempt.map(|attempt| attempt.attempt_id);
    check!(cx, "FF-EXE-040", attempt, equals(Some(claimed.payload.fence.attempt_id)));
    let dump = cx.dump().await?;
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial suspended 1"));
    check!(cx, "FF-LSE-060", lease_log(&dump, &id), reads("acquired 1, released 1 worker_delay"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads(""));
    Ok(())
}

/// Delayed work can be claimed at its instant and not a millisecond before, also if its lease would have lapsed earlier.
///
/// Covers FF-LSE-060, FF-CLM-005, FF-EXE-003.
pub async fn claim_takes_delayed_work_from_its_instant_on(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = delayed(cx, &a, 60_000).await?;
    let (id, due) = (claimed.payload.execution_id, after(cx.now().await?, 60_000));

    cx.set_time(before(due, 1)).await?;
    check!(cx, "FF-LSE-060", claim_order(cx, &a, 1).await?, equals(vec![]));
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(PARKED));
    cx.set_time(due).await?;
    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-003", (vector(&info), info.delay_until), equals((INTERRUPTED.to_owned(), None)));
    let resumed = cx.claimed(&a, "next").await?;
    check!(cx, "FF-CLM-005", (resumed.payload.execution_id, resumed.handle.kind()), equals((id, HandleKind::Resumed)));
    Ok(())
}

/// A delay until an instant that has come leaves the work claimable at once.
///
/// Covers FF-LSE-060, FF-EXE-003, FF-CLM-005.
pub async fn delay_of_an_instant_that_has_come_leaves_the_work_claimable_at_once(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    for due in [TimestampMs::from_ms(0), before(now, 1), now] {
        let claimed = held(cx, &a).await?;
        check!(cx, "FF-LSE-060", a.delay(&claimed.handle, due).await, is_ok());
        let info = cx.info(&a, &claimed.payload.execution_id).await?;
        check!(cx, "FF-EXE-003", (vector(&info), info.delay_until), equals((INTERRUPTED.to_owned(), None)));
        check!(cx, "FF-CLM-005", claim_order(cx, &a, 2).await?, equals(vec![claimed.payload.execution_id]));
    }
    Ok(())
}

/// A wait without an edge leaves the work claimable at once.
///
/// Covers FF-LSE-061, FF-EXE-003.
pub async fn wait_children_for_nothing_leaves_the_work_claimable_at_once(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    check!(cx, "FF-LSE-061", a.wait_children(&claimed.handle).await, is_ok());
    let dump = cx.dump().await?;
    let (id, told) = (claimed.payload.execution_id, "acquired 1, released 1 waiting_children");
    check!(cx, "FF-LSE-061", lease_log(&dump, &id), reads(told));
    check!(cx, "FF-LSE-061", attempt_log(&dump, &id), reads("0 initial suspended 1"));
    let seen = vector(&cx.info(&a, &id).await?);
    check!(cx, "FF-LSE-061", claim_order(cx, &a, 2).await?, equals(vec![id]));
    check!(cx, "FF-EXE-003", seen, reads(INTERRUPTED));
    Ok(())
}

/// The next holder goes on with the same attempt: same index and id, under another lease, one epoch on.
///
/// Covers FF-LSE-062, FF-LSE-002, FF-LSE-011, FF-EXE-003, FF-EXE-024.
pub async fn a_resumed_attempt_keeps_its_index_and_id(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    for how in GivesBack::ALL {
        let first = held(cx, &a).await?;
        let (id, started_at) = (first.payload.execution_id, cx.now().await?);
        cx.pass_time(ms(5)).await?;
        given_back(&a, how, &first, cx.now().await?).await?;
        cx.pass_time(ms(5)).await?;
        let now = cx.now().await?;

        let next = cx.claimed_for(&b, "other", ms(400)).await?;

        let (old, new) = (first.payload.fence, next.payload.fence);
        check!(
            cx,
            "FF-LSE-062",
            (next.payload.attempt_index, new.attempt_id),
            equals((AttemptIndex(0), old.attempt_id))
        );
        check!(cx, "FF-LSE-002", new.lease_epoch, equals(LeaseEpoch(2)));
        check!(cx, "FF-LSE-062", new.lease_id != old.lease_id, is_true());
        let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
        check!(cx, "FF-EXE-003", vector(&info), reads(LEASED));
        check!(cx, "FF-EXE-024", (info.started_at, info.last_transition_at), equals((Some(started_at), now)));
        let kept =
            dump.attempts.iter().filter(|attempt| attempt.execution_id == id).all(|attempt| {
                (attempt.started_at, attempt.resumed_at, attempt.ended_at) == (started_at, Some(now), None)
            });
        check!(cx, "FF-LSE-062", kept, is_true());
        check!(cx, "FF-LSE-062", attempt_log(&dump, &id), reads("0 initial started 2"));
        let told = format!("acquired 1, released 1 {}, acquired 2", how.reason());
        check!(cx, "FF-LSE-002", lease_log(&dump, &id), reads(&told));
        let acquired = dump.lease_history.last().is_some_and(|event| {
            (event.lease_id, event.attempt_index, event.at) == (new.lease_id, AttemptIndex(0), now)
                && event.worker_instance_id.as_str() == "other-1"
        });
        check!(cx, "FF-LSE-011", acquired, is_true());
        check!(cx, "FF-LSE-062", b.complete(&next.handle, None).await, is_ok());
        check!(cx, "FF-LSE-062", attempt_log(&cx.dump().await?, &id), reads("0 initial ended_success 2"));
    }
    Ok(())
}

/// A repeat is the first answer again, whenever it comes before the next acquisition, and writes nothing.
///
/// Covers FF-EXE-028, FF-LSE-060, FF-LSE-061.
pub async fn giving_back_again_changes_nothing(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let (parked, waits) = (delayed(cx, &a, 1000).await?, held(cx, &a).await?);
    a.wait_children(&waits.handle).await?;
    let (written, now) = (cx.dump().await?, cx.now().await?);
    for passed in [0, 1, 999, 5000] {
        cx.pass_time(ms(passed)).await?;
        for due in [after(now, 1000), now, after(now, 90_000)] {
            check!(cx, "FF-EXE-028", a.delay(&parked.handle, due).await, is_ok());
            check!(cx, "FF-LSE-060", b.delay(&parked.handle, due).await, is_ok());
        }
        check!(cx, "FF-LSE-061", b.wait_children(&waits.handle).await, is_ok());
    }
    check!(cx, "FF-EXE-028", cx.dump().await?, equals(written));
    Ok(())
}

/// A holder that has given its lease back may do nothing else with it, and learns that the work waits.
///
/// Covers FF-EXE-029, FF-ERR-004, FF-LSE-007.
pub async fn a_lease_that_was_given_back_conveys_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (parked, waits) = (delayed(cx, &a, 60_000).await?, held(cx, &a).await?);
    a.wait_children(&waits.handle).await?;
    let written = cx.dump().await?;

    for (claimed, own) in [(&parked, "delay"), (&waits, "wait_children")] {
        let waiting = not_active(claimed, TerminalOutcome::None, LifecyclePhase::Runnable);
        check!(cx, "FF-ERR-004", a.renew(&claimed.handle).await, refused_with(waiting));
        let mut answers = holder_answers(&a, &claimed.handle).await;
        check!(cx, "FF-EXE-029", answers.remove(own), equals(Some("Ok".to_owned())));
        check!(cx, "FF-LSE-007", answers, all_refused("Contention(ExecutionNotActive)"));
    }
    check!(cx, "FF-EXE-029", cx.dump().await?, equals(written));
    Ok(())
}

/// Once somebody has taken the work up again, the old handle is stale for everything, giving back included.
///
/// Covers FF-LSE-004, FF-EXE-028.
pub async fn giving_back_is_no_repeat_after_the_next_acquisition(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for how in GivesBack::ALL {
        let first = held(cx, &a).await?;
        let now = cx.now().await?;
        given_back(&a, how, &first, now).await?;
        let next = cx.claimed(&a, "worker").await?;
        let written = cx.dump().await?;

        check!(cx, "FF-EXE-028", given_back(&a, how, &first, now).await, refused("State(StaleLease)"));
        check!(cx, "FF-LSE-004", holder_answers(&a, &first.handle).await, all_refused("State(StaleLease)"));
        check!(cx, "FF-LSE-004", cx.dump().await?, equals(written));
        a.complete(&next.handle, None).await?;
    }
    Ok(())
}

/// The deadline of the execution fires during a delay, and ends the attempt that waits.
///
/// Covers FF-EXE-008, FF-EXE-039, FF-EXE-003, FF-SUB-001.
pub async fn a_deadline_comes_during_a_delay(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 1000);
    let claimed = held_as(cx, &a, cx.execution()?.execution_deadline_at(deadline)).await?;
    let id = claimed.payload.execution_id;
    a.delay(&claimed.handle, after(deadline, 1000)).await?;

    cx.set_time(before(deadline, 1)).await?;
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(PARKED));
    cx.set_time(deadline).await?;
    check!(cx, "FF-EXE-008", vector(&cx.info(&a, &id).await?), reads(EXPIRED));
    let ended = not_active(&claimed, TerminalOutcome::Expired, LifecyclePhase::Terminal);
    let again = a.delay(&claimed.handle, after(deadline, 1000)).await;
    check!(cx, "FF-EXE-008", again, refused_with(ended));
    check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));
    let dump = cx.dump().await?;
    check!(cx, "FF-EXE-039", attempt_log(&dump, &id), reads("0 initial ended_failure 1"));
    check!(cx, "FF-EXE-039", lease_log(&dump, &id), reads("acquired 1, released 1 worker_delay"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("expired"));
    Ok(())
}

/// Giving back counts for nothing: neither as a retry nor as a take-over, however often.
///
/// Covers FF-EXE-011, FF-LSE-062.
pub async fn giving_back_counts_as_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut claimed = held_as(cx, &a, cx.execution()?.policy(ExecutionPolicy::new().max_reclaim_count(0))).await?;
    for how in GivesBack::ALL.into_iter().cycle().take(6) {
        given_back(&a, how, &claimed, cx.now().await?).await?;
        claimed = cx.claimed(&a, "worker").await?;
    }
    let info = cx.info(&a, &claimed.payload.execution_id).await?;
    let counters = (info.total_attempt_count, info.retry_count, info.lease_reclaim_count);
    check!(cx, "FF-EXE-011", counters, equals((1, 0, 0)));
    check!(cx, "FF-LSE-062", info.current_lease_epoch, equals(LeaseEpoch(7)));
    Ok(())
}

/// A resumed lease that lapses is taken over with a new attempt; the one before ends as interrupted.
///
/// Covers FF-LSE-015, FF-EXE-002.
pub async fn a_resumed_lease_that_lapses_is_taken_over(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = delayed(cx, &a, -1).await?;
    cx.claimed(&a, "worker").await?;
    cx.pass_time(TTL).await?;

    let next = cx.claimed(&a, "other").await?;

    let dump = cx.dump().await?;
    check!(cx, "FF-LSE-015", (next.handle.kind(), next.payload.attempt_index.0), equals((HandleKind::Reclaimed, 1)));
    let attempts = attempt_log(&dump, &claimed.payload.execution_id);
    check!(cx, "FF-EXE-002", attempts, reads("0 initial interrupted_reclaimed 2, 1 reclaim started 3"));
    Ok(())
}

/// An instant that lies outside the years of the contract is refused, and the holder keeps its lease.
///
/// Covers FF-LSE-060, FF-ERR-017.
pub async fn delay_refuses_an_instant_outside_its_range(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;
    for due in [TimestampMs::from_ms(-1), after(TimestampMs::MAX, 1)] {
        check!(cx, "FF-ERR-017", a.delay(&claimed.handle, due).await, refused("Validation(InvalidInput)"));
    }
    check!(cx, "FF-ERR-017", cx.dump().await?, equals(written));
    check!(cx, "FF-LSE-060", a.delay(&claimed.handle, TimestampMs::MAX).await, is_ok());
    check!(cx, "FF-LSE-060", vector(&cx.info(&a, &claimed.payload.execution_id).await?), reads(PARKED));
    Ok(())
}
