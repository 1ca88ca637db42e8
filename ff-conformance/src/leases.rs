//! Cases of the lease: its renewal, its end by time, and the epochs of its holders.

use ff_core::{EngineError, HandleKind, LeaseEpoch, LeaseRenewal, LeaseStatus, PublicState};

use crate::{
    Cx, TTL, Verdict, answers, check, equals,
    forgeries::altered,
    holders::{all_refused, holder_answers},
    instants::{after, before, ms},
    is_none, is_ok,
    reads::{read_all, snapshot},
    stages::{held, held_as, lapsed, retrying},
    words::{LAPSED, LEASED, lease_log, reads, vector},
};

/// A renewal moves the deadline to now plus the life chosen at the claim, and changes nothing else.
///
/// Covers FF-LSE-009, FF-LSE-010, FF-EXE-003.
pub async fn renew_moves_the_deadline_by_the_life_of_the_claim(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    cx.created_plain(&a).await?;
    let claimed = cx.claimed_for(&a, "worker", ms(700)).await?;
    let id = claimed.payload.execution_id;
    let first = read_all(cx, &a, &id).await?;
    cx.pass_time(ms(300)).await?;
    let now = cx.now().await?;

    let renewal = a.renew(&claimed.handle).await;

    let expires_at = after(now, 700);
    check!(cx, "FF-LSE-009", renewal, answers(LeaseRenewal { expires_at, lease_epoch: LeaseEpoch(1) }));
    let mut expected = first;
    expected.info.last_mutation_at = now;
    expected.snapshot.last_mutation_at = now;
    if let Some(lease) = &mut expected.snapshot.current_lease {
        (lease.expires_at, lease.last_renewed_at) = (expires_at, Some(now));
    }
    let second = read_all(cx, &a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&second.info), reads(LEASED));
    check!(cx, "FF-LSE-009", second, equals(expected));
    check!(cx, "FF-LSE-010", lease_log(&cx.dump().await?, &id), reads("acquired 1"));
    Ok(())
}

/// Renewal upon renewal keeps a lease for longer than its life, at the epoch of its claim.
///
/// Covers FF-LSE-009, FF-LSE-002, FF-LSE-003.
pub async fn renew_again_and_again_keeps_the_lease(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    for _ in 0..5 {
        cx.pass_time(TTL - ms(1)).await?;
        let lease = LeaseRenewal { expires_at: cx.now().await?.plus(TTL), lease_epoch: LeaseEpoch(1) };
        check!(cx, "FF-LSE-009", a.renew(&claimed.handle).await, answers(lease));
        check!(cx, "FF-LSE-009", a.renew(&claimed.handle).await, answers(lease));
        check!(cx, "FF-LSE-009", cx.try_claim(&a, "thief", TTL).await?.is_none(), crate::is_true());
    }
    let id = claimed.payload.execution_id;
    check!(cx, "FF-LSE-002", cx.info(&a, &id).await?.current_lease_epoch, equals(LeaseEpoch(1)));
    check!(cx, "FF-LSE-003", lease_log(&cx.dump().await?, &id), reads("acquired 1"));
    Ok(())
}

/// A renewed lease runs out at its new deadline, not at the old one.
///
/// Covers FF-LSE-005, FF-LSE-009.
pub async fn a_renewed_lease_ends_at_its_new_deadline(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    cx.pass_time(ms(10)).await?;
    a.renew(&claimed.handle).await?;

    cx.pass_time(TTL - ms(1)).await?;
    let id = claimed.payload.execution_id;
    check!(cx, "FF-LSE-009", vector(&cx.info(&a, &id).await?), reads(LEASED));
    check!(cx, "FF-LSE-009", cx.try_claim(&a, "thief", TTL).await?.is_none(), crate::is_true());
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-LSE-005", a.renew(&claimed.handle).await, crate::refused("State(LeaseExpired)"));
    check!(cx, "FF-LSE-005", cx.claimed(&a, "thief").await?.payload.execution_id, equals(id));
    Ok(())
}

/// A renewal replaces the deadline, also by an earlier one: it counts from now with the life in the handle.
///
/// Covers FF-LSE-009.
pub async fn renew_counts_from_now_with_the_life_in_the_handle(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let brief = altered(&claimed, |payload| payload.lease_ttl = ms(5));

    let expires_at = after(cx.now().await?, 5);
    check!(cx, "FF-LSE-009", a.renew(&brief).await, answers(LeaseRenewal { expires_at, lease_epoch: LeaseEpoch(1) }));
    cx.pass_time(ms(5)).await?;
    check!(cx, "FF-LSE-009", a.renew(&claimed.handle).await, crate::refused("State(LeaseExpired)"));
    Ok(())
}

/// In the last millisecond of its lease a holder may do everything.
///
/// Covers FF-LSE-005.
pub async fn every_holder_operation_works_until_the_lease_ends(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for n in 0..5 {
        let claimed = held(cx, &a).await?;
        let handle = &claimed.handle;
        cx.pass_time(TTL - ms(1)).await?;
        let answer = match n {
            0 => a.renew(handle).await.map(drop),
            1 => a.progress(handle, Some(1), None).await,
            2 => a.complete(handle, None).await,
            3 => a.cancel(handle, "over").await,
            _ => {
                a.fail(handle, ff_core::FailureReason::new("broken"), ff_core::FailureClass::Permanent).await.map(drop)
            }
        };
        check!(cx, "FF-LSE-005", (n, answer), equals((n, Ok::<(), EngineError>(()))));
        // The next round begins with a lane in which nothing can be taken over.
        a.cancel(handle, "over").await.ok();
    }
    Ok(())
}

/// From the very instant of its end a lease is worth nothing, in every operation, and nothing is written.
///
/// Covers FF-LSE-005, FF-ERR-006.
pub async fn every_holder_operation_is_refused_from_the_instant_the_lease_ends(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = lapsed(cx, &a).await?;
    let written = cx.dump().await?;

    for span in [ms(0), ms(1), TTL] {
        cx.pass_time(span).await?;
        check!(cx, "FF-ERR-006", holder_answers(&a, &claimed.handle).await, all_refused("State(LeaseExpired)"));
    }
    check!(cx, "FF-LSE-005", cx.dump().await?, equals(written));
    Ok(())
}

/// A lease that ran out is never revived, though nobody wants the work.
///
/// Covers FF-LSE-012, FF-LSE-005.
pub async fn renew_never_revives_a_lapsed_lease(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = lapsed(cx, &a).await?;
    for span in [ms(0), ms(1), ms(1_000_000)] {
        cx.pass_time(span).await?;
        check!(cx, "FF-LSE-012", a.renew(&claimed.handle).await, crate::refused("State(LeaseExpired)"));
    }
    let id = claimed.payload.execution_id;
    check!(cx, "FF-LSE-005", vector(&cx.info(&a, &id).await?), reads(LAPSED));
    Ok(())
}

/// A lapsed lease reads as such in every read, though nobody wrote anything; before its end it reads as live.
///
/// Covers FF-LSE-005, FF-EXE-003, FF-EXE-004, FF-EXE-010, FF-EXE-040.
pub async fn a_lapsed_lease_reads_as_lapsed_everywhere(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    let (written, end) = (cx.dump().await?, cx.now().await?.plus(TTL));

    cx.set_time(before(end, 1)).await?;
    let live = read_all(cx, &a, &id).await?;
    check!(cx, "FF-LSE-005", vector(&live.info), reads(LEASED));
    check!(cx, "FF-EXE-040", live.snapshot.lease_status, equals(LeaseStatus::Live));
    cx.set_time(end).await?;
    let over = read_all(cx, &a, &id).await?;

    check!(cx, "FF-EXE-003", vector(&over.info), reads(LAPSED));
    check!(cx, "FF-EXE-004", over.public_states(), equals([PublicState::Active; 3]));
    check!(
        cx,
        "FF-EXE-040",
        (over.snapshot.lease_status, &over.snapshot.current_lease),
        equals((LeaseStatus::Expired, &None))
    );
    check!(cx, "FF-EXE-040", over.snapshot.current_attempt, equals(live.snapshot.current_attempt));
    let reason = over.snapshot.blocking_reason;
    check!(cx, "FF-EXE-040", reason, equals(Some(ff_core::BlockingReason::WaitingForWorker)));
    check!(cx, "FF-LSE-005", over.result, is_none());
    check!(cx, "FF-EXE-010", cx.dump().await?, equals(written));
    Ok(())
}

/// The epoch counts the acquisitions of a whole life: fresh, retried and taken over, and nothing else.
///
/// Covers FF-LSE-002, FF-LSE-003, FF-EXE-001, FF-EXE-011.
pub async fn the_epoch_counts_acquisitions_for_life(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = retrying(2, 0);
    let first = held_as(cx, &a, cx.execution()?.policy(policy)).await?;
    let id = first.payload.execution_id;
    let broken = || ff_core::FailureReason::new("broken");
    a.renew(&first.handle).await?;
    a.fail(&first.handle, broken(), ff_core::FailureClass::Transient).await?;
    cx.claimed(&a, "worker").await?;
    cx.pass_time(TTL).await?;
    let third = cx.claimed(&a, "worker").await?;
    a.fail(&third.handle, broken(), ff_core::FailureClass::Transient).await?;
    let fourth = cx.claimed(&a, "worker").await?;
    a.complete(&fourth.handle, None).await?;

    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-LSE-002", info.current_lease_epoch, equals(LeaseEpoch(4)));
    check!(cx, "FF-LSE-002", fourth.payload.fence.lease_epoch, equals(LeaseEpoch(4)));
    check!(
        cx,
        "FF-LSE-003",
        lease_log(&dump, &id),
        reads(
            "acquired 1, released 1 failed_retry_scheduled, acquired 2, expired 2, reclaimed 3, \
             released 3 failed_retry_scheduled, acquired 4, released 4 completed"
        )
    );
    check!(
        cx,
        "FF-EXE-001",
        crate::words::attempt_log(&dump, &id),
        reads(
            "0 initial ended_failure 1, 1 retry interrupted_reclaimed 2, 2 reclaim ended_failure 3, \
             3 retry ended_success 4"
        )
    );
    check!(cx, "FF-EXE-011", (info.total_attempt_count, info.retry_count, info.lease_reclaim_count), equals((4, 2, 1)));
    Ok(())
}

/// A handle works from any client, after it was written down and read back, and whatever its kind says.
///
/// Covers FF-LSE-013.
pub async fn a_handle_is_all_that_its_holder_needs(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let claimed = held(cx, &a).await?;
    let json = |error: serde_json::Error| crate::Stop::Errored(format!("handle as JSON: {error}"));
    let text = serde_json::to_string(&claimed.handle).map_err(json)?;
    let copy: ff_core::Handle = serde_json::from_str(&text).map_err(json)?;

    check!(cx, "FF-LSE-013", b.renew(&copy).await, is_ok());
    for kind in [HandleKind::Reclaimed, HandleKind::Resumed, HandleKind::Suspended] {
        let other = claimed.payload.seal(claimed.handle.backend().clone(), kind);
        check!(cx, "FF-LSE-013", a.renew(&other).await, is_ok());
        check!(cx, "FF-LSE-013", b.progress(&other, Some(1), None).await, is_ok());
    }
    check!(cx, "FF-LSE-013", b.complete(&copy, None).await, is_ok());
    Ok(())
}

/// Progress does not extend the lease.
///
/// Covers FF-LSE-005, FF-EXE-038.
pub async fn progress_does_not_extend_the_lease(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    let lease = snapshot(cx, &a, &id).await?.current_lease;
    cx.pass_time(TTL - ms(1)).await?;

    check!(cx, "FF-EXE-038", a.progress(&claimed.handle, Some(99), None).await, is_ok());
    check!(cx, "FF-EXE-038", snapshot(cx, &a, &id).await?.current_lease, equals(lease));
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-LSE-005", a.complete(&claimed.handle, None).await, crate::refused("State(LeaseExpired)"));
    Ok(())
}
