//! Cases of grants that are redeemed: once, by whom they name, for what the work is.

use std::{fmt::Debug, sync::Arc, time::Duration};

use ff_core::{
    ClaimExecutionArgs, ClaimGrant, EngineBackend, EngineError, ExecutionPolicy, GrantKey, Handle, HandleKind,
    Operation, Repeat, WorkerId, WorkerInstanceId,
};
use futures::future::join_all;

use crate::{
    Claimed, Cx, Expect, Fault, Stop, TTL, Verdict, answers,
    calls::{Call, claim_execution, claim_from_reclaim, claim_resumed_execution},
    check,
    crowds::{claim_order, claims_at_once, clients, created_many},
    equals,
    instants::{after, before, ms},
    is_none, is_ok, is_some, is_true,
    reads::snapshot,
    refused, refused_with,
    reservations::{GRANT_TTL, Way, granted, redeem, redeems, try_grant, wants},
    routes::{Route, limited, waiting},
    satisfies,
    stages::{completed, held_as, retrying},
    trials::{AFTER, FAULTS, is_lost, meets, reserved, struck},
    words::{FAILED, LEASED, attempt_log, lease_log, reads, vector},
};

const INVALID: &str = "Contention(InvalidClaimGrant)";
const NOT_LEASEABLE: &str = "Contention(ExecutionNotLeaseable)";
const NOT_RESUMED: &str = "Contention(NotAResumedExecution)";

/// True if `way` redeems work that came by `route`.
fn is_open(way: Way, route: Route) -> bool {
    way != Way::Resumed || route.expected().kind == HandleKind::Resumed
}

/// The lease that a redeemed grant handed out.
fn lease(client: &Arc<dyn EngineBackend>, handle: Option<Handle>) -> Result<Claimed, Stop> {
    let handle = handle.ok_or_else(|| Stop::Errored("no lease".to_owned()))?;
    let payload = handle.decode(client.backend_label())?;
    Ok(Claimed { handle, payload })
}

/// Reserved work of every kind is redeemed by each of the three ways that are open to it, as a claim would take it.
///
/// Covers FF-CLM-045, FF-CLM-040, FF-EXE-003, FF-EXE-001, FF-LSE-003.
pub async fn work_of_every_kind_is_redeemed_in_every_way(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for route in Route::ALL {
        for way in Way::ALL.into_iter().filter(|way| is_open(*way, route)) {
            let (id, expected) = (waiting(cx, &a, route).await?, route.expected());
            let grant = granted(cx, &a, "worker").await?;
            cx.pass_time(ms(5)).await?;

            let answer = redeem(&a, way, redeems(cx, &grant, "worker")?).await;

            check!(cx, "FF-CLM-045", answer, is_ok());
            let claimed = lease(&a, answer?)?;
            check!(cx, "FF-CLM-040", (way, route, claimed.handle.kind()), equals((way, route, expected.kind)));
            let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
            check!(cx, "FF-EXE-003", vector(&info), reads(LEASED));
            check!(cx, "FF-EXE-001", attempt_log(&dump, &id), reads(expected.attempts));
            check!(cx, "FF-LSE-003", lease_log(&dump, &id), reads(expected.leases));
            let counters = (info.total_attempt_count, info.retry_count, info.lease_reclaim_count);
            check!(cx, "FF-CLM-045", counters, equals(expected.counters));
            check!(cx, "FF-CLM-045", a.complete(&claimed.handle, None).await, is_ok());
        }
    }
    Ok(())
}

/// The handle and the lease of redeemed work are those that a claim of that worker hands out.
///
/// Covers FF-CLM-045, FF-CLM-012, FF-LSE-011, FF-LSE-063.
pub async fn a_redeemed_lease_is_like_a_claimed_one(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;
    let grant = granted(cx, &a, "worker").await?;
    cx.pass_time(ms(5)).await?;
    let mut args = redeems(cx, &grant, "worker")?;
    args.lease_ttl = ms(250);

    let claimed = lease(&a, redeem(&a, Way::Execution, args).await?)?;

    let (payload, now) = (&claimed.payload, cx.now().await?);
    let seen = snapshot(cx, &a, &id).await?.current_lease;
    let facts = seen.map(|lease| (lease.lease_id, lease.acquired_at, lease.expires_at));
    check!(cx, "FF-CLM-045", facts, equals(Some((payload.fence.lease_id, now, after(now, 250)))));
    check!(cx, "FF-CLM-012", (payload.execution_id, &payload.lane_id), equals((id, &cx.lane()?)));
    check!(cx, "FF-CLM-012", (payload.attempt_index.0, payload.lease_ttl), equals((0, ms(250))));
    check!(cx, "FF-CLM-012", payload.worker_instance_id.as_str(), equals("worker-1"));
    let told = cx.dump().await?.lease_history.last().is_some_and(|event| {
        (event.execution_id, event.lease_id, event.at) == (id, payload.fence.lease_id, now)
            && event.worker_instance_id.as_str() == "worker-1"
    });
    check!(cx, "FF-LSE-011", told, is_true());
    check!(cx, "FF-CLM-045", a.renew(&claimed.handle).await.map(|lease| lease.expires_at), answers(after(now, 250)));
    a.complete(&claimed.handle, None).await?;

    let short = cx.created(&a, cx.execution()?.policy(retrying(1, 0).timeouts(limited(100)))).await?;
    let grant = granted(cx, &a, "worker").await?;
    redeem(&a, Way::Execution, redeems(cx, &grant, "worker")?).await?;
    let expires_at = snapshot(cx, &a, &short).await?.current_lease.map(|lease| lease.expires_at);
    check!(cx, "FF-LSE-063", expires_at, equals(Some(after(now, 100))));
    Ok(())
}

/// Only an interrupted attempt is redeemed as one; another keeps its grant, which the other ways redeem.
///
/// Covers FF-CLM-048, FF-EXE-029.
pub async fn claim_resumed_execution_takes_only_interrupted_attempts(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for route in Route::ALL.into_iter().filter(|route| !is_open(Way::Resumed, *route)) {
        waiting(cx, &a, route).await?;
        let grant = granted(cx, &a, "worker").await?;
        let written = cx.dump().await?;

        for worker in ["worker", "other"] {
            let answer = redeem(&a, Way::Resumed, redeems(cx, &grant, worker)?).await;
            check!(cx, "FF-CLM-048", answer, refused(NOT_RESUMED));
        }
        check!(cx, "FF-EXE-029", cx.dump().await?, equals(written));
        let claimed = lease(&a, redeem(&a, Way::Execution, redeems(cx, &grant, "worker")?).await?)?;
        check!(cx, "FF-CLM-048", claimed.handle.kind(), equals(route.expected().kind));
        let answer = redeem(&a, Way::Resumed, redeems(cx, &grant, "worker")?).await;
        check!(cx, "FF-CLM-048", answer, refused(NOT_RESUMED));
        a.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// A grant is worth nothing to another worker, to another process of its worker, or under another key.
///
/// Covers FF-CLM-044.
pub async fn only_the_named_process_redeems_a_grant(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    waiting(cx, &a, Route::GivenBack).await?;
    let grant = granted(cx, &a, "worker").await?;
    let own = redeems(cx, &grant, "worker")?;
    let text = |error| Stop::Errored(format!("{error}"));
    let (mut worker, mut instance, mut key) = (own.clone(), own.clone(), own.clone());
    worker.worker_id = WorkerId::try_new("other").map_err(text)?;
    instance.worker_instance_id = WorkerInstanceId::try_new("worker-2").map_err(text)?;
    key.grant.grant_key = GrantKey::new();
    let written = cx.dump().await?;

    for way in Way::ALL {
        for args in [&worker, &instance, &key, &redeems(cx, &grant, "other")?] {
            check!(cx, "FF-CLM-044", redeem(&a, way, args.clone()).await, refused(INVALID));
        }
    }
    check!(cx, "FF-CLM-044", cx.dump().await?, equals(written));
    check!(cx, "FF-CLM-044", redeem(&a, Way::Resumed, own).await, is_ok());
    Ok(())
}

/// Without a reservation no grant is valid, also for work that a claim would take.
///
/// Covers FF-CLM-044.
pub async fn work_without_a_reservation_redeems_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = waiting(cx, &a, Route::GivenBack).await?;
    let grant = ClaimGrant {
        execution_id: id,
        grant_key: GrantKey::new(),
        expires_at: after(cx.now().await?, 1),
        lane_id: cx.lane()?,
    };
    for way in Way::ALL {
        check!(cx, "FF-CLM-044", redeem(&a, way, redeems(cx, &grant, "worker")?).await, refused(INVALID));
    }
    check!(cx, "FF-CLM-044", claim_order(cx, &a, 2).await?, equals(vec![id]));
    Ok(())
}

/// A grant is redeemed once: when the lease that it handed out is over, it is worth nothing more.
///
/// Covers FF-CLM-044, FF-CLM-047.
pub async fn a_grant_is_redeemed_once(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    waiting(cx, &a, Route::GivenBack).await?;
    let grant = granted(cx, &a, "worker").await?;
    let args = redeems(cx, &grant, "worker")?;
    let first = lease(&a, redeem(&a, Way::Execution, args.clone()).await?)?;
    a.delay(&first.handle, before(cx.now().await?, 1)).await?;
    for way in Way::ALL {
        check!(cx, "FF-CLM-044", redeem(&a, way, args.clone()).await, refused(INVALID));
    }
    let second = cx.claimed(&a, "worker").await?;
    check!(cx, "FF-CLM-047", redeem(&a, Way::Execution, args.clone()).await, refused("Contention(LeaseConflict)"));
    check!(cx, "FF-CLM-047", redeem(&a, Way::Reclaim, args.clone()).await, answers(None));
    a.complete(&second.handle, None).await?;
    check!(cx, "FF-CLM-047", redeem(&a, Way::Execution, args.clone()).await, refused(NOT_LEASEABLE));
    check!(cx, "FF-CLM-047", redeem(&a, Way::Reclaim, args).await, answers(None));
    Ok(())
}

/// While the lease that a grant handed out is live, redeeming it again returns the same handle and writes nothing.
///
/// Covers FF-CLM-046.
pub async fn a_grant_redeemed_again_returns_the_same_handle(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    for route in Route::ALL {
        for way in Way::ALL.into_iter().filter(|way| is_open(*way, route)) {
            waiting(cx, &a, route).await?;
            let args = redeems(cx, &granted(cx, &a, "worker").await?, "worker")?;
            let first = redeem(&a, way, args.clone()).await?;
            check!(cx, "FF-CLM-046", first, is_some());
            let written = cx.dump().await?;

            // The grant itself has lapsed by then.
            for passed in [ms(0), ms(1), GRANT_TTL, TTL - GRANT_TTL - ms(2)] {
                cx.pass_time(passed).await?;
                check!(cx, "FF-CLM-046", redeem(&a, way, args.clone()).await, answers(first.clone()));
                check!(cx, "FF-CLM-046", redeem(&b, way, args.clone()).await, answers(first.clone()));
                if matches!(route, Route::TimedOut) {
                    break;
                }
            }
            check!(cx, "FF-CLM-046", cx.dump().await?, equals(written));
            a.complete(&lease(&a, first)?.handle, None).await?;
        }
    }
    Ok(())
}

/// A renewed lease is the same one for a repeat; one that has lapsed is none.
///
/// Covers FF-CLM-046, FF-CLM-044.
pub async fn a_grant_redeemed_again_after_its_lease_is_invalid(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    cx.created_plain(&a).await?;
    let args = redeems(cx, &granted(cx, &a, "worker").await?, "worker")?;
    let first = redeem(&a, Way::Execution, args.clone()).await?;
    let claimed = lease(&a, first.clone())?;
    cx.pass_time(TTL - ms(1)).await?;
    let renewed = a.renew(&claimed.handle).await?.expires_at;

    cx.set_time(before(renewed, 1)).await?;
    check!(cx, "FF-CLM-046", redeem(&a, Way::Execution, args.clone()).await, answers(first));
    cx.set_time(renewed).await?;
    for way in [Way::Execution, Way::Reclaim] {
        check!(cx, "FF-CLM-044", redeem(&a, way, args.clone()).await, refused(INVALID));
    }
    let next = cx.claimed(&a, "other").await?;
    check!(cx, "FF-CLM-044", next.handle.kind(), equals(HandleKind::Reclaimed));
    Ok(())
}

/// What came between a grant and its redeeming decides: nothing, another lease, or an end.
///
/// Covers FF-CLM-047, FF-CLM-043.
pub async fn a_grant_that_lapsed_gives_way_to_who_came_since(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = waiting(cx, &a, Route::GivenBack).await?;
    let grant = granted(cx, &a, "late").await?;
    let args = redeems(cx, &grant, "late")?;
    cx.set_time(grant.expires_at).await?;
    for way in Way::ALL {
        let answer = redeem(&a, way, args.clone()).await;
        check!(cx, "FF-CLM-043", answer, refused("Contention(ClaimGrantExpired)"));
    }
    let other = cx.claimed(&a, "other").await?;
    check!(cx, "FF-CLM-043", other.payload.execution_id, equals(id));
    for way in [Way::Execution, Way::Resumed] {
        check!(cx, "FF-CLM-047", redeem(&a, way, args.clone()).await, refused("Contention(LeaseConflict)"));
    }
    check!(cx, "FF-CLM-047", redeem(&a, Way::Reclaim, args.clone()).await, answers(None));
    a.delay(&other.handle, after(cx.now().await?, 1000)).await?;
    for way in [Way::Execution, Way::Resumed] {
        check!(cx, "FF-CLM-047", redeem(&a, way, args.clone()).await, refused(NOT_LEASEABLE));
    }
    check!(cx, "FF-CLM-047", redeem(&a, Way::Reclaim, args).await, answers(None));
    Ok(())
}

/// Work that has ended is not leaseable, whatever grant is shown, and an unknown execution is not found.
///
/// Covers FF-CLM-047, FF-ERR-001.
pub async fn a_grant_of_work_that_is_not_there_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let ended = completed(cx, &a).await?.payload.execution_id;
    let shown = |execution_id, expires_at, lane_id| ClaimGrant {
        execution_id,
        grant_key: GrantKey::new(),
        expires_at,
        lane_id,
    };
    let soon = after(cx.now().await?, 1000);
    let ended = redeems(cx, &shown(ended, soon, cx.lane()?), "worker")?;
    let unknown = redeems(cx, &shown(cx.execution()?.execution_id, soon, cx.lane()?), "worker")?;
    let written = cx.dump().await?;
    for way in Way::ALL {
        let answer = redeem(&a, way, unknown.clone()).await;
        check!(cx, "FF-ERR-001", answer, refused_with(EngineError::execution_not_found()));
    }
    for way in [Way::Execution, Way::Resumed] {
        check!(cx, "FF-CLM-047", redeem(&a, way, ended.clone()).await, refused(NOT_LEASEABLE));
    }
    check!(cx, "FF-CLM-047", redeem(&a, Way::Reclaim, ended).await, answers(None));
    check!(cx, "FF-CLM-047", cx.dump().await?, equals(written));
    Ok(())
}

/// The life of a lease from a grant is 1 ms to 100 years; another is refused, and the grant stays good.
///
/// Covers FF-CLM-011, FF-CLM-044.
pub async fn a_grant_is_not_redeemed_for_a_life_outside_its_range(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    waiting(cx, &a, Route::GivenBack).await?;
    let own = redeems(cx, &granted(cx, &a, "worker").await?, "worker")?;
    let written = cx.dump().await?;
    for way in Way::ALL {
        for ttl in [Duration::ZERO, Duration::from_micros(999), Duration::MAX] {
            let mut args = own.clone();
            args.lease_ttl = ttl;
            check!(cx, "FF-CLM-011", redeem(&a, way, args).await, refused("Validation(InvalidInput)"));
        }
    }
    check!(cx, "FF-CLM-011", cx.dump().await?, equals(written));
    check!(cx, "FF-CLM-044", redeem(&a, Way::Reclaim, own).await, is_ok());
    Ok(())
}

/// One grant redeemed from many sides at the same time makes one lease, and all get its handle.
///
/// Covers FF-CLM-046, FF-LSE-001, FF-LSE-003.
pub async fn a_grant_redeemed_at_once_makes_one_lease(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    for round in 0..6 {
        let id = cx.created_plain(a).await?;
        let args = redeems(cx, &granted(cx, a, "worker").await?, "worker")?;
        let way = |n: usize| if (n + round).is_multiple_of(2) { Way::Execution } else { Way::Reclaim };
        let calls = (0..12).zip(clients.iter().cycle()).map(|(n, client)| redeem(client, way(n), args.clone()));

        let mut handles = Vec::new();
        for answer in join_all(calls.collect::<Vec<_>>()).await {
            handles.push(answer?);
        }

        let live = snapshot(cx, a, &id).await?.current_lease.map(|lease| lease.lease_id);
        let first = handles.first().cloned().flatten();
        let lease_id = first.as_ref().map(|first| first.decode(a.backend_label())).transpose()?;
        check!(cx, "FF-LSE-001", lease_id.map(|payload| payload.fence.lease_id), equals(live));
        check!(cx, "FF-CLM-046", handles.iter().all(|handle| *handle == first), is_true());
        check!(cx, "FF-LSE-003", lease_log(&cx.dump().await?, &id), reads("acquired 1"));
    }
    Ok(())
}

/// At the instant at which grants lapse, redeeming them and claiming their work at the same time hands out each once.
///
/// Covers FF-CLM-043, FF-LSE-001.
pub async fn a_lapsed_grant_and_a_claim_at_once_make_one_lease(cx: &Cx) -> Verdict {
    let clients = clients(cx, 2).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    for early in [0, 1] {
        let ids = created_many(cx, a, 8, |_, args| args).await?;
        let mut grants = Vec::new();
        for _ in &ids {
            grants.push(granted(cx, a, "worker").await?);
        }
        cx.pass_time(GRANT_TTL - ms(early)).await?;
        let redeemed = grants.iter().map(|grant| async {
            let answer = redeem(a, Way::Reclaim, redeems(cx, grant, "worker")?).await;
            Ok::<_, Stop>(answer.is_ok_and(|handle| handle.is_some()))
        });
        let claims = claims_at_once(cx, &clients, 4);

        let (redeemed, claimed) = futures::join!(join_all(redeemed), claims);

        let redeemed = redeemed.into_iter().collect::<Result<Vec<_>, Stop>>()?;
        let redeemed = redeemed.into_iter().filter(|redeemed| *redeemed).count();
        check!(cx, "FF-CLM-043", redeemed, equals(if early == 0 { 0 } else { 8 }));
        let taken = claimed?.len() + claim_order(cx, a, 9).await?.len();
        check!(cx, "FF-CLM-043", taken, equals(8 - redeemed));
        let dump = cx.dump().await?;
        let once = ids.iter().all(|id| lease_log(&dump, id) == "acquired 1");
        check!(cx, "FF-LSE-001", once, is_true());
    }
    Ok(())
}

/// A take-over by a grant counts like any: the lapse after the last one that is allowed fails the execution.
///
/// Covers FF-LSE-014, FF-EXE-011.
pub async fn a_take_over_by_a_grant_counts(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = ExecutionPolicy::new().max_reclaim_count(1);
    let id = held_as(cx, &a, cx.execution()?.policy(policy)).await?.payload.execution_id;
    cx.pass_time(TTL).await?;
    let args = redeems(cx, &granted(cx, &a, "worker").await?, "worker")?;
    check!(cx, "FF-LSE-014", redeem(&a, Way::Reclaim, args).await?, is_some());
    check!(cx, "FF-EXE-011", cx.info(&a, &id).await?.lease_reclaim_count, equals(1));
    cx.pass_time(TTL).await?;
    check!(cx, "FF-LSE-014", try_grant(cx, &a, "worker").await?, is_none());
    check!(cx, "FF-LSE-014", vector(&cx.info(&a, &id).await?), reads(FAILED));
    Ok(())
}

/// What a redeeming that met `fault` answered once and again.
async fn told<T: Debug>(
    cx: &Cx,
    operation: Operation,
    fault: Fault,
    call: Call<ClaimExecutionArgs, T>,
) -> Result<Vec<Result<T, EngineError>>, Stop> {
    let trial = reserved(cx).await?;
    Ok(meets(cx, &trial, fault, Repeat::of(operation), call).await?.repeats)
}

/// The calls all answered with one lease.
fn one_lease<T: PartialEq + Debug>() -> impl Expect<Vec<Result<T, EngineError>>> {
    satisfies("all answer alike", |got: &Vec<Result<T, EngineError>>| {
        let first = got.first().and_then(|answer| answer.as_ref().ok());
        first.is_some() && got.iter().all(|answer| answer.as_ref().ok() == first)
    })
}

/// A `claim_execution` that meets any fault on its way is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, grants.
pub async fn claim_execution_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in FAULTS {
        let repeats = told(cx, Operation::ClaimExecution, fault, claim_execution).await?;
        check!(cx, "FF-DUR-003", repeats, one_lease());
    }
    Ok(())
}

/// A `claim_from_reclaim` that meets any fault on its way is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, grants.
pub async fn claim_from_reclaim_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in FAULTS {
        let repeats = told(cx, Operation::ClaimFromReclaim, fault, claim_from_reclaim).await?;
        check!(cx, "FF-DUR-003", repeats, one_lease());
    }
    Ok(())
}

/// A `claim_resumed_execution` that meets any fault on its way is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, grants.
pub async fn claim_resumed_execution_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in FAULTS {
        let repeats = told(cx, Operation::ClaimResumedExecution, fault, claim_resumed_execution).await?;
        check!(cx, "FF-DUR-003", repeats, one_lease());
    }
    Ok(())
}

/// A reservation whose reply was lost keeps its row for the life of the grant, which lapses by itself.
///
/// Covers FF-DUR-002, FF-CLM-043. Needs address, clock, grants.
pub async fn claim_for_worker_whose_reply_was_lost_keeps_one_row_until_it_lapses(cx: &Cx) -> Verdict {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    let direct = cx.client("direct").await?;
    check!(cx, "FF-DUR-002", try_grant(cx, &faulty, "lost").await?, is_none());
    let id = cx.created_plain(&direct).await?;
    let args = wants(cx, "lost", GRANT_TTL)?;

    let broken = struck(&proxy, Fault::DropReply, faulty.claim_for_worker(args)).await;

    check!(cx, "FF-DUR-002", broken, is_lost(AFTER));
    check!(cx, "FF-DUR-002", claim_order(cx, &direct, 1).await?, equals(vec![]));
    cx.pass_time(GRANT_TTL).await?;
    check!(cx, "FF-CLM-043", claim_order(cx, &direct, 2).await?, equals(vec![id]));
    Ok(())
}
