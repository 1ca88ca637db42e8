//! Cases of reservations: what is reserved, who still sees it, and how it comes back by itself.

use std::{collections::BTreeSet, time::Duration};

use ff_core::{
    CapabilitySet, ClaimForWorkerOutcome, ExecutionPolicy, LaneId, LeaseStatus, PageLimit, PublicState, UnclaimedReason,
};
use futures::join;

use crate::{
    Cx, Stop, TTL, Verdict, answers, check,
    crowds::{claim_order, claim_order_offering, claims_at_once, clients, created_many},
    equals,
    instants::{after, before, ms},
    is_none,
    reads::read_all,
    refused,
    reservations::{GRANT_TTL, Way, grant_of, grant_order, granted, grants_at_once, redeem, redeems, try_grant, wants},
    routes::{Route, waiting},
    stages::{held_as, lapsed},
    words::{EXPIRED_UNSTARTED, FAILED, LAPSED, WAITING, attempt_log, completion_log, lease_log, reads, vector},
};

fn nobody() -> CapabilitySet {
    CapabilitySet::default()
}

/// A grant names its execution and lane and the instant at which it lapses; it conveys no lease and tells nothing.
///
/// Covers FF-CLM-041, FF-CLM-042, FF-LSE-001.
pub async fn claim_for_worker_reserves_and_leases_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;
    cx.pass_time(ms(5)).await?;
    let now = cx.now().await?;

    let grant = granted(cx, &a, "worker").await?;

    check!(cx, "FF-CLM-041", (grant.execution_id, grant.lane_id), equals((id, cx.lane()?)));
    check!(cx, "FF-CLM-041", grant.expires_at, equals(now.plus(GRANT_TTL)));
    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-CLM-042", vector(&info), reads(WAITING));
    check!(cx, "FF-LSE-001", (info.current_lease_epoch.0, info.total_attempt_count), equals((0, 0)));
    check!(cx, "FF-CLM-042", (lease_log(&dump, &id), attempt_log(&dump, &id)), equals(Default::default()));
    Ok(())
}

/// Reservations take rows in the order in which claims take them: priority, creation, id.
///
/// Covers FF-CLM-041, FF-CLM-001.
pub async fn claim_for_worker_goes_by_the_order_of_the_lane(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut rows = Vec::new();
    for priority in [0, 5, 5, 9, 0, 3] {
        let id = cx.created(&a, cx.execution()?.priority(priority)).await?;
        rows.push((-priority, cx.now().await?, id.to_string(), id));
        cx.pass_time(ms(if priority == 5 { 0 } else { 1 })).await?;
    }
    rows.sort();
    let order: Vec<_> = rows.into_iter().map(|(.., id)| id).collect();

    let (granted, rest) = order.split_at(3);
    check!(cx, "FF-CLM-041", grant_order(cx, &a, 3, &nobody()).await?, equals(granted.to_vec()));
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 7).await?, equals(rest.to_vec()));
    Ok(())
}

/// A reservation takes only what its worker covers, and rows that it does not cover stand in nobody's way.
///
/// Covers FF-CLM-041, FF-CLM-002, FF-CLM-003.
pub async fn claim_for_worker_takes_only_what_the_worker_covers(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (gpu, both) = (CapabilitySet::try_new(["gpu"])?, CapabilitySet::try_new(["gpu", "eu"])?);
    let needs = |set: &CapabilitySet| ExecutionPolicy::new().required_capabilities(set.clone());
    let strict = created_many(cx, &a, 40, |_, args| args.priority(9).policy(needs(&both))).await?;
    let some = cx.created(&a, cx.execution()?.policy(needs(&gpu))).await?;
    let plain = cx.created_plain(&a).await?;

    check!(cx, "FF-CLM-002", grant_order(cx, &a, 2, &nobody()).await?, equals(vec![plain]));
    check!(cx, "FF-CLM-041", grant_order(cx, &a, 2, &gpu).await?, equals(vec![some]));
    check!(cx, "FF-CLM-003", grant_order(cx, &a, 2, &gpu).await?, equals(vec![]));
    let got: BTreeSet<_> = grant_order(cx, &a, 41, &both).await?.into_iter().collect();
    check!(cx, "FF-CLM-041", got, equals(strict.into_iter().collect()));
    Ok(())
}

/// A lane without work that the worker may take has nothing to reserve, and nothing is written.
///
/// Covers FF-CLM-041, FF-CLM-015.
pub async fn claim_for_worker_without_work_reserves_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let unheard = LaneId::try_new("unheard of").map_err(|error| Stop::Errored(error.to_string()))?;
    cx.created(&a, cx.execution()?.delay_until(after(cx.now().await?, 1000))).await?;
    let written = cx.dump().await?;
    let mut elsewhere = wants(cx, "worker", GRANT_TTL)?;
    elsewhere.lane_id = unheard;
    for args in [wants(cx, "worker", GRANT_TTL)?, elsewhere] {
        check!(cx, "FF-CLM-041", a.claim_for_worker(args).await, answers(ClaimForWorkerOutcome::NoWork));
    }
    check!(cx, "FF-CLM-015", cx.dump().await?, equals(written));
    Ok(())
}

/// Reserved work is nobody else's: no claim and no other reservation gets it, the named worker's included.
///
/// Covers FF-CLM-042.
pub async fn reserved_work_is_hidden_from_every_claimer(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    cx.created_plain(&a).await?;
    granted(cx, &a, "worker").await?;
    let written = cx.dump().await?;

    for passed in [0, 1, 4998] {
        cx.pass_time(ms(passed)).await?;
        for client in [&a, &b] {
            check!(cx, "FF-CLM-042", claim_order(cx, client, 1).await?, equals(vec![]));
            check!(cx, "FF-CLM-042", try_grant(cx, client, "worker").await?, is_none());
            check!(cx, "FF-CLM-042", try_grant(cx, client, "other").await?, is_none());
        }
    }
    check!(cx, "FF-CLM-042", cx.dump().await?, equals(written));
    Ok(())
}

/// A claim for several passes reserved work by, too.
///
/// Covers FF-CLM-042.
pub async fn claim_many_passes_reserved_work_by(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let ids = created_many(cx, &a, 6, |n, args| args.priority(i32::try_from(9 - n).unwrap_or_default())).await?;
    let (reserved, free) = ids.split_at(3);
    check!(cx, "FF-CLM-042", grant_order(cx, &a, 3, &nobody()).await?, equals(reserved.to_vec()));

    let handles = a.claim_many(&cx.lane()?, &nobody(), cx.worker("worker", TTL)?, PageLimit::new(6)?).await?;

    let mut taken = Vec::new();
    for handle in &handles {
        taken.push(handle.decode(a.backend_label())?.execution_id);
    }
    check!(cx, "FF-CLM-042", taken, equals(free.to_vec()));
    Ok(())
}

/// Reads show reserved work as it was: waiting, without a lease and without an attempt.
///
/// Covers FF-CLM-042, FF-EXE-004.
pub async fn reserved_work_reads_as_before(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for route in Route::ALL {
        let id = waiting(cx, &a, route).await?;
        let mut before = read_all(cx, &a, &id).await?;
        granted(cx, &a, "worker").await?;

        let seen = read_all(cx, &a, &id).await?;

        // Whatever is written is a mutation; that a lease lapsed is also a transition, told late.
        before.info.last_mutation_at = seen.info.last_mutation_at;
        before.snapshot.last_mutation_at = seen.snapshot.last_mutation_at;
        if matches!(route, Route::Lapsed | Route::TimedOut) {
            before.info.last_transition_at = seen.info.last_transition_at;
        }
        if route == Route::TimedOut {
            check!(cx, "FF-EXE-004", seen.public_states(), equals([PublicState::Waiting; 3]));
        } else {
            check!(cx, "FF-CLM-042", (route, &seen), equals((route, &before)));
        }
        check!(cx, "FF-EXE-004", (route, seen.agree()), equals((route, true)));
        // The next stage starts with an empty lane.
        cx.pass_time(GRANT_TTL).await?;
        a.complete(&cx.claimed(&a, "next").await?.handle, None).await?;
    }
    let listed = a.list_executions(None, PageLimit::new(100)?).await?.executions.len();
    check!(cx, "FF-CLM-042", listed, equals(Route::ALL.len()));
    Ok(())
}

/// Reserved rows at the head of a lane, more than any look is deep, do not stand in the way of those behind them.
///
/// Covers FF-CLM-042, FF-CLM-003, FF-CLM-001.
pub async fn reserved_rows_do_not_block_those_behind_them(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let urgent: BTreeSet<_> = created_many(cx, &a, 70, |_, args| args.priority(9)).await?.into_iter().collect();
    let behind = cx.created_plain(&a).await?;
    let reserved: BTreeSet<_> = grant_order(cx, &a, 70, &nobody()).await?.into_iter().collect();
    check!(cx, "FF-CLM-042", reserved, equals(urgent));

    check!(cx, "FF-CLM-003", claim_order(cx, &a, 2).await?, equals(vec![behind]));
    let later = cx.created_plain(&a).await?;
    check!(cx, "FF-CLM-001", grant_order(cx, &a, 2, &nobody()).await?, equals(vec![later]));
    Ok(())
}

/// A grant that nobody redeems lapses at exactly its instant: the work is claimable again by itself.
///
/// Covers FF-CLM-043.
pub async fn an_unredeemed_grant_lapses_at_its_instant(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;
    let grant = granted(cx, &a, "worker").await?;

    cx.set_time(before(grant.expires_at, 1)).await?;
    check!(cx, "FF-CLM-043", claim_order(cx, &a, 1).await?, equals(vec![]));
    cx.set_time(grant.expires_at).await?;
    check!(cx, "FF-CLM-043", vector(&cx.info(&a, &id).await?), reads(WAITING));
    for way in [Way::Execution, Way::Reclaim] {
        let answer = redeem(&a, way, redeems(cx, &grant, "worker")?).await;
        check!(cx, "FF-CLM-043", answer, refused("Contention(ClaimGrantExpired)"));
    }
    check!(cx, "FF-CLM-043", claim_order(cx, &a, 2).await?, equals(vec![id]));
    Ok(())
}

/// Work of every kind comes back from a lapsed grant as what it was.
///
/// Covers FF-CLM-043, FF-CLM-040, FF-EXE-001, FF-LSE-003.
pub async fn work_of_every_kind_comes_back_from_a_lapsed_grant(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for route in Route::ALL {
        let (id, expected) = (waiting(cx, &a, route).await?, route.expected());
        granted(cx, &a, "worker").await?;
        cx.pass_time(GRANT_TTL).await?;

        let claimed = cx.claimed(&a, "next").await?;

        check!(cx, "FF-CLM-043", (route, claimed.payload.execution_id), equals((route, id)));
        check!(cx, "FF-CLM-040", (route, claimed.handle.kind()), equals((route, expected.kind)));
        let dump = cx.dump().await?;
        check!(cx, "FF-EXE-001", attempt_log(&dump, &id), reads(expected.attempts));
        check!(cx, "FF-LSE-003", lease_log(&dump, &id), reads(expected.leases));
        a.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// Work whose grant lapsed keeps its place, and can be reserved again, for anybody.
///
/// Covers FF-CLM-043, FF-CLM-001.
pub async fn a_lapsed_grant_gives_the_work_its_place_back(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let first = cx.created_plain(&a).await?;
    let old = granted(cx, &a, "worker").await?;
    cx.pass_time(ms(1)).await?;
    let second = cx.created_plain(&a).await?;
    cx.pass_time(GRANT_TTL).await?;

    let new = granted(cx, &a, "other").await?;

    check!(cx, "FF-CLM-001", new.execution_id, equals(first));
    let answer = redeem(&a, Way::Execution, redeems(cx, &old, "worker")?).await;
    check!(cx, "FF-CLM-043", answer, refused("Contention(InvalidClaimGrant)"));
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 2).await?, equals(vec![second]));
    let lease = redeem(&a, Way::Execution, redeems(cx, &new, "other")?).await?;
    check!(cx, "FF-CLM-043", lease, crate::is_some());
    Ok(())
}

/// Sixty grants that lapse at one instant are all claimable, in the order of the lane.
///
/// Covers FF-CLM-043, FF-CLM-001.
pub async fn sixty_grants_that_lapse_at_once_come_back_in_order(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let priority = |n: usize| i32::try_from(n * 7 % 13).unwrap_or_default();
    created_many(cx, &a, 60, |n, args| args.priority(priority(n))).await?;
    let order = grant_order(cx, &a, 61, &nobody()).await?;
    check!(cx, "FF-CLM-043", (order.len(), claim_order(cx, &a, 1).await?), equals((60, vec![])));
    cx.pass_time(GRANT_TTL).await?;

    check!(cx, "FF-CLM-001", claim_order(cx, &a, 61).await?, equals(order));
    Ok(())
}

/// A reservation settles what is due before it picks: a delay that is over, and a retry.
///
/// Covers FF-CLM-041, FF-CLM-005.
pub async fn claim_for_worker_takes_what_is_due(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let due = after(cx.now().await?, 1000);
    let id = cx.created(&a, cx.execution()?.delay_until(due)).await?;
    cx.set_time(before(due, 1)).await?;
    check!(cx, "FF-CLM-041", try_grant(cx, &a, "worker").await?, is_none());
    cx.set_time(due).await?;
    check!(cx, "FF-CLM-005", granted(cx, &a, "worker").await?.execution_id, equals(id));
    check!(cx, "FF-CLM-041", try_grant(cx, &a, "worker").await?, is_none());
    Ok(())
}

/// A lapsed lease that a reservation comes upon is written down: told as expired, once, and left for the take-over.
///
/// Covers FF-CLM-050, FF-LSE-015, FF-EXE-040.
pub async fn claim_for_worker_writes_a_lapsed_lease_down(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = lapsed(cx, &a).await?.payload.execution_id;
    cx.pass_time(ms(5)).await?;
    let now = cx.now().await?;

    let grant = granted(cx, &a, "worker").await?;

    let (seen, dump) = (read_all(cx, &a, &id).await?, cx.dump().await?);
    check!(cx, "FF-CLM-050", vector(&seen.info), reads(LAPSED));
    check!(cx, "FF-CLM-050", seen.info.last_transition_at, equals(now));
    check!(cx, "FF-EXE-040", seen.snapshot.lease_status, equals(LeaseStatus::Expired));
    check!(cx, "FF-CLM-050", lease_log(&dump, &id), reads("acquired 1, expired 1"));
    check!(cx, "FF-CLM-050", attempt_log(&dump, &id), reads("0 initial started 1"));
    redeem(&a, Way::Execution, redeems(cx, &grant, "worker")?).await?;
    check!(cx, "FF-LSE-015", lease_log(&cx.dump().await?, &id), reads("acquired 1, expired 1, reclaimed 2"));
    Ok(())
}

/// Work whose take-overs are used up fails when a reservation comes upon it, which goes on to the next row.
///
/// Covers FF-CLM-050, FF-LSE-014, FF-SUB-001.
pub async fn claim_for_worker_fails_worn_out_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = ExecutionPolicy::new().max_reclaim_count(0);
    let worn = held_as(cx, &a, cx.execution()?.policy(policy)).await?.payload.execution_id;
    let next = cx.created_plain(&a).await?;
    cx.pass_time(TTL).await?;

    check!(cx, "FF-CLM-050", grant_order(cx, &a, 2, &nobody()).await?, equals(vec![next]));

    let dump = cx.dump().await?;
    check!(cx, "FF-LSE-014", vector(&cx.info(&a, &worn).await?), reads(FAILED));
    check!(cx, "FF-LSE-014", lease_log(&dump, &worn), reads("acquired 1, revoked 1 max_reclaims_exceeded"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &worn), reads("failed"));
    Ok(())
}

/// The deadline of an execution comes while it is reserved: it expires, and its grant is worth nothing.
///
/// Covers FF-EXE-008, FF-EXE-039, FF-CLM-047.
pub async fn a_deadline_comes_during_a_reservation(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 1000);
    let id = cx.created(&a, cx.execution()?.execution_deadline_at(deadline)).await?;
    let grant = granted(cx, &a, "worker").await?;
    cx.set_time(deadline).await?;

    for written in [false, true] {
        let args = redeems(cx, &grant, "worker")?;
        let refusal = refused("Contention(ExecutionNotLeaseable)");
        check!(cx, "FF-CLM-047", redeem(&a, Way::Execution, args.clone()).await, refusal);
        check!(cx, "FF-CLM-047", redeem(&a, Way::Reclaim, args.clone()).await, answers(None));
        let refusal = refused("Contention(ExecutionNotLeaseable)");
        check!(cx, "FF-CLM-047", redeem(&a, Way::Resumed, args).await, refusal);
        check!(cx, "FF-EXE-008", vector(&cx.info(&a, &id).await?), reads(EXPIRED_UNSTARTED));
        let told = if written { "expired" } else { "" };
        check!(cx, "FF-EXE-039", completion_log(&cx.dump().await?, &id), reads(told));
        check!(cx, "FF-EXE-008", claim_order(cx, &a, 1).await?, equals(vec![]));
    }
    Ok(())
}

/// Reservations at the same time keep as many rows as there are, or as many as they are, and none for two.
///
/// Covers FF-CLM-004, FF-CLM-041.
pub async fn reservations_at_once_keep_each_row_for_one(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    for (rows, each) in [(12, 5), (1, 3), (20, 3), (3, 8)] {
        let ids: BTreeSet<_> = created_many(cx, a, rows, |_, args| args).await?.into_iter().collect();

        let grants = grants_at_once(cx, &clients, each).await?;

        let kept: BTreeSet<_> = grants.iter().map(|grant| grant.execution_id).collect();
        let keys: BTreeSet<_> = grants.iter().map(|grant| grant.grant_key).collect();
        let most = rows.min(4 * each);
        check!(cx, "FF-CLM-041", (grants.len(), keys.len(), kept.len()), equals((most, most, most)));
        check!(cx, "FF-CLM-041", kept.is_subset(&ids), equals(true));
        let rest: BTreeSet<_> = claim_order(cx, a, rows + 1).await?.into_iter().collect();
        check!(cx, "FF-CLM-004", (&kept | &rest, kept.is_disjoint(&rest)), equals((ids, true)));
    }
    Ok(())
}

/// Reservations and claims at the same time share the rows: each goes to one of them.
///
/// Covers FF-CLM-004, FF-CLM-042.
pub async fn reservations_and_claims_at_once_share_the_rows(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    for _ in 0..5 {
        let ids: BTreeSet<_> = created_many(cx, a, 20, |_, args| args).await?.into_iter().collect();

        let (grants, claims) = join!(grants_at_once(cx, &clients, 3), claims_at_once(cx, &clients, 3));

        let kept: BTreeSet<_> = grants?.into_iter().map(|grant| grant.execution_id).collect();
        let taken: BTreeSet<_> = claims?.into_iter().map(|claimed| claimed.payload.execution_id).collect();
        check!(cx, "FF-CLM-042", kept.is_disjoint(&taken), equals(true));
        let rest: BTreeSet<_> = claim_order(cx, a, 21).await?.into_iter().collect();
        check!(cx, "FF-CLM-004", &(&kept | &taken) | &rest, equals(ids));
        check!(cx, "FF-CLM-004", rest.is_disjoint(&(&kept | &taken)), equals(true));
    }
    Ok(())
}

/// A grant lives 1 ms to 60 s; a reservation for another span is refused and keeps nothing.
///
/// Covers FF-CLM-049.
pub async fn claim_for_worker_refuses_a_life_outside_its_range(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;
    let written = cx.dump().await?;
    for ttl in [ms(0), Duration::from_micros(999), ms(60_001), Duration::MAX] {
        let answer = a.claim_for_worker(wants(cx, "worker", ttl)?).await;
        check!(cx, "FF-CLM-049", answer, refused("Validation(InvalidInput)"));
    }
    check!(cx, "FF-CLM-049", cx.dump().await?, equals(written));
    for life in [1, 60_000] {
        let grant = grant_of(&a, wants(cx, "worker", ms(life))?).await?;
        let facts = grant.map(|grant| (grant.execution_id, grant.expires_at));
        check!(cx, "FF-CLM-049", facts, equals(Some((id, cx.now().await?.plus(ms(life))))));
        cx.pass_time(ms(life)).await?;
    }
    Ok(())
}

/// Why a worker has not got an execution is told as the first reason that holds.
///
/// Covers FF-CLM-051.
pub async fn reserved_work_is_explained(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let gpu = CapabilitySet::try_new(["gpu"])?;
    let args = cx.execution()?.policy(ExecutionPolicy::new().required_capabilities(gpu.clone()));
    let id = cx.created(&a, args).await?;
    let reservation = wants(cx, "worker", GRANT_TTL)?;
    let worker_instance_id = reservation.worker_instance_id.clone();
    let Some(grant) = grant_of(&a, reservation.worker_capabilities(gpu.clone())).await? else {
        check!(cx, "FF-CLM-051", "NoWork", equals("Granted"));
        return Ok(());
    };
    let reserved = UnclaimedReason::Reserved { worker_instance_id, expires_at: grant.expires_at };
    check!(cx, "FF-CLM-051", a.explain_unclaimed(&id, &gpu).await, answers(Some(reserved)));
    let missing = UnclaimedReason::MissingCapabilities { missing: vec!["gpu".to_owned()] };
    check!(cx, "FF-CLM-051", a.explain_unclaimed(&id, &nobody()).await, answers(Some(missing)));
    cx.set_time(grant.expires_at).await?;
    check!(cx, "FF-CLM-051", a.explain_unclaimed(&id, &gpu).await, answers(Some(UnclaimedReason::Claimable)));
    check!(cx, "FF-CLM-051", claim_order_offering(cx, &a, 1, &gpu).await?, equals(vec![id]));
    Ok(())
}
