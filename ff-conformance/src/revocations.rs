//! Cases of the lease that an operator takes away.

use ff_core::{
    CapabilitySet, EngineError, ExecutionPolicy, HandleKind, LeaseEpoch, LeaseId, LeaseStatus, LifecyclePhase,
    RevokeLeaseArgs, RevokeLeaseResult, RevokeSkip, TerminalOutcome, WorkerInstanceId,
};

use crate::{
    Claimed, Cx, Stop, TTL, Verdict, answers, check, equals,
    holders::{all_refused, holder_answers},
    instants::{after, ms},
    is_none, is_ok, is_true,
    reads::snapshot,
    refused, refused_with,
    stages::{completed, held, held_as, lapsed, not_active},
    words::{FAILED, REVOKED, attempt_log, completion_log, lease_log, operator_log, reads, vector},
};

fn revoke(claimed: &Claimed) -> RevokeLeaseArgs {
    RevokeLeaseArgs::new(claimed.payload.execution_id, "drain")
}

fn revoked(claimed: &Claimed) -> RevokeLeaseResult {
    let fence = claimed.payload.fence;
    RevokeLeaseResult::Revoked { lease_id: fence.lease_id, lease_epoch: fence.lease_epoch }
}

const fn skipped(reason: RevokeSkip) -> RevokeLeaseResult {
    RevokeLeaseResult::AlreadySatisfied { reason }
}

fn instance(name: &str) -> Result<WorkerInstanceId, Stop> {
    WorkerInstanceId::try_new(name).map_err(|error| Stop::Errored(format!("instance {name:?}: {error}")))
}

/// A revoked lease is worth nothing from then on; its epoch and its attempt stay.
///
/// Covers FF-LSE-040, FF-EXE-070, FF-EXE-003, FF-EXE-040.
pub async fn revoke_lease_takes_the_lease_from_its_holder(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(ms(7)).await?;
    let now = cx.now().await?;

    check!(cx, "FF-LSE-040", a.revoke_lease(revoke(&claimed)).await, answers(revoked(&claimed)));

    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&info), reads(REVOKED));
    let instants = (info.current_lease_epoch, info.last_transition_at, info.last_mutation_at);
    check!(cx, "FF-LSE-040", instants, equals((LeaseEpoch(1), now, now)));
    let seen = snapshot(cx, &a, &id).await?;
    check!(cx, "FF-EXE-040", (seen.lease_status, seen.current_lease), equals((LeaseStatus::Revoked, None)));
    let dump = cx.dump().await?;
    check!(cx, "FF-LSE-040", lease_log(&dump, &id), reads("acquired 1, revoked 1 operator"));
    check!(cx, "FF-LSE-040", attempt_log(&dump, &id), reads("0 initial started 1"));
    check!(cx, "FF-EXE-070", operator_log(&dump, &id), reads("lease_revoked drain"));
    check!(cx, "FF-LSE-040", holder_answers(&a, &claimed.handle).await, all_refused("State(LeaseRevoked)"));
    let worker = cx.worker("worker", TTL)?;
    let next = a.complete_and_claim(&claimed.handle, None, &CapabilitySet::default(), worker).await;
    check!(cx, "FF-LSE-040", next, refused("State(LeaseRevoked)"));
    cx.pass_time(TTL).await?;
    check!(cx, "FF-LSE-040", holder_answers(&a, &claimed.handle).await, all_refused("State(LeaseRevoked)"));
    Ok(())
}

/// The next claim takes over at once, as after a lapse, and the former holder is stale from then on.
///
/// Covers FF-LSE-040, FF-EXE-001.
pub async fn revoke_lease_lets_the_next_claim_take_over(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let old = held_as(cx, &a, cx.execution()?.priority(5)).await?;
    let id = old.payload.execution_id;
    cx.created(&a, cx.execution()?.priority(4)).await?;
    a.revoke_lease(revoke(&old)).await?;

    let new = cx.claimed(&b, "other").await?;

    let taken = (new.handle.kind(), new.payload.execution_id, new.payload.fence.lease_epoch);
    check!(cx, "FF-LSE-040", taken, equals((HandleKind::Reclaimed, id, LeaseEpoch(2))));
    check!(cx, "FF-LSE-040", cx.info(&a, &id).await?.lease_reclaim_count, equals(1));
    let dump = cx.dump().await?;
    check!(cx, "FF-LSE-040", lease_log(&dump, &id), reads("acquired 1, revoked 1 operator, reclaimed 2"));
    check!(cx, "FF-EXE-001", attempt_log(&dump, &id), reads("0 initial interrupted_reclaimed 1, 1 reclaim started 2"));
    check!(cx, "FF-LSE-040", holder_answers(&a, &old.handle).await, all_refused("State(StaleLease)"));
    check!(cx, "FF-LSE-040", a.complete(&new.handle, None).await, is_ok());
    Ok(())
}

/// There is nothing to take away from another lease, another worker, or twice, or after the end of the lease; the first
/// reason in the order of the contract is told, and nothing is written.
///
/// Covers FF-LSE-041.
pub async fn revoke_lease_says_why_there_is_nothing_to_do(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let live = held(cx, &a).await?;
    let gone = held(cx, &a).await?;
    cx.created_plain(&a).await?;
    let ran_out = cx.claimed_for(&a, "third", ms(1)).await?;
    cx.pass_time(ms(1)).await?;
    a.revoke_lease(revoke(&gone)).await?;
    let written = cx.dump().await?;
    let stranger = instance("stranger-1")?;
    for (claimed, own) in
        [(&live, None), (&gone, Some(RevokeSkip::AlreadyRevoked)), (&ran_out, Some(RevokeSkip::AlreadyExpired))]
    {
        let (named, lease) = (revoke(claimed).worker_instance_id(stranger.clone()), claimed.payload.fence.lease_id);
        let mismatch = named.clone().expected_lease_id(LeaseId::new());
        check!(cx, "FF-LSE-041", a.revoke_lease(mismatch).await, answers(skipped(RevokeSkip::LeaseIdMismatch)));
        let other = skipped(RevokeSkip::DifferentWorkerInstanceId);
        check!(cx, "FF-LSE-041", a.revoke_lease(named.clone()).await, answers(other));
        check!(cx, "FF-LSE-041", a.revoke_lease(named.expected_lease_id(lease)).await, answers(other));
        if let Some(own) = own {
            check!(cx, "FF-LSE-041", a.revoke_lease(revoke(claimed)).await, answers(skipped(own)));
            let exact = revoke(claimed).expected_lease_id(lease);
            check!(cx, "FF-LSE-041", a.revoke_lease(exact).await, answers(skipped(own)));
        }
    }
    check!(cx, "FF-LSE-041", cx.dump().await?, equals(written));

    let exact = revoke(&live).expected_lease_id(live.payload.fence.lease_id).worker_instance_id(instance("worker-1")?);
    check!(cx, "FF-LSE-041", a.revoke_lease(exact).await, answers(revoked(&live)));
    Ok(())
}

/// A revocation that names the lease leaves that of the next holder alone.
///
/// Covers FF-LSE-041.
pub async fn revoke_lease_of_a_named_lease_spares_the_next_one(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = lapsed(cx, &a).await?;
    let new = cx.claimed(&a, "other").await?;
    let named = revoke(&old).expected_lease_id(old.payload.fence.lease_id);
    check!(cx, "FF-LSE-041", a.revoke_lease(named).await, answers(skipped(RevokeSkip::LeaseIdMismatch)));
    check!(cx, "FF-LSE-041", a.renew(&new.handle).await, is_ok());
    Ok(())
}

/// What nobody works on has no lease to take away, also past a deadline that nobody has written down.
///
/// Covers FF-LSE-041, FF-ERR-001, FF-ERR-017.
pub async fn revoke_lease_of_work_that_is_not_active_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 500);
    let expired = held_as(cx, &a, cx.execution()?.execution_deadline_at(deadline)).await?;
    let ended = completed(cx, &a).await?;
    let waiting = cx.created_plain(&a).await?;
    cx.set_time(deadline).await?;
    let written = cx.dump().await?;
    for (claimed, outcome) in [(&expired, TerminalOutcome::Expired), (&ended, TerminalOutcome::Success)] {
        let refusal = not_active(claimed, outcome, LifecyclePhase::Terminal);
        check!(cx, "FF-LSE-041", a.revoke_lease(revoke(claimed)).await, refused_with(refusal));
    }
    let code = "Contention(ExecutionNotActive)";
    check!(cx, "FF-LSE-041", a.revoke_lease(RevokeLeaseArgs::new(waiting, "x")).await, refused(code));
    let unknown = RevokeLeaseArgs::new(cx.execution()?.execution_id, "x");
    let missing = EngineError::execution_not_found();
    check!(cx, "FF-ERR-001", a.revoke_lease(unknown).await, refused_with(missing));
    let long = RevokeLeaseArgs::new(cx.execution()?.execution_id, "x".repeat(4097));
    check!(cx, "FF-ERR-017", a.revoke_lease(long).await, refused("Validation(InvalidInput)"));
    check!(cx, "FF-LSE-041", cx.dump().await?, equals(written));
    Ok(())
}

/// Where no take-over is left, a revocation lets the next claim fail the execution, which hands out nothing.
///
/// Covers FF-LSE-042.
pub async fn revoke_lease_without_a_take_over_left_fails_the_execution(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = ExecutionPolicy::new().max_reclaim_count(0);
    let claimed = held_as(cx, &a, cx.execution()?.policy(policy)).await?;
    let id = claimed.payload.execution_id;
    a.revoke_lease(revoke(&claimed)).await?;
    check!(cx, "FF-LSE-042", vector(&cx.info(&a, &id).await?), reads(REVOKED));

    let claim = cx.try_claim(&a, "other", TTL).await?;

    check!(cx, "FF-LSE-042", claim.map(|claimed| claimed.payload.execution_id), is_none());
    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-LSE-042", vector(&info), reads(FAILED));
    check!(cx, "FF-LSE-042", info.failure_category.as_deref(), equals(Some("max_reclaims_exceeded")));
    let dump = cx.dump().await?;
    check!(cx, "FF-LSE-042", lease_log(&dump, &id), reads("acquired 1, revoked 1 operator"));
    check!(cx, "FF-LSE-042", completion_log(&dump, &id), reads("failed"));
    Ok(())
}

/// Whatever renewals and revocations meet, one revocation takes the lease and the others find it gone.
///
/// Covers FF-LSE-041, FF-CON-001.
pub async fn revoke_lease_against_renewals_takes_it_once(cx: &Cx) -> Verdict {
    let clients = [cx.client("a").await?, cx.client("b").await?, cx.client("c").await?, cx.client("d").await?];
    for _ in 0..10 {
        let claimed = held(cx, &clients[0]).await?;
        let [a, b, c, d] = &clients;
        let (renewal, first, second, again) = tokio::join!(
            b.renew(&claimed.handle),
            a.revoke_lease(revoke(&claimed)),
            c.revoke_lease(revoke(&claimed)),
            d.renew(&claimed.handle)
        );
        let mut answered = [first?, second?];
        if answered[0] != revoked(&claimed) {
            answered.swap(0, 1);
        }
        check!(cx, "FF-LSE-041", answered, equals([revoked(&claimed), skipped(RevokeSkip::AlreadyRevoked)]));
        for renewal in [renewal, again] {
            let late = Err(EngineError::State(ff_core::StateKind::LeaseRevoked));
            check!(cx, "FF-CON-001", renewal.is_ok() || renewal == late, is_true());
        }
        check!(cx, "FF-CON-001", a.renew(&claimed.handle).await, refused("State(LeaseRevoked)"));
        let id = claimed.payload.execution_id;
        check!(cx, "FF-CON-001", lease_log(&cx.dump().await?, &id), reads("acquired 1, revoked 1 operator"));
        let next = cx.claimed(a, "other").await?;
        a.complete(&next.handle, None).await?;
    }
    Ok(())
}
