//! Cases of grants whose work went another way before they were redeemed, or after: they redeem nothing.

use std::sync::Arc;

use ff_core::{
    CancelExecutionArgs, ClaimExecutionArgs, EngineBackend, ExecutionId, ExecutionPolicy, FailureClass, FailureReason,
    HandleKind, ReplayExecutionArgs, RevokeLeaseArgs,
};

use crate::{
    Claimed, Cx, Stop, TTL, Verdict, answers, check, equals,
    instants::{after, ms},
    is_ok, refused,
    reservations::{GRANT_TTL, Way, granted, redeem, redeems},
    routes::{Route, waiting},
    stages::{held, held_as, retrying},
    suspensions::{BEHAVIORS, seeded, suspends, waits_for_any},
    words::{lease_log, reads},
};

const INVALID: &str = "Contention(InvalidClaimGrant)";
const NOT_LEASEABLE: &str = "Contention(ExecutionNotLeaseable)";
const CONFLICT: &str = "Contention(LeaseConflict)";
const NOT_RESUMED: &str = "Contention(NotAResumedExecution)";

/// What each way of redeeming answers: the code of its refusal, `None`, or `Ok` for a lease.
async fn all_ways(client: &Arc<dyn EngineBackend>, args: &ClaimExecutionArgs) -> Vec<String> {
    let mut answers = Vec::new();
    for way in Way::ALL {
        answers.push(match redeem(client, way, args.clone()).await {
            Ok(Some(_)) => "Ok".to_owned(),
            Ok(None) => "None".to_owned(),
            Err(error) => error.code(),
        });
    }
    answers
}

/// What the three ways answer while the work can be taken by nobody, for the reason `code`.
fn taken_by_nobody(code: &str) -> Vec<String> {
    [code, "None", code].map(str::to_owned).to_vec()
}

/// What the three ways answer where the work can be taken, but not by this grant, as an interrupted attempt or not.
fn not_by_this_grant(is_interrupted: bool) -> Vec<String> {
    let resumed = if is_interrupted { INVALID } else { NOT_RESUMED };
    [INVALID, INVALID, resumed].map(str::to_owned).to_vec()
}

/// Work that waits on `route`, and what redeems its grant.
async fn reserved(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    route: Route,
) -> Result<(ExecutionId, ClaimExecutionArgs), Stop> {
    let id = waiting(cx, client, route).await?;
    Ok((id, redeems(cx, &granted(cx, client, "worker").await?, "worker")?))
}

/// The lease that a grant of new work of `policy` handed out, and what redeemed it.
async fn redeemed(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    policy: ExecutionPolicy,
) -> Result<(Claimed, ClaimExecutionArgs), Stop> {
    cx.created(client, cx.execution()?.policy(policy)).await?;
    let args = redeems(cx, &granted(cx, client, "worker").await?, "worker")?;
    let handle = redeem(client, Way::Execution, args.clone()).await?;
    let handle = handle.ok_or_else(|| Stop::Errored("no lease".to_owned()))?;
    let payload = handle.decode(client.backend_label())?;
    Ok((Claimed { handle, payload }, args))
}

/// The grant of work that an operator cancelled redeems nothing, not even after the work was let run again: then it
/// stands in its lane for everybody.
///
/// Covers FF-CLM-047, FF-CLM-044, FF-CLM-042.
pub async fn a_grant_of_cancelled_work_redeems_nothing_more(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for route in [Route::Created, Route::GivenBack, Route::Lapsed] {
        let (id, args) = reserved(cx, &a, route).await?;
        a.cancel_execution(CancelExecutionArgs::new(id, "no longer wanted")).await?;
        let written = cx.dump().await?;
        check!(cx, "FF-CLM-047", all_ways(&a, &args).await, equals(taken_by_nobody(NOT_LEASEABLE)));
        check!(cx, "FF-CLM-047", cx.dump().await?, equals(written));

        a.replay_execution(ReplayExecutionArgs::new(id)).await?;
        let written = cx.dump().await?;
        check!(cx, "FF-CLM-044", all_ways(&a, &args).await, equals(not_by_this_grant(false)));
        check!(cx, "FF-CLM-044", cx.dump().await?, equals(written));
        let taken = cx.claimed(&a, "other").await?;
        check!(cx, "FF-CLM-042", taken.payload.execution_id, equals(id));
        check!(cx, "FF-CLM-044", all_ways(&a, &args).await, equals(taken_by_nobody(CONFLICT)));
        a.complete(&taken.handle, None).await?;
    }
    Ok(())
}

/// A grant whose lease was revoked redeems nothing more, before another takes over and after.
///
/// Covers FF-CLM-044, FF-CLM-047.
pub async fn a_grant_of_a_revoked_lease_redeems_nothing_more(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (lease, args) = redeemed(cx, &a, ExecutionPolicy::new()).await?;
    let id = lease.payload.execution_id;
    a.revoke_lease(RevokeLeaseArgs::new(id, "drain")).await?;
    let written = cx.dump().await?;
    check!(cx, "FF-CLM-044", all_ways(&a, &args).await, equals(not_by_this_grant(false)));
    check!(cx, "FF-CLM-044", cx.dump().await?, equals(written));
    let next = cx.claimed(&a, "other").await?;
    check!(cx, "FF-CLM-044", next.handle.kind(), equals(HandleKind::Reclaimed));
    check!(cx, "FF-CLM-047", all_ways(&a, &args).await, equals(taken_by_nobody(CONFLICT)));
    Ok(())
}

/// A grant whose lease ended its work, or gave it back for later, redeems nothing more, also when the work waits again.
///
/// Covers FF-CLM-047, FF-CLM-044.
pub async fn a_grant_of_work_that_went_on_redeems_nothing_more(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (lease, args) = redeemed(cx, &a, ExecutionPolicy::new()).await?;
    a.complete(&lease.handle, None).await?;
    check!(cx, "FF-CLM-047", all_ways(&a, &args).await, equals(taken_by_nobody(NOT_LEASEABLE)));
    a.replay_execution(ReplayExecutionArgs::new(lease.payload.execution_id)).await?;
    check!(cx, "FF-CLM-044", all_ways(&a, &args).await, equals(not_by_this_grant(false)));
    a.complete(&cx.claimed(&a, "other").await?.handle, None).await?;

    let (lease, args) = redeemed(cx, &a, retrying(1, 1000)).await?;
    a.fail(&lease.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
    check!(cx, "FF-CLM-047", all_ways(&a, &args).await, equals(taken_by_nobody(NOT_LEASEABLE)));
    cx.pass_time(ms(1000)).await?;
    check!(cx, "FF-CLM-044", all_ways(&a, &args).await, equals(not_by_this_grant(false)));
    a.complete(&cx.claimed(&a, "other").await?.handle, None).await?;

    let (lease, args) = redeemed(cx, &a, ExecutionPolicy::new()).await?;
    a.delay(&lease.handle, cx.now().await?.plus(ms(1000))).await?;
    check!(cx, "FF-CLM-047", all_ways(&a, &args).await, equals(taken_by_nobody(NOT_LEASEABLE)));
    cx.pass_time(ms(1000)).await?;
    check!(cx, "FF-CLM-044", all_ways(&a, &args).await, equals(not_by_this_grant(true)));
    Ok(())
}

/// A grant whose lease was given back for a signal redeems nothing more while the work waits for that, whatever a
/// time-out would do, with a time-out that lies ahead and without one.
///
/// Covers FF-CLM-047. Needs dump, waitpoints.
pub async fn a_grant_of_suspended_work_redeems_nothing_more(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    for behavior in BEHAVIORS {
        for timeout_at in [None, Some(after(cx.now().await?, 1000))] {
            let (lease, args) = redeemed(cx, &a, ExecutionPolicy::new()).await?;
            let id = lease.payload.execution_id;
            let mut waits = waits_for_any();
            (waits.timeout_at, waits.timeout_behavior) = (timeout_at, Some(behavior));
            suspends(cx, &a, lease, waits).await?;
            let written = cx.dump().await?;
            check!(cx, "FF-CLM-047", all_ways(&a, &args).await, equals(taken_by_nobody(NOT_LEASEABLE)));
            check!(cx, "FF-CLM-047", cx.dump().await?, equals(written));
            a.cancel_execution(CancelExecutionArgs::new(id, "no longer wanted")).await?;
        }
    }
    Ok(())
}

/// A grant that lapsed redeems nothing once the work is reserved for another, whose grant does.
///
/// Covers FF-CLM-044, FF-CLM-045.
pub async fn a_grant_that_another_has_replaced_redeems_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (_, first) = reserved(cx, &a, Route::GivenBack).await?;
    cx.pass_time(GRANT_TTL).await?;
    let second = redeems(cx, &granted(cx, &a, "other").await?, "other")?;
    let written = cx.dump().await?;
    check!(cx, "FF-CLM-044", all_ways(&a, &first).await, equals(not_by_this_grant(true)));
    check!(cx, "FF-CLM-044", cx.dump().await?, equals(written));
    check!(cx, "FF-CLM-045", redeem(&a, Way::Execution, second).await, is_ok());
    check!(cx, "FF-CLM-044", all_ways(&a, &first).await, equals(taken_by_nobody(CONFLICT)));
    Ok(())
}

/// Work whose lease was revoked is reserved as it is taken over: its grant makes another attempt.
///
/// Covers FF-CLM-041, FF-CLM-045, FF-CLM-048.
pub async fn work_whose_lease_was_revoked_is_reserved(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = held(cx, &a).await?.payload.execution_id;
    a.revoke_lease(RevokeLeaseArgs::new(id, "drain")).await?;
    let grant = granted(cx, &a, "worker").await?;
    check!(cx, "FF-CLM-041", grant.execution_id, equals(id));
    let args = redeems(cx, &grant, "worker")?;
    check!(cx, "FF-CLM-048", redeem(&a, Way::Resumed, args.clone()).await, refused(NOT_RESUMED));
    let handle = redeem(&a, Way::Reclaim, args).await?;
    check!(cx, "FF-CLM-045", handle.map(|handle| handle.kind()), equals(Some(HandleKind::Reclaimed)));
    let told = lease_log(&cx.dump().await?, &id);
    check!(cx, "FF-CLM-045", told, reads("acquired 1, revoked 1 operator, reclaimed 2"));
    Ok(())
}

/// Work that nobody may take over any more is not reserved: it fails, and a grant of its last lease redeems nothing.
///
/// Covers FF-CLM-047.
pub async fn a_grant_of_worn_out_work_redeems_nothing_more(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (lease, args) = redeemed(cx, &a, ExecutionPolicy::new().max_reclaim_count(0)).await?;
    cx.pass_time(TTL).await?;
    held_as(cx, &a, cx.execution()?).await?;
    check!(cx, "FF-CLM-047", all_ways(&a, &args).await, equals(taken_by_nobody(NOT_LEASEABLE)));
    let result = a.get_execution_result(&lease.payload.execution_id).await;
    check!(cx, "FF-CLM-047", result, answers(None));
    Ok(())
}
