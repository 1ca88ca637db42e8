//! Cases of the claim order: priority descending, creation, id; and of priorities that change.

use std::{sync::Arc, time::Duration};

use ff_core::{
    ChangePriorityArgs, ChangePriorityResult, CreateExecutionArgs, EngineBackend, EngineError, ExecutionId,
    FailureClass, FailureReason, ReplayExecutionArgs, ResumeExecutionArgs, RevokeLeaseArgs,
};

use crate::{
    Claimed, Cx, Stop, TTL, Verdict, answers, check,
    crowds::{claim_order, created_many},
    equals,
    instants::{after, ms},
    refused, refused_with,
    reservations::{grant_of, wants},
    stages::{held, held_as, retrying},
    suspensions::{seeded, waits_for_any},
    words::{operator_log, reads},
};

/// The higher priority goes first, whatever is older.
///
/// Covers FF-CLM-001.
pub async fn claim_prefers_the_higher_priority(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut ids = Vec::new();
    for priority in [0, 1, 2, 9, 10, 99, 100, 1000, 8999, 9000] {
        ids.push(cx.created(&a, cx.execution()?.priority(priority)).await?);
        cx.pass_time(ms(1)).await?;
    }
    ids.reverse();
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 11).await?, equals(ids));
    Ok(())
}

/// Of one priority the older goes first.
///
/// Covers FF-CLM-001.
pub async fn claim_prefers_the_older_of_one_priority(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(cx.created(&a, cx.execution()?.priority(7)).await?);
        cx.pass_time(ms(1)).await?;
    }
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 13).await?, equals(ids));
    Ok(())
}

/// Of one priority and one instant the lesser id goes first.
///
/// Covers FF-CLM-001.
pub async fn claim_prefers_the_lesser_id_of_one_instant(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut ids = created_many(cx, &a, 24, |_, args| args).await?;
    ids.sort_by_key(ToString::to_string);
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 25).await?, equals(ids));
    Ok(())
}

/// Sixty rows of few priorities and few instants come in exactly their order.
///
/// Covers FF-CLM-001.
pub async fn claim_follows_the_order_through_a_mixed_lane(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut rows = Vec::new();
    for batch in 0..6_i32 {
        let created_at = cx.now().await?;
        let priority = |n: usize| i32::try_from(n).unwrap_or_default() * 7 % 4 + batch % 2;
        let ids = created_many(cx, &a, 10, |n, args| args.priority(priority(n))).await?;
        rows.extend(ids.into_iter().enumerate().map(|(n, id)| (-priority(n), created_at, id.to_string(), id)));
        cx.pass_time(ms(1)).await?;
    }
    rows.sort();
    let order: Vec<_> = rows.into_iter().map(|(.., id)| id).collect();
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 61).await?, equals(order));
    Ok(())
}

/// Priorities beyond the range are equal after they were clamped: the older goes first.
///
/// Covers FF-CLM-001, FF-EXE-018.
pub async fn claim_orders_by_the_clamped_priority(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut ids = Vec::new();
    for priority in [9000, 12_000, i32::MAX, 0, -5, i32::MIN] {
        ids.push(cx.created(&a, cx.execution()?.priority(priority)).await?);
        cx.pass_time(ms(1)).await?;
    }
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 7).await?, equals(ids));
    Ok(())
}

/// A retry keeps its creation and goes ahead of younger work of its priority.
///
/// Covers FF-CLM-001.
pub async fn retried_work_goes_ahead_of_younger_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = cx.created(&a, cx.execution()?.policy(retrying(1, 10))).await?;
    let claimed = cx.claimed(&a, "worker").await?;
    a.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
    cx.pass_time(ms(1)).await?;
    let young = cx.created_plain(&a).await?;
    let urgent = cx.created(&a, cx.execution()?.priority(1)).await?;
    cx.pass_time(ms(9)).await?;

    check!(cx, "FF-CLM-001", claim_order(cx, &a, 4).await?, equals(vec![urgent, old, young]));
    Ok(())
}

/// So many rows of these arguments, one older than the next.
async fn rows<const COUNT: usize>(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    kind: &CreateExecutionArgs,
) -> Result<[ExecutionId; COUNT], Stop> {
    let mut ids = [kind.execution_id; COUNT];
    for id in &mut ids {
        let mut args = kind.clone();
        args.execution_id = cx.execution()?.execution_id;
        *id = cx.created(client, args).await?;
        cx.pass_time(ms(1)).await?;
    }
    Ok(ids)
}

/// Longer than the calls of a case take, and so often shorter than a lease as there are ways to come back.
const LONG_SINCE: Duration = Duration::from_secs(3);

/// Six rows of which one client has claimed four; another client brings the first of them `back`. The order in which the
/// first client claims what is there then, and the one in which it has to.
async fn after_it_came<Back: Future<Output = Result<(), Stop>>>(
    cx: &Cx,
    back: impl FnOnce(Arc<dyn EngineBackend>, Claimed) -> Back,
) -> Result<(Vec<ExecutionId>, Vec<ExecutionId>), Stop> {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let [old, .., fifth, sixth] = rows::<6>(cx, &b, &cx.execution()?.policy(retrying(1, 0))).await?;
    cx.pass_time(LONG_SINCE).await?;
    let first = cx.claimed_for(&a, "worker", ms(100)).await?;
    for _ in 0..3 {
        cx.claimed(&a, "worker").await?;
    }
    back(b, first).await?;
    Ok((claim_order(cx, &a, 4).await?, vec![old, fifth, sixth]))
}

/// Work that comes back through another client goes ahead of the younger work of a lane whose older work is all taken.
///
/// Covers FF-CLM-001.
pub async fn work_that_comes_back_takes_its_place_again(cx: &Cx) -> Verdict {
    let failed = |b: Arc<dyn EngineBackend>, first: Claimed| async move {
        b.fail(&first.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
        Ok(())
    };
    let delayed = |b: Arc<dyn EngineBackend>, first: Claimed| async move {
        b.delay(&first.handle, cx.now().await?).await?;
        Ok(())
    };
    let revoked = |b: Arc<dyn EngineBackend>, first: Claimed| async move {
        b.revoke_lease(RevokeLeaseArgs::new(first.payload.execution_id, "drained")).await?;
        Ok(())
    };
    let lapsed = |_, _| cx.pass_time(ms(100));
    let replayed = |b: Arc<dyn EngineBackend>, first: Claimed| async move {
        b.complete(&first.handle, None).await?;
        b.replay_execution(ReplayExecutionArgs::new(first.payload.execution_id)).await?;
        Ok(())
    };
    for (order, expected) in [
        after_it_came(cx, failed).await?,
        after_it_came(cx, delayed).await?,
        after_it_came(cx, revoked).await?,
        after_it_came(cx, lapsed).await?,
        after_it_came(cx, replayed).await?,
    ] {
        check!(cx, "FF-CLM-001", order, equals(expected));
    }
    Ok(())
}

/// A reservation that ran out leaves the work in its place, ahead of younger work.
///
/// Covers FF-CLM-001.
pub async fn work_that_was_reserved_takes_its_place_again(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let [reserved, .., fifth, sixth] = rows::<6>(cx, &b, &cx.execution()?).await?;
    cx.pass_time(LONG_SINCE).await?;
    grant_of(&b, wants(cx, "other", ms(100))?).await?;
    for _ in 0..3 {
        cx.claimed(&a, "worker").await?;
    }
    cx.pass_time(ms(100)).await?;
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 4).await?, equals(vec![reserved, fifth, sixth]));
    Ok(())
}

/// Work that goes on after a suspension goes ahead of younger work.
///
/// Covers FF-CLM-001.
pub async fn work_that_was_suspended_takes_its_place_again(cx: &Cx) -> Verdict {
    seeded(cx, &cx.client("a").await?).await?;
    let resumed = |b: Arc<dyn EngineBackend>, first: Claimed| async move {
        b.suspend(&first.handle, waits_for_any()).await?;
        b.resume_execution(ResumeExecutionArgs::new(first.payload.execution_id, "go on")).await?;
        Ok(())
    };
    let (order, expected) = after_it_came(cx, resumed).await?;
    check!(cx, "FF-CLM-001", order, equals(expected));
    Ok(())
}

/// Work whose priority changes stands by its age among the work of that priority, though all of that is taken.
///
/// Covers FF-CLM-001, FF-EXE-063.
pub async fn work_of_another_priority_takes_its_place(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let old = cx.created(&b, cx.execution()?.priority(1)).await?;
    let [.., fifth, sixth] = rows::<6>(cx, &b, &cx.execution()?.priority(5)).await?;
    cx.pass_time(LONG_SINCE).await?;
    for _ in 0..4 {
        cx.claimed(&a, "worker").await?;
    }
    b.change_priority(ChangePriorityArgs::new(old, 5)).await?;
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 4).await?, equals(vec![old, fifth, sixth]));
    Ok(())
}

/// Work whose lease ran out keeps its creation and goes ahead of younger work of its priority.
///
/// Covers FF-CLM-001.
pub async fn lapsed_work_goes_ahead_of_younger_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = cx.created_plain(&a).await?;
    cx.claimed_for(&a, "worker", ms(10)).await?;
    cx.pass_time(ms(1)).await?;
    let young = cx.created_plain(&a).await?;
    let urgent = cx.created(&a, cx.execution()?.priority(1)).await?;
    cx.pass_time(ms(9)).await?;

    check!(cx, "FF-CLM-001", claim_order(cx, &a, 4).await?, equals(vec![urgent, old, young]));
    Ok(())
}

/// A delay costs no place: due work stands where its creation puts it.
///
/// Covers FF-CLM-001.
pub async fn delayed_work_keeps_its_place(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    let late = cx.created(&a, cx.execution()?.delay_until(after(now, 20))).await?;
    cx.pass_time(ms(1)).await?;
    let early = cx.created(&a, cx.execution()?.delay_until(after(now, 10))).await?;
    cx.pass_time(ms(1)).await?;
    let plain = cx.created_plain(&a).await?;
    cx.pass_time(TTL).await?;

    check!(cx, "FF-CLM-001", claim_order(cx, &a, 4).await?, equals(vec![late, early, plain]));
    Ok(())
}

/// Work that time makes ready goes ahead of younger work that it made ready before, of which some is taken, whoever looks
/// first.
///
/// Covers FF-CLM-001, FF-CLM-014.
pub async fn work_that_is_due_later_takes_its_place(cx: &Cx) -> Verdict {
    let (a, b, now) = (cx.client("a").await?, cx.client("b").await?, cx.now().await?);
    let (soon, later) = (after(now, 10_000), after(now, 15_000));
    let [first, second] = rows::<2>(cx, &b, &cx.execution()?.delay_until(later)).await?;
    let [.., fifth, sixth] = rows::<6>(cx, &b, &cx.execution()?.delay_until(soon)).await?;
    cx.set_time(soon).await?;
    for _ in 0..4 {
        cx.claimed(&a, "worker").await?;
    }
    cx.set_time(later).await?;
    check!(cx, "FF-CLM-014", claim_order(cx, &b, 1).await?, equals(vec![first]));
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 4).await?, equals(vec![second, fifth, sixth]));
    Ok(())
}

/// Work that is not due yet holds nobody up, however urgent it is.
///
/// Covers FF-CLM-001, FF-CLM-003.
pub async fn urgent_work_that_is_not_due_holds_nobody_up(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let due = after(cx.now().await?, 1000);
    let urgent = cx.created(&a, cx.execution()?.priority(9000).delay_until(due)).await?;
    let plain = cx.created_plain(&a).await?;
    check!(cx, "FF-CLM-003", claim_order(cx, &a, 2).await?, equals(vec![plain]));
    cx.set_time(due).await?;
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 2).await?, equals(vec![urgent]));
    Ok(())
}

const fn changed(execution_id: ExecutionId, priority: i32) -> ChangePriorityResult {
    ChangePriorityResult::Changed { execution_id, priority }
}

/// Another priority moves work within its lane at once, up and down, and is told once.
///
/// Covers FF-EXE-063, FF-EXE-070.
pub async fn change_priority_moves_work_within_its_lane(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let plain = cx.execution()?.priority(5);
    let [first, second, third, fourth] = rows(cx, &a, &plain).await?;

    for (id, asked, effective) in [(third, 9, 9), (first, 1, 1), (fourth, 9001, 9000), (second, -1, 0)] {
        let change = a.change_priority(ChangePriorityArgs::new(id, asked)).await;
        check!(cx, "FF-EXE-063", change, answers(changed(id, effective)));
        let info = cx.info(&a, &id).await?;
        check!(cx, "FF-EXE-063", (info.priority, info.last_mutation_at), equals((effective, cx.now().await?)));
        let told = operator_log(&cx.dump().await?, &id);
        check!(cx, "FF-EXE-070", told, reads(&format!("priority_changed {effective}")));
    }

    check!(cx, "FF-EXE-063", claim_order(cx, &a, 5).await?, equals(vec![fourth, third, first, second]));
    Ok(())
}

/// The priority that it has already changes nothing and is not told.
///
/// Covers FF-EXE-063, FF-EXE-070.
pub async fn change_priority_to_the_same_changes_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created(&a, cx.execution()?.priority(9000)).await?;
    let written = cx.dump().await?;
    cx.pass_time(ms(7)).await?;
    for asked in [9000, 9001, i32::MAX] {
        let change = a.change_priority(ChangePriorityArgs::new(id, asked)).await;
        check!(cx, "FF-EXE-063", change, answers(changed(id, 9000)));
    }
    check!(cx, "FF-EXE-070", cx.dump().await?, equals(written));
    Ok(())
}

/// What waits for an instant has the changed priority when it comes, also where a claim has seen that it came.
///
/// Covers FF-EXE-063.
pub async fn change_priority_of_work_that_is_not_due_counts_later(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let due = after(cx.now().await?, 1000);
    let delayed = cx.execution()?.priority(5).delay_until(due);
    let [first, second, third, fourth] = rows(cx, &a, &delayed).await?;
    a.change_priority(ChangePriorityArgs::new(third, 7)).await?;
    cx.set_time(due).await?;
    check!(cx, "FF-EXE-063", claim_order(cx, &a, 1).await?, equals(vec![third]));
    let change = a.change_priority(ChangePriorityArgs::new(fourth, 6)).await;
    check!(cx, "FF-EXE-063", change, answers(changed(fourth, 6)));
    check!(cx, "FF-EXE-063", claim_order(cx, &a, 4).await?, equals(vec![fourth, first, second]));
    Ok(())
}

/// Held work, work whose lease ended and work that has ended do not wait; their priority stays.
///
/// Covers FF-EXE-064, FF-ERR-001.
pub async fn change_priority_of_work_that_does_not_wait_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 500);
    let live = held(cx, &a).await?.payload.execution_id;
    let revoked = held(cx, &a).await?.payload.execution_id;
    a.revoke_lease(RevokeLeaseArgs::new(revoked, "drain")).await?;
    let past = held_as(cx, &a, cx.execution()?.priority(9).execution_deadline_at(deadline)).await?.payload.execution_id;
    let ended = {
        let args = cx.execution()?.priority(9);
        let id = cx.created(&a, args).await?;
        let claimed = cx.claimed(&a, "worker").await?;
        a.complete(&claimed.handle, None).await?;
        id
    };
    let unstarted = cx.created(&a, cx.execution()?.execution_deadline_at(deadline)).await?;
    cx.set_time(deadline).await?;
    let written = cx.dump().await?;
    for id in [live, revoked, past, ended, unstarted] {
        let change = a.change_priority(ChangePriorityArgs::new(id, 3)).await;
        check!(cx, "FF-EXE-064", change, refused("Contention(ExecutionNotEligible)"));
    }
    let unknown = ChangePriorityArgs::new(cx.execution()?.execution_id, 3);
    check!(cx, "FF-ERR-001", a.change_priority(unknown).await, refused_with(EngineError::execution_not_found()));
    check!(cx, "FF-EXE-064", cx.dump().await?, equals(written));
    Ok(())
}
