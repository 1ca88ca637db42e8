//! Cases of backlogs: many rows whose time has come at once, worked off by claims alone.

use std::collections::BTreeSet;

use ff_core::{CapabilitySet, ExecutionId, ExecutionPolicy, FailureClass, FailureReason, HandleKind};
use futures::future::{join_all, try_join_all};

use crate::{
    Cx, Stop, TTL, Verdict, check,
    crowds::{AT_A_TIME, claim_order, claims_at_once, clients, created_many},
    equals,
    instants::{after, ms},
    is_true,
    reservations::try_grant,
    stages::retrying,
    words::{completion_log, reads},
};

/// A policy that no worker of these cases covers.
fn uncovered() -> Result<ExecutionPolicy, Stop> {
    Ok(ExecutionPolicy::new().required_capabilities(CapabilitySet::try_new(["nobody-offers-this"])?))
}

/// The order in which claims take rows that all became due at one instant: each claim makes ready the next `at_most`
/// by id, then takes the first of the ready ones by priority and id.
fn expected_order(mut rows: Vec<(ExecutionId, i32)>, at_most: usize) -> Vec<ExecutionId> {
    rows.sort_by_key(|(id, _)| id.to_string());
    let mut due = rows.into_iter();
    let mut ready = BTreeSet::new();
    let mut order = Vec::new();
    loop {
        ready.extend(due.by_ref().take(at_most).map(|(id, priority)| (-priority, id.to_string(), id)));
        match ready.pop_first() {
            Some((.., id)) => order.push(id),
            None => return order,
        }
    }
}

/// A thousand rows due at one instant come in the order that the bounded promotion gives, and none is lost.
///
/// Covers FF-CLM-014, FF-CLM-001, FF-CLM-004.
pub async fn a_thousand_rows_due_at_once_come_in_order(cx: &Cx) -> Verdict {
    let clients = clients(cx, 2).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    let due = after(cx.now().await?, 60_000);
    let priority = |n: usize| i32::try_from(n * 7 % 13).unwrap_or_default();
    let ids = created_many(cx, a, 1000, |n, args| args.delay_until(due).priority(priority(n))).await?;
    let at_most = usize::try_from(a.capabilities().limits.promote_per_claim).unwrap_or(usize::MAX);
    let order = expected_order(ids.iter().enumerate().map(|(n, id)| (*id, priority(n))).collect(), at_most);
    check!(cx, "FF-CLM-014", claim_order(cx, a, 1).await?, equals(vec![]));

    cx.set_time(due).await?;

    let some = claim_order(cx, a, 40).await?;
    check!(cx, "FF-CLM-014", some == order.get(..40).unwrap_or_default(), is_true());
    let mut taken: BTreeSet<_> = some.into_iter().collect();
    while taken.len() < 1000 {
        let more = claims_at_once(cx, &clients, 8).await?;
        check!(cx, "FF-CLM-004", more.iter().all(|more| taken.insert(more.payload.execution_id)), is_true());
        check!(cx, "FF-CLM-014", more.is_empty(), equals(false));
    }
    check!(cx, "FF-CLM-001", taken, equals(ids.into_iter().collect()));
    check!(cx, "FF-CLM-014", claim_order(cx, a, 1).await?, equals(vec![]));
    Ok(())
}

/// One claim makes ready no more than the declared number of rows, those due first; the next goes on.
///
/// Covers FF-CLM-014.
pub async fn one_claim_makes_ready_the_rows_due_first(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let at_most = usize::try_from(a.capabilities().limits.promote_per_claim).unwrap_or(usize::MAX);
    let due = after(cx.now().await?, 1000);
    let mut first = created_many(cx, &a, at_most, |_, args| args.delay_until(due)).await?;
    let urgent = cx.created(&a, cx.execution()?.priority(9000).delay_until(after(due, 1))).await?;
    first.sort_by_key(ToString::to_string);
    cx.set_time(after(due, 1)).await?;

    let order = claim_order(cx, &a, 2).await?;

    check!(cx, "FF-CLM-014", order, equals(first.into_iter().take(1).chain([urgent]).collect::<Vec<_>>()));
    Ok(())
}

/// Due rows that the worker may not take count for the promotion, and are worked off like others.
///
/// Covers FF-CLM-014.
pub async fn due_rows_of_other_workers_are_made_ready_too(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let at_most = usize::try_from(a.capabilities().limits.promote_per_claim).unwrap_or(usize::MAX);
    let (due, policy) = (after(cx.now().await?, 1000), uncovered()?);
    created_many(cx, &a, at_most, |_, args| args.delay_until(due).policy(policy.clone())).await?;
    let own = cx.created(&a, cx.execution()?.delay_until(after(due, 1))).await?;
    cx.set_time(after(due, 1)).await?;

    check!(cx, "FF-CLM-014", claim_order(cx, &a, 1).await?, equals(vec![]));
    check!(cx, "FF-CLM-014", claim_order(cx, &a, 1).await?, equals(vec![own]));
    Ok(())
}

/// Of rows that fall due together each comes to what its time means: some are ready for good, one for a second until its
/// deadline, one has come to that, and one was held by a worker.
///
/// Covers FF-CLM-014, FF-EXE-008, FF-EXE-039, FF-CLM-012. Needs clock.
pub async fn rows_due_together_come_to_what_each_waited_for(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let due = cx.now().await?.plus(TTL);
    let held = cx.created(&a, cx.execution()?.priority(5)).await?;
    cx.claimed(&a, "worker").await?;
    let first = cx.created(&a, cx.execution()?.priority(4).delay_until(due)).await?;
    let last = cx.created(&a, cx.execution()?.priority(3).delay_until(due)).await?;
    let lasting = cx.execution()?.priority(2).delay_until(due).execution_deadline_at(after(due, 1000));
    let lasting = cx.created(&a, lasting).await?;
    let late = cx.created(&a, cx.execution()?.priority(6).delay_until(due).execution_deadline_at(due)).await?;
    cx.set_time(due).await?;

    let kinds = [cx.claimed(&a, "worker").await?, cx.claimed(&a, "worker").await?]
        .map(|claimed| (claimed.payload.execution_id, claimed.handle.kind()));
    check!(cx, "FF-CLM-012", kinds, equals([(held, HandleKind::Reclaimed), (first, HandleKind::Fresh)]));
    check!(cx, "FF-EXE-039", completion_log(&cx.dump().await?, &late), reads("expired"));
    cx.set_time(after(due, 1000)).await?;
    check!(cx, "FF-CLM-014", claim_order(cx, &a, 2).await?, equals(vec![last]));
    check!(cx, "FF-EXE-008", completion_log(&cx.dump().await?, &lasting), reads("expired"));
    Ok(())
}

/// Due rows of another lane cost a claim nothing.
///
/// Covers FF-CLM-010.
pub async fn due_rows_of_another_lane_do_not_count(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (due, lane) = (after(cx.now().await?, 1000), cx.lane_called("elsewhere")?);
    created_many(cx, &a, 300, |_, mut args| {
        args.lane_id = lane.clone();
        args.delay_until(due)
    })
    .await?;
    let own = cx.created(&a, cx.execution()?.delay_until(after(due, 1))).await?;
    cx.set_time(after(due, 1)).await?;

    check!(cx, "FF-CLM-010", claim_order(cx, &a, 1).await?, equals(vec![own]));
    Ok(())
}

/// A renewed lease is not due at its former end: as many of them as one claim works off leave the row behind them to it.
///
/// Covers FF-CLM-014. Needs clock.
pub async fn renewed_leases_are_not_due(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    let at_most = usize::try_from(a.capabilities().limits.promote_per_claim).unwrap_or(usize::MAX);
    created_many(cx, a, at_most, |_, args| args).await?;
    let former_end = cx.now().await?.plus(TTL);
    let mut held = Vec::new();
    while held.len() < at_most {
        let more = claims_at_once(cx, &clients, 4).await?;
        check!(cx, "FF-CLM-014", more.is_empty(), equals(false));
        held.extend(more);
    }
    cx.pass_time(TTL / 2).await?;
    for some in held.chunks(AT_A_TIME) {
        try_join_all(some.iter().map(|claimed| a.renew(&claimed.handle))).await?;
    }
    let delayed = cx.created(a, cx.execution()?.delay_until(after(former_end, 1))).await?;
    cx.set_time(after(former_end, 1)).await?;

    check!(cx, "FF-CLM-014", claim_order(cx, a, 2).await?, equals(vec![delayed]));
    Ok(())
}

/// Sixty leases that run out at once are all taken over, in the order of the lane.
///
/// Covers FF-CLM-005, FF-CLM-012, FF-CLM-001.
pub async fn sixty_lapsed_leases_are_all_taken_over(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    created_many(cx, &a, 60, |_, args| args).await?;
    let order = claim_order(cx, &a, 61).await?;
    check!(cx, "FF-CLM-005", order.len(), equals(60));
    cx.pass_time(TTL).await?;

    let (mut again, mut kinds) = (Vec::new(), Vec::new());
    for _ in 0..61 {
        let Some(claimed) = cx.try_claim(&a, "worker", TTL).await? else { break };
        again.push(claimed.payload.execution_id);
        kinds.push(claimed.handle.kind());
    }

    check!(cx, "FF-CLM-012", kinds, equals(vec![HandleKind::Reclaimed; 60]));
    check!(cx, "FF-CLM-001", again, equals(order));
    Ok(())
}

/// Three hundred leases that run out at once are taken over by claims at the same time, each once.
///
/// Covers FF-CLM-004, FF-CLM-005, FF-LSE-008.
pub async fn hundreds_of_lapsed_leases_are_taken_over_once_each(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    let ids: BTreeSet<_> = created_many(cx, a, 300, |_, args| args).await?.into_iter().collect();
    for _ in 0..11 {
        claims_at_once(cx, &clients, 8).await?;
    }
    cx.pass_time(TTL).await?;

    let mut epochs = Vec::new();
    let mut taken = BTreeSet::new();
    for _ in 0..11 {
        let claimed = claims_at_once(cx, &clients, 8).await?;
        epochs.extend(claimed.iter().map(|claimed| claimed.payload.fence.lease_epoch.0));
        taken.extend(claimed.iter().map(|claimed| claimed.payload.execution_id));
    }

    check!(cx, "FF-LSE-008", epochs, equals(vec![2; 300]));
    check!(cx, "FF-CLM-005", taken, equals(ids));
    Ok(())
}

/// Retries that are due at one instant come by creation, like new work.
///
/// Covers FF-CLM-005, FF-CLM-001.
pub async fn many_retries_due_at_once_come_in_order(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(cx.created(&a, cx.execution()?.policy(retrying(1, 1000))).await?);
        cx.pass_time(ms(1)).await?;
    }
    let mut held = Vec::new();
    for _ in &ids {
        held.push(cx.claimed(&a, "worker").await?);
    }
    held.reverse();
    let fails = held.iter().map(|held| a.fail(&held.handle, FailureReason::new("broken"), FailureClass::Transient));
    join_all(fails).await.into_iter().collect::<Result<Vec<_>, _>>()?;

    check!(cx, "FF-CLM-005", claim_order(cx, &a, 1).await?, equals(vec![]));
    cx.pass_time(ms(1000)).await?;
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 21).await?, equals(ids));
    Ok(())
}

/// A ready row whose deadline has come is never handed out nor reserved, also when more rows are due than a call makes
/// ready.
///
/// Covers FF-EXE-008, FF-EXE-039, FF-CLM-014.
pub async fn a_ready_row_past_its_deadline_waits_for_its_turn_to_expire(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let at_most = usize::try_from(a.capabilities().limits.promote_per_claim).unwrap_or(usize::MAX);
    let (due, policy) = (after(cx.now().await?, 1000), uncovered()?);
    created_many(cx, &a, 2 * at_most, |_, args| args.delay_until(due).policy(policy.clone())).await?;
    let id = cx.created(&a, cx.execution()?.priority(9000).execution_deadline_at(after(due, 1))).await?;
    cx.set_time(after(due, 1)).await?;

    check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));
    check!(cx, "FF-EXE-008", try_grant(cx, &a, "worker").await?, equals(None));
    check!(cx, "FF-CLM-014", completion_log(&cx.dump().await?, &id), reads(""));
    check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));
    check!(cx, "FF-EXE-039", completion_log(&cx.dump().await?, &id), reads("expired"));
    Ok(())
}
