//! Cases of the claim: what it takes, what it hands out, and what it leaves alone.

use std::{collections::BTreeSet, sync::Arc};

use ff_core::{
    AttemptIndex, AttemptPhase, AttemptType, CapabilitySet, EngineBackend, ExecutionId, Handle, HandleKind, LaneId,
    LeaseEpoch, LeaseEventKind, LeaseStatus,
};

use crate::{
    Cx, Stop, TTL, Verdict, answers, check,
    crowds::{claim_order, claims_at_once, clients, created_many},
    equals,
    instants::{after, before, ms},
    is_none, is_ok, is_true,
    reads::snapshot,
    stages::{backing_off, completed, held},
    words::{LEASED, attempt_log, completion_log, lease_log, reads, vector},
};

async fn claim_in(cx: &Cx, client: &Arc<dyn EngineBackend>, lane: &LaneId) -> Result<Option<Handle>, Stop> {
    Ok(client.claim(lane, &CapabilitySet::default(), cx.worker("worker", TTL)?).await?)
}

/// A claim of new work starts the first attempt under a new lease.
///
/// Covers FF-CLM-016, FF-EXE-003, FF-EXE-024, FF-EXE-040.
pub async fn claim_starts_the_first_attempt_of_new_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;
    cx.pass_time(ms(5)).await?;
    let now = cx.now().await?;

    let claimed = cx.claimed_for(&a, "worker", ms(250)).await?;

    let (info, seen) = (cx.info(&a, &id).await?, snapshot(cx, &a, &id).await?);
    check!(cx, "FF-EXE-003", vector(&info), reads(LEASED));
    check!(cx, "FF-EXE-024", (info.started_at, info.completed_at), equals((Some(now), None)));
    check!(cx, "FF-CLM-016", (info.current_lease_epoch, info.total_attempt_count), equals((LeaseEpoch(1), 1)));
    check!(cx, "FF-CLM-016", (info.retry_count, info.lease_reclaim_count), equals((0, 0)));
    let fence = claimed.payload.fence;
    let attempt = seen.current_attempt.map(|attempt| (attempt.attempt_id, attempt.attempt_index));
    check!(cx, "FF-EXE-040", attempt, equals(Some((fence.attempt_id, AttemptIndex(0)))));
    check!(cx, "FF-EXE-040", (seen.lease_status, seen.blocking_reason), equals((LeaseStatus::Live, None)));
    let Some(lease) = seen.current_lease else {
        check!(cx, "FF-EXE-040", seen.current_lease, crate::is_some());
        return Ok(());
    };
    check!(cx, "FF-EXE-040", (lease.lease_id, lease.lease_epoch), equals((fence.lease_id, LeaseEpoch(1))));
    check!(cx, "FF-EXE-040", lease.attempt_index, equals(AttemptIndex(0)));
    check!(cx, "FF-EXE-040", lease.worker_instance_id.as_str(), equals("worker-1"));
    check!(cx, "FF-CLM-016", (lease.acquired_at, lease.expires_at), equals((now, after(now, 250))));
    check!(cx, "FF-CLM-016", lease.last_renewed_at, is_none());
    Ok(())
}

/// The handle of new work says which execution, attempt, lease, lane and worker it is for.
///
/// Covers FF-CLM-012.
pub async fn claim_hands_out_what_the_holder_must_know(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;

    let claimed = cx.claimed_for(&a, "worker", ms(250)).await?;

    let payload = claimed.payload;
    check!(cx, "FF-CLM-012", claimed.handle.kind(), equals(HandleKind::Fresh));
    check!(cx, "FF-CLM-012", payload.execution_id, equals(id));
    check!(
        cx,
        "FF-CLM-012",
        (payload.attempt_index, payload.fence.lease_epoch),
        equals((AttemptIndex(0), LeaseEpoch(1)))
    );
    check!(cx, "FF-CLM-012", (payload.lease_ttl, payload.lane_id), equals((ms(250), cx.lane()?)));
    check!(cx, "FF-CLM-012", payload.worker_instance_id.as_str(), equals("worker-1"));
    Ok(())
}

/// A claim writes the attempt and tells `Acquired` with everything that a reader of the log needs.
///
/// Covers FF-LSE-011, FF-EXE-001, FF-SUB-001.
pub async fn claim_tells_the_acquisition(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut args = cx.execution()?;
    args.namespace = cx.namespace("told")?;
    let id = cx.created(&a, args.clone()).await?;
    cx.pass_time(ms(5)).await?;

    let claimed = cx.claimed(&a, "worker").await?;

    let (dump, fence, now) = (cx.dump().await?, claimed.payload.fence, cx.now().await?);
    check!(cx, "FF-LSE-011", lease_log(&dump, &id), reads("acquired 1"));
    let told = dump.lease_history.iter().all(|event| {
        event.kind == LeaseEventKind::Acquired
            && (event.execution_id, event.lease_id, event.lease_epoch) == (id, fence.lease_id, LeaseEpoch(1))
            && (event.attempt_index, event.at, event.reason) == (AttemptIndex(0), now, None)
            && event.namespace == args.namespace
            && event.worker_instance_id.as_str() == "worker-1"
    });
    check!(cx, "FF-LSE-011", told, is_true());
    check!(cx, "FF-EXE-001", attempt_log(&dump, &id), reads("0 initial started 1"));
    let written = dump.attempts.iter().all(|attempt| {
        (attempt.attempt_id, attempt.attempt_type, attempt.phase)
            == (fence.attempt_id, AttemptType::Initial, AttemptPhase::Started)
            && (attempt.started_at, attempt.ended_at) == (now, None)
            && (&attempt.failure_reason, &attempt.failure_category) == (&None, &None)
    });
    check!(cx, "FF-EXE-001", written, is_true());
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads(""));
    Ok(())
}

/// A claim in a lane that is empty, or that no execution was ever created in, is no work and writes nothing.
///
/// Covers FF-CLM-015.
pub async fn claim_of_an_empty_lane_is_no_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let empty = cx.dump().await?;
    check!(cx, "FF-CLM-015", claim_in(cx, &a, &cx.lane()?).await?, is_none());
    check!(cx, "FF-CLM-015", cx.dump().await?, equals(empty));

    completed(cx, &a).await?;
    let written = cx.dump().await?;
    for lane in [cx.lane()?, cx.lane_called("unheard of")?] {
        check!(cx, "FF-CLM-015", claim_in(cx, &a, &lane).await?, is_none());
    }
    check!(cx, "FF-CLM-015", cx.dump().await?, equals(written));
    Ok(())
}

/// Work that a worker holds, and work that is not due, is not handed out.
///
/// Covers FF-CLM-015, FF-LSE-001.
pub async fn claim_takes_nothing_that_is_held_or_not_due(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    held(cx, &a).await?;
    backing_off(cx, &a, 1000).await?;
    cx.created(&a, cx.execution()?.delay_until(after(cx.now().await?, 1000))).await?;
    let written = cx.dump().await?;
    // What a claim wrote down would carry another instant.
    cx.pass_time(ms(1)).await?;

    for client in [&a, &b] {
        check!(cx, "FF-LSE-001", claim_in(cx, client, &cx.lane()?).await?, is_none());
    }
    check!(cx, "FF-CLM-015", cx.dump().await?, equals(written));
    Ok(())
}

/// A claim takes from its own lane, also when another has older and more urgent work.
///
/// Covers FF-CLM-010.
pub async fn claim_takes_from_its_lane_only(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let names = ["lane", "lane2", "Lane", "lane ", "lan", "lane:ready", "lane}", "{lane}"];
    let mut ids: Vec<(LaneId, ExecutionId)> = Vec::new();
    for (priority, name) in (0..).zip(names) {
        let args = cx.execution_in(name)?.priority(9 - priority);
        ids.push((args.lane_id.clone(), cx.created(&a, args).await?));
    }

    for (lane, id) in ids.iter().rev() {
        let handle = claim_in(cx, &a, lane).await?;
        let taken = handle.map(|handle| handle.decode(a.backend_label())).transpose()?;
        check!(
            cx,
            "FF-CLM-010",
            taken.map(|taken| (taken.execution_id, taken.lane_id)),
            equals(Some((*id, lane.clone())))
        );
        check!(cx, "FF-CLM-010", claim_in(cx, &a, lane).await?, is_none());
    }
    Ok(())
}

/// A delayed execution can be claimed at its due instant and not a millisecond before, without any scanner.
///
/// Covers FF-EXE-014, FF-CLM-005.
pub async fn claim_takes_a_delayed_row_from_its_due_instant_on(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let due = after(cx.now().await?, 60_000);
    let id = cx.created(&a, cx.execution()?.delay_until(due)).await?;

    cx.set_time(before(due, 1)).await?;
    check!(cx, "FF-EXE-014", claim_order(cx, &a, 1).await?, equals(vec![]));
    cx.set_time(due).await?;
    check!(cx, "FF-EXE-014", claim_order(cx, &a, 1).await?, equals(vec![id]));
    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-CLM-005", (vector(&info), info.delay_until), equals((LEASED.to_owned(), None)));
    Ok(())
}

/// Many claims at the same time take as many rows as there are, or as many as they are, and none twice.
///
/// Covers FF-CLM-004, FF-CLM-007, FF-LSE-001.
pub async fn claims_at_once_take_each_row_once(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    for (rows, each) in [(12, 5), (1, 3), (20, 3), (12, 3), (3, 8)] {
        let ids: BTreeSet<_> = created_many(cx, a, rows, |_, args| args).await?.into_iter().collect();

        let claimed = claims_at_once(cx, &clients, each).await?;

        let taken: BTreeSet<_> = claimed.iter().map(|claimed| claimed.payload.execution_id).collect();
        check!(cx, "FF-CLM-004", (claimed.len(), taken.len()), equals((rows.min(4 * each), rows.min(4 * each))));
        check!(cx, "FF-LSE-001", taken.is_subset(&ids), is_true());
        let rest: BTreeSet<_> = claim_order(cx, a, rows + 1).await?.into_iter().collect();
        check!(cx, "FF-CLM-004", (&taken | &rest, taken.is_disjoint(&rest)), equals((ids, true)));
    }
    Ok(())
}

/// Claims and creates at the same time lose no row and hand out none twice.
///
/// Covers FF-CLM-004, FF-CLM-007.
pub async fn claims_and_creates_at_once_lose_no_row(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };

    let (created, claimed) = futures::join!(created_many(cx, a, 40, |_, args| args), claims_at_once(cx, &clients, 10));

    let mut taken: Vec<_> = claimed?.into_iter().map(|claimed| claimed.payload.execution_id).collect();
    taken.extend(claim_order(cx, a, 41).await?);
    taken.sort();
    let mut created = created?;
    created.sort();
    check!(cx, "FF-CLM-004", taken, equals(created));
    Ok(())
}

/// A worker that starts again under its name gets nothing that it holds already, and its stored handle still works.
///
/// Covers FF-CLM-009, FF-LSE-013.
pub async fn a_restarted_worker_keeps_what_it_holds(cx: &Cx) -> Verdict {
    let before = cx.client("before").await?;
    let claimed = held(cx, &before).await?;
    before.shutdown_prepare(ms(1000)).await?;

    let after = cx.client("after").await?;

    check!(cx, "FF-CLM-009", claim_order(cx, &after, 1).await?, equals(vec![]));
    check!(cx, "FF-LSE-013", after.renew(&claimed.handle).await.map(|lease| lease.lease_epoch), answers(LeaseEpoch(1)));
    check!(cx, "FF-CLM-009", after.complete(&claimed.handle, None).await, is_ok());
    Ok(())
}

/// A worker that starts again and lost its handle gets its work back when the lease has run out, as a new attempt.
///
/// Covers FF-CLM-009, FF-CLM-012.
pub async fn a_restarted_worker_gets_lost_work_back_after_the_lease(cx: &Cx) -> Verdict {
    let before = cx.client("before").await?;
    let lost = held(cx, &before).await?;
    before.shutdown_prepare(ms(1000)).await?;
    let after = cx.client("after").await?;
    cx.pass_time(TTL).await?;

    let again = cx.claimed(&after, "worker").await?;

    check!(cx, "FF-CLM-009", again.payload.execution_id, equals(lost.payload.execution_id));
    check!(
        cx,
        "FF-CLM-012",
        (again.handle.kind(), again.payload.attempt_index),
        equals((HandleKind::Reclaimed, AttemptIndex(1)))
    );
    check!(cx, "FF-CLM-009", after.renew(&lost.handle).await, crate::refused("State(StaleLease)"));
    Ok(())
}

/// Of many claims of one row at the same time one gets it, and one lease is there.
///
/// Covers FF-LSE-001, FF-LSE-003.
pub async fn claims_at_once_of_one_row_leave_one_lease(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    for _ in 0..10 {
        let id = cx.created_plain(a).await?;

        let claimed = claims_at_once(cx, &clients, 3).await?;

        let live = snapshot(cx, a, &id).await?.current_lease.map(|lease| lease.lease_id);
        let handed: Vec<_> = claimed.iter().map(|claimed| Some(claimed.payload.fence.lease_id)).collect();
        check!(cx, "FF-LSE-001", handed, equals(vec![live]));
        check!(cx, "FF-LSE-003", lease_log(&cx.dump().await?, &id), reads("acquired 1"));
    }
    Ok(())
}
