//! Cases of how a claim routes itself: what the work is follows from how it came to wait.

use std::collections::BTreeSet;

use ff_core::{AttemptIndex, FailureClass, FailureReason, HandleKind, LeaseEpoch};

use crate::{
    Cx, TTL, Verdict, check,
    crowds::{claim_order, claims_at_once, clients},
    equals,
    routes::{Route, laid_down, waiting},
    stages::held_as,
    words::{LEASED, attempt_log, lease_log, reads, vector},
};

/// Whatever way work came to wait, a claim takes it, and its handle says what it is.
///
/// Covers FF-CLM-040, FF-CLM-012, FF-EXE-003.
pub async fn claim_takes_work_whatever_way_it_came(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for route in Route::ALL {
        let id = waiting(cx, &a, route).await?;

        let claimed = cx.claimed(&a, "next").await?;

        check!(cx, "FF-CLM-040", (route, claimed.handle.kind()), equals((route, route.expected().kind)));
        check!(cx, "FF-CLM-012", claimed.payload.execution_id, equals(id));
        check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(LEASED));
        a.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// Fresh and taken-over work starts an attempt of its type, resumed work goes on with its own.
///
/// Covers FF-CLM-040, FF-EXE-001, FF-EXE-011.
pub async fn claim_starts_or_resumes_the_attempt_that_the_work_needs(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for route in Route::ALL {
        let (id, expected) = (waiting(cx, &a, route).await?, route.expected());

        let claimed = cx.claimed(&a, "next").await?;

        check!(cx, "FF-EXE-001", attempt_log(&cx.dump().await?, &id), reads(expected.attempts));
        let info = cx.info(&a, &id).await?;
        let counters = (info.total_attempt_count, info.retry_count, info.lease_reclaim_count);
        check!(cx, "FF-EXE-011", (route, counters), equals((route, expected.counters)));
        let attempt = claimed.payload.attempt_index;
        check!(cx, "FF-CLM-040", attempt, equals(AttemptIndex(expected.counters.0 - 1)));
        a.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// The history tells how each piece of work came from one holder to the next.
///
/// Covers FF-LSE-003, FF-LSE-015, FF-LSE-002.
pub async fn claim_tells_how_the_work_came(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for route in Route::ALL {
        let (id, expected) = (waiting(cx, &a, route).await?, route.expected());

        let claimed = cx.claimed(&a, "next").await?;

        let told = lease_log(&cx.dump().await?, &id);
        if route == Route::Lapsed {
            check!(cx, "FF-LSE-015", told, reads(expected.leases));
        }
        check!(cx, "FF-LSE-003", told, reads(expected.leases));
        let epoch = if matches!(route, Route::Created | Route::Delayed) { 1 } else { 2 };
        check!(cx, "FF-LSE-002", claimed.payload.fence.lease_epoch, equals(LeaseEpoch(epoch)));
        a.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// One execution can be delayed, lapse, be taken over, be delayed again, fail and be retried.
///
/// Covers FF-CLM-040, FF-LSE-002, FF-EXE-001, FF-EXE-011.
pub async fn claims_carry_one_execution_through_a_long_life(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let first = held_as(cx, &a, Route::Failed.plan(cx)?).await?;
    let id = first.payload.execution_id;
    laid_down(cx, &a, Route::Parked, &first.handle).await?;
    let mut kinds = vec![(first.handle.kind(), first.payload.attempt_index.0)];
    for next in [Some(Route::Lapsed), Some(Route::Parked), Some(Route::WaitedForNothing), Some(Route::Failed), None] {
        cx.pass_time(TTL).await?;
        let claimed = cx.claimed(&a, "next").await?;
        kinds.push((claimed.handle.kind(), claimed.payload.attempt_index.0));
        match next {
            Some(route) => laid_down(cx, &a, route, &claimed.handle).await?,
            None => a.complete(&claimed.handle, None).await?,
        }
    }

    let (fresh, resumed, reclaimed) = (HandleKind::Fresh, HandleKind::Resumed, HandleKind::Reclaimed);
    let expected = vec![(fresh, 0), (resumed, 0), (reclaimed, 1), (resumed, 1), (resumed, 1), (fresh, 2)];
    check!(cx, "FF-CLM-040", kinds, equals(expected));
    let dump = cx.dump().await?;
    let attempts = "0 initial interrupted_reclaimed 2, 1 reclaim ended_failure 5, 2 retry ended_success 6";
    check!(cx, "FF-EXE-001", attempt_log(&dump, &id), reads(attempts));
    let told = "acquired 1, released 1 worker_delay, acquired 2, expired 2, reclaimed 3, released 3 worker_delay, \
                acquired 4, released 4 waiting_children, acquired 5, released 5 failed_retry_scheduled, acquired 6, \
                released 6 completed";
    check!(cx, "FF-LSE-002", lease_log(&dump, &id), reads(told));
    let info = cx.info(&a, &id).await?;
    let counters = (info.total_attempt_count, info.retry_count, info.lease_reclaim_count, info.current_lease_epoch.0);
    check!(cx, "FF-EXE-011", counters, equals((3, 1, 1, 6)));
    Ok(())
}

/// Work that comes back keeps its place: by creation, ahead of younger work, whatever way it came.
///
/// Covers FF-CLM-001.
pub async fn work_that_comes_back_goes_ahead_of_younger_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut ids = Vec::new();
    for route in Route::ALL {
        ids.push(cx.created(&a, route.plan(cx)?).await?);
        cx.pass_time(crate::instants::ms(1)).await?;
    }
    let mut held = Vec::new();
    for route in Route::ALL {
        held.push((route, cx.claimed(&a, "worker").await?));
    }
    while let Some((route, held)) = held.pop() {
        laid_down(cx, &a, route, &held.handle).await?;
    }
    ids.push(cx.created_plain(&a).await?);
    cx.pass_time(TTL).await?;

    check!(cx, "FF-CLM-001", claim_order(cx, &a, ids.len() + 1).await?, equals(ids));
    Ok(())
}

/// Claims at the same time take work of every kind once.
///
/// Covers FF-CLM-004, FF-CLM-007, FF-LSE-001.
pub async fn claims_at_once_take_work_of_every_kind_once(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(crate::Stop::Errored("no client".to_owned())) };
    let (mut ids, mut held) = (BTreeSet::new(), Vec::new());
    for route in Route::ALL.into_iter().cycle().take(27) {
        ids.insert(cx.created(a, route.plan(cx)?).await?);
        held.push((route, cx.claimed(a, "worker").await?));
    }
    for (route, held) in &held {
        laid_down(cx, a, *route, &held.handle).await?;
    }
    cx.pass_time(TTL).await?;

    let mut claimed = Vec::new();
    for _ in 0..4 {
        claimed.extend(claims_at_once(cx, &clients, 8).await?);
    }

    let taken: BTreeSet<_> = claimed.iter().map(|claimed| claimed.payload.execution_id).collect();
    check!(cx, "FF-CLM-004", claimed.len(), equals(27));
    check!(cx, "FF-LSE-001", taken, equals(ids));
    let epochs: BTreeSet<_> = claimed.iter().map(|claimed| claimed.payload.fence.lease_epoch.0).collect();
    check!(cx, "FF-CLM-007", epochs, equals(BTreeSet::from([2])));
    Ok(())
}

/// A failed attempt of resumed work is retried with another attempt.
///
/// Covers FF-CLM-040, FF-EXE-001.
pub async fn a_retry_after_a_resumption_is_fresh(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let first = held_as(cx, &a, Route::Failed.plan(cx)?).await?;
    laid_down(cx, &a, Route::GivenBack, &first.handle).await?;
    let resumed = cx.claimed(&a, "next").await?;
    check!(cx, "FF-CLM-040", resumed.handle.kind(), equals(HandleKind::Resumed));
    a.fail(&resumed.handle, FailureReason::new("broken"), FailureClass::Transient).await?;

    let retried = cx.claimed(&a, "next").await?;

    check!(cx, "FF-CLM-040", (retried.handle.kind(), retried.payload.attempt_index.0), equals((HandleKind::Fresh, 1)));
    let attempts = attempt_log(&cx.dump().await?, &first.payload.execution_id);
    check!(cx, "FF-EXE-001", attempts, reads("0 initial ended_failure 2, 1 retry started 3"));
    Ok(())
}
