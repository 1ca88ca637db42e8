//! Cases of the take-over: what becomes of work whose lease ran out.

use ff_core::{AttemptIndex, ExecutionPolicy, HandleKind, LeaseEpoch, LeaseEventKind, LifecyclePhase, TerminalOutcome};

use crate::{
    Cx, Stop, TTL, Verdict, check,
    crowds::{claim_order, claims_at_once, clients, created_many},
    equals,
    instants::ms,
    is_none, is_ok, is_true,
    reads::snapshot,
    refused, refused_with,
    stages::{held, held_as, lapsed, not_active},
    words::{FAILED, LEASED, attempt_log, completion_log, lease_log, reads, vector},
};

/// A take-over starts a new attempt under a new lease, one epoch on.
///
/// Covers FF-LSE-008, FF-CLM-012, FF-CLM-016, FF-EXE-003, FF-EXE-011.
pub async fn claim_takes_over_a_lapsed_lease_with_a_new_attempt(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let old = lapsed(cx, &a).await?;
    let id = old.payload.execution_id;

    let new = cx.claimed_for(&b, "other", ms(400)).await?;

    let payload = &new.payload;
    check!(cx, "FF-CLM-012", (new.handle.kind(), payload.execution_id), equals((HandleKind::Reclaimed, id)));
    check!(
        cx,
        "FF-LSE-008",
        (payload.attempt_index, payload.fence.lease_epoch),
        equals((AttemptIndex(1), LeaseEpoch(2)))
    );
    let fence = payload.fence;
    let fresh = fence.lease_id != old.payload.fence.lease_id && fence.attempt_id != old.payload.fence.attempt_id;
    check!(cx, "FF-LSE-008", fresh, is_true());
    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&info), reads(LEASED));
    let counters = (info.total_attempt_count, info.retry_count, info.lease_reclaim_count);
    check!(cx, "FF-EXE-011", counters, equals((2, 0, 1)));
    let seen = snapshot(cx, &a, &id).await?;
    let lease =
        seen.current_lease.map(|lease| (lease.lease_id, lease.expires_at, lease.worker_instance_id.to_string()));
    let expires_at = cx.now().await?.plus(ms(400));
    check!(cx, "FF-CLM-016", lease, equals(Some((fence.lease_id, expires_at, "other-1".to_owned()))));
    let attempt = seen.current_attempt.map(|attempt| (attempt.attempt_id, attempt.attempt_index));
    check!(cx, "FF-CLM-016", attempt, equals(Some((fence.attempt_id, AttemptIndex(1)))));
    Ok(())
}

/// A take-over tells `Expired` of the old lease, then `Reclaimed` of the new one, and closes the old attempt.
///
/// Covers FF-LSE-015, FF-LSE-011, FF-EXE-002.
pub async fn claim_tells_the_lapse_and_the_take_over(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let old = lapsed(cx, &a).await?;
    let id = old.payload.execution_id;
    cx.pass_time(ms(3)).await?;
    let now = cx.now().await?;
    let new = cx.claimed(&b, "other").await?;

    let dump = cx.dump().await?;
    check!(cx, "FF-LSE-015", lease_log(&dump, &id), reads("acquired 1, expired 1, reclaimed 2"));
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial interrupted_reclaimed 1, 1 reclaim started 2"));
    for (kind, claimed, worker) in
        [(LeaseEventKind::Expired, &old, "worker-1"), (LeaseEventKind::Reclaimed, &new, "other-1")]
    {
        let payload = &claimed.payload;
        let told = dump.lease_history.iter().filter(|event| event.kind == kind).map(|event| {
            (event.lease_id, event.lease_epoch, event.attempt_index, event.worker_instance_id.as_str(), event.at)
        });
        let (fence, index) = (payload.fence, payload.attempt_index);
        check!(
            cx,
            "FF-LSE-011",
            told.collect::<Vec<_>>(),
            equals(vec![(fence.lease_id, fence.lease_epoch, index, worker, now)])
        );
    }
    let ended: Vec<_> = dump.attempts.iter().map(|attempt| (attempt.started_at, attempt.ended_at)).collect();
    let first = cx.info(&a, &id).await?.started_at.unwrap_or(now);
    check!(cx, "FF-LSE-015", ended, equals(vec![(first, Some(now)), (now, None)]));
    Ok(())
}

/// Work can be taken over from exactly the end of its lease on, without any scanner.
///
/// Covers FF-LSE-005, FF-CLM-005.
pub async fn claim_takes_over_from_the_instant_the_lease_ends(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = held(cx, &a).await?.payload.execution_id;
    cx.pass_time(TTL - ms(1)).await?;
    check!(cx, "FF-LSE-005", claim_order(cx, &a, 1).await?, equals(vec![]));
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-CLM-005", claim_order(cx, &a, 1).await?, equals(vec![id]));
    Ok(())
}

/// A worker may take over from itself; its former handle is fenced like any other.
///
/// Covers FF-LSE-008, FF-LSE-004.
pub async fn a_worker_may_take_over_from_itself(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = lapsed(cx, &a).await?;
    let new = cx.claimed(&a, "worker").await?;
    check!(cx, "FF-LSE-004", a.complete(&old.handle, None).await, refused("State(StaleLease)"));
    check!(cx, "FF-LSE-008", a.complete(&new.handle, None).await, is_ok());
    Ok(())
}

/// Claims at the same time take each lapsed lease over once, one epoch on.
///
/// Covers FF-LSE-008, FF-LSE-001, FF-LSE-002.
pub async fn claims_at_once_take_each_lapsed_lease_over_once(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    created_many(cx, a, 9, |_, args| args).await?;
    claim_order(cx, a, 9).await?;
    for epoch in 2..7 {
        cx.pass_time(TTL).await?;
        let claimed = claims_at_once(cx, &clients, 4).await?;
        let epochs: Vec<u64> = claimed.iter().map(|claimed| claimed.payload.fence.lease_epoch.0).collect();
        check!(cx, "FF-LSE-008", epochs, equals(vec![epoch; 9]));
    }
    let dump = cx.dump().await?;
    check!(cx, "FF-LSE-002", dump.attempts.len(), equals(9 * 6));
    let open = dump.attempts.iter().filter(|attempt| attempt.ended_at.is_none()).count();
    check!(cx, "FF-LSE-001", open, equals(9));
    Ok(())
}

/// What a holder told stays through the take-over.
///
/// Covers FF-EXE-038.
pub async fn progress_stays_through_a_take_over(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = held(cx, &a).await?;
    a.progress(&old.handle, Some(40), Some("forty".to_owned())).await?;
    let id = old.payload.execution_id;
    let told = cx.info(&a, &id).await?.progress;
    cx.pass_time(TTL).await?;
    cx.claimed(&a, "other").await?;
    check!(cx, "FF-EXE-038", cx.info(&a, &id).await?.progress, equals(told));
    Ok(())
}

/// With no take-over allowed the first lapse fails the execution when a claim comes upon it.
///
/// Covers FF-LSE-014, FF-EXE-003, FF-EXE-011, FF-SUB-001.
pub async fn a_lapse_without_allowed_take_overs_fails_the_execution(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = ExecutionPolicy::new().max_reclaim_count(0);
    let claimed = held_as(cx, &a, cx.execution()?.policy(policy)).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(TTL).await?;
    let now = cx.now().await?;

    check!(cx, "FF-LSE-014", cx.try_claim(&a, "other", TTL).await?.is_none(), is_true());

    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-EXE-003", vector(&info), reads(FAILED));
    let why = (info.failure_reason.as_deref(), info.failure_category.as_deref());
    check!(cx, "FF-LSE-014", why, equals((Some("max_reclaims_exceeded"), Some("max_reclaims_exceeded"))));
    check!(cx, "FF-LSE-014", (info.completed_at, info.last_transition_at), equals((Some(now), now)));
    let counters = (info.total_attempt_count, info.retry_count, info.lease_reclaim_count);
    check!(cx, "FF-EXE-011", counters, equals((1, 0, 0)));
    check!(cx, "FF-LSE-014", lease_log(&dump, &id), reads("acquired 1, revoked 1 max_reclaims_exceeded"));
    check!(cx, "FF-LSE-014", attempt_log(&dump, &id), reads("0 initial ended_failure 1"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("failed"));
    let ended = not_active(&claimed, TerminalOutcome::Failed, LifecyclePhase::Terminal);
    check!(cx, "FF-LSE-014", a.renew(&claimed.handle).await, refused_with(ended));
    Ok(())
}

/// Until a claim comes upon it, work whose take-overs are used up reads as lapsed and takes no renewal.
///
/// Covers FF-LSE-014, FF-EXE-010.
pub async fn used_up_take_overs_show_when_a_claim_comes(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = ExecutionPolicy::new().max_reclaim_count(0);
    let claimed = held_as(cx, &a, cx.execution()?.policy(policy)).await?;
    cx.pass_time(TTL).await?;
    let written = cx.dump().await?;

    let info = cx.info(&a, &claimed.payload.execution_id).await?;
    check!(cx, "FF-LSE-014", vector(&info), reads(crate::words::LAPSED));
    check!(cx, "FF-LSE-014", info.completed_at, is_none());
    check!(cx, "FF-LSE-014", a.renew(&claimed.handle).await, refused("State(LeaseExpired)"));
    check!(cx, "FF-EXE-010", cx.dump().await?, equals(written));
    Ok(())
}

/// The claim that fails worn-out work goes on to the next row of its lane.
///
/// Covers FF-LSE-014, FF-CLM-003.
pub async fn worn_out_work_does_not_cost_the_claim_its_turn(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = ExecutionPolicy::new().max_reclaim_count(0);
    let worn = held_as(cx, &a, cx.execution()?.policy(policy)).await?.payload.execution_id;
    let next = cx.created_plain(&a).await?;
    cx.pass_time(TTL).await?;

    check!(cx, "FF-CLM-003", claim_order(cx, &a, 2).await?, equals(vec![next]));
    check!(cx, "FF-LSE-014", vector(&cx.info(&a, &worn).await?), reads(FAILED));
    Ok(())
}

/// Leases lapse as often as `cap` allows; the next lapse fails the execution.
async fn reclaims_allowed(cx: &Cx, policy: ExecutionPolicy, most: u32) -> Result<u32, Stop> {
    let a = cx.client("a").await?;
    let id = held_as(cx, &a, cx.execution()?.policy(policy)).await?.payload.execution_id;
    let mut taken = 0;
    loop {
        cx.pass_time(TTL).await?;
        if taken > most || cx.try_claim(&a, "other", TTL).await?.is_none() {
            break;
        }
        taken += 1;
    }
    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-LSE-014", vector(&info), reads(FAILED));
    let counters = (info.lease_reclaim_count, info.total_attempt_count, info.current_lease_epoch.0);
    check!(cx, "FF-EXE-011", counters, equals((taken, taken + 1, u64::from(taken) + 1)));
    Ok(taken)
}

/// With one take-over allowed the second lapse fails the execution.
///
/// Covers FF-LSE-014, FF-EXE-011.
pub async fn max_reclaim_count_allows_as_many_take_overs(cx: &Cx) -> Verdict {
    for most in [1, 2, 5] {
        let policy = ExecutionPolicy::new().max_reclaim_count(most);
        check!(cx, "FF-LSE-014", reclaims_allowed(cx, policy, most).await?, equals(most));
    }
    Ok(())
}

/// Without a word from the policy a hundred take-overs are allowed.
///
/// Covers FF-LSE-014, FF-EXE-011.
pub async fn a_hundred_take_overs_are_allowed_by_default(cx: &Cx) -> Verdict {
    check!(cx, "FF-LSE-014", reclaims_allowed(cx, ExecutionPolicy::new(), 100).await?, equals(100));
    Ok(())
}

/// Worn-out work fails once, however many claims come upon it at the same time.
///
/// Covers FF-LSE-014, FF-SUB-001.
pub async fn worn_out_work_fails_once(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    let policy = ExecutionPolicy::new().max_reclaim_count(0);
    let ids = created_many(cx, a, 6, |_, args| args.policy(policy.clone())).await?;
    claim_order(cx, a, 6).await?;
    cx.pass_time(TTL).await?;

    check!(cx, "FF-LSE-014", claims_at_once(cx, &clients, 3).await?.len(), equals(0));

    let dump = cx.dump().await?;
    for id in &ids {
        check!(cx, "FF-LSE-014", lease_log(&dump, id), reads("acquired 1, revoked 1 max_reclaims_exceeded"));
        check!(cx, "FF-SUB-001", completion_log(&dump, id), reads("failed"));
    }
    Ok(())
}
