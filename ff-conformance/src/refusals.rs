//! Cases of the refusals that operators, grants and revoked holders meet: each bad case has one error and one class.

use ff_core::{
    CancelExecutionArgs, CancelSource, ChangePriorityArgs, EngineError, ErrorClass, ExecutionPolicy,
    ReplayExecutionArgs, RevokeLeaseArgs,
};

use crate::{
    Cx, Verdict, check, equals,
    holders::{all_refused, holder_answers},
    reservations::{GRANT_TTL, Way, granted, redeem, redeems},
    routes::{Route, waiting},
    stages::{cancelled, completed, failed, held},
};

/// What a call that must be refused answered: the code and the class.
fn row<T>(answer: Result<T, EngineError>) -> Option<(String, ErrorClass)> {
    answer.err().map(|error| (error.code(), error.class()))
}

fn told(code: &str, class: ErrorClass) -> Option<(String, ErrorClass)> {
    Some((code.to_owned(), class))
}

/// A holder whose lease was revoked is told so; one whose work another took over since is told that.
///
/// Covers FF-ERR-005, FF-ERR-007. Needs dump.
pub async fn a_revoked_lease_is_revoked_until_it_is_stale(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    a.revoke_lease(RevokeLeaseArgs::new(claimed.payload.execution_id, "drain")).await?;
    let written = cx.dump().await?;
    check!(cx, "FF-ERR-005", holder_answers(&a, &claimed.handle).await, all_refused("State(LeaseRevoked)"));
    check!(cx, "FF-ERR-005", cx.dump().await?, equals(written));
    let refusal = row(a.renew(&claimed.handle).await);
    check!(cx, "FF-ERR-005", refusal, equals(told("State(LeaseRevoked)", ErrorClass::Terminal)));
    cx.claimed(&a, "other").await?;
    check!(cx, "FF-ERR-007", holder_answers(&a, &claimed.handle).await, all_refused("State(StaleLease)"));
    Ok(())
}

/// What an operator may not do with an execution as it stands has its error and its class, and changes nothing.
///
/// Covers FF-ERR-008. Needs dump.
pub async fn what_an_operator_may_not_do_has_its_error(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let active = held(cx, &a).await?;
    let ended = [completed(cx, &a).await?, failed(cx, &a).await?];
    let once = cx.created(&a, cx.execution()?.policy(ExecutionPolicy::new().max_replay_count(0))).await?;
    a.cancel_execution(CancelExecutionArgs::new(once, "no longer wanted")).await?;
    let late = cancelled(cx, &a).await?;
    let waiting = cx.created_plain(&a).await?;
    let written = cx.dump().await?;

    for held in ended {
        let id = held.payload.execution_id;
        let cancel = row(a.cancel_execution(CancelExecutionArgs::new(id, "too late")).await);
        check!(cx, "FF-ERR-008", cancel, equals(told("State(Terminal)", ErrorClass::Terminal)));
        let change = row(a.change_priority(ChangePriorityArgs::new(id, 3)).await);
        check!(cx, "FF-ERR-008", change, equals(told("Contention(ExecutionNotEligible)", ErrorClass::Retryable)));
        let revoke = row(a.revoke_lease(RevokeLeaseArgs::new(id, "drain")).await);
        check!(cx, "FF-ERR-008", revoke, equals(told("Contention(ExecutionNotActive)", ErrorClass::Retryable)));
    }
    for id in [active.payload.execution_id, waiting] {
        let replay = row(a.replay_execution(ReplayExecutionArgs::new(id)).await);
        check!(cx, "FF-ERR-008", replay, equals(told("State(ExecutionNotTerminal)", ErrorClass::Terminal)));
    }
    let replay = row(a.replay_execution(ReplayExecutionArgs::new(once)).await);
    check!(cx, "FF-ERR-008", replay, equals(told("State(MaxReplaysExhausted)", ErrorClass::Terminal)));
    let stale = CancelExecutionArgs::new(active.payload.execution_id, "stale").source(CancelSource::LeaseHolder);
    let cancel = row(a.cancel_execution(stale.fence(late.payload.fence)).await);
    check!(cx, "FF-ERR-008", cancel, equals(told("State(StaleLease)", ErrorClass::Terminal)));
    check!(cx, "FF-ERR-008", cx.dump().await?, equals(written));
    Ok(())
}

/// A grant that cannot be redeemed is refused with the error and the class of its row, and changes nothing.
///
/// Covers FF-ERR-009. Needs dump, grants.
pub async fn what_a_grant_may_not_do_has_its_error(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let ended = waiting(cx, &a, Route::Created).await?;
    let gone = redeems(cx, &granted(cx, &a, "worker").await?, "worker")?;
    a.cancel_execution(CancelExecutionArgs::new(ended, "no longer wanted")).await?;
    waiting(cx, &a, Route::Created).await?;
    let own = redeems(cx, &granted(cx, &a, "worker").await?, "worker")?;
    waiting(cx, &a, Route::Created).await?;
    let lapses = redeems(cx, &granted(cx, &a, "worker").await?, "worker")?;
    let written = cx.dump().await?;

    let refusal = row(redeem(&a, Way::Execution, gone).await);
    check!(cx, "FF-ERR-009", refusal, equals(told("Contention(ExecutionNotLeaseable)", ErrorClass::Retryable)));
    let refusal = row(redeem(&a, Way::Execution, redeems(cx, &own.grant, "other")?).await);
    check!(cx, "FF-ERR-009", refusal, equals(told("Contention(InvalidClaimGrant)", ErrorClass::Retryable)));
    let refusal = row(redeem(&a, Way::Resumed, own.clone()).await);
    check!(cx, "FF-ERR-009", refusal, equals(told("Contention(NotAResumedExecution)", ErrorClass::Retryable)));
    check!(cx, "FF-ERR-009", cx.dump().await?, equals(written));
    redeem(&a, Way::Execution, own.clone()).await?;
    cx.pass_time(GRANT_TTL).await?;
    let refusal = row(redeem(&a, Way::Execution, redeems(cx, &own.grant, "other")?).await);
    check!(cx, "FF-ERR-009", refusal, equals(told("Contention(LeaseConflict)", ErrorClass::Retryable)));
    let refusal = row(redeem(&a, Way::Execution, lapses).await);
    check!(cx, "FF-ERR-009", refusal, equals(told("Contention(ClaimGrantExpired)", ErrorClass::Retryable)));
    Ok(())
}
