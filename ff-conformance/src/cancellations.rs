//! Cases of the cancel from outside the lease: what ends, what is told, and who may.

use ff_core::{
    AttemptId, CancelExecutionArgs, CancelExecutionResult, CancelSource, EngineError, ExecutionId, LeaseEpoch,
    LeaseFence, LeaseId, LifecyclePhase, PublicState, RevokeLeaseArgs, TerminalOutcome,
};

use crate::{
    Claimed, Cx, TTL, Verdict, answers, check, equals,
    holders::{all_refused, holder_answers},
    instants::{after, ms},
    is_ok, is_true, refused, refused_with,
    stages::{backing_off, cancelled, completed, failed, held, held_as, lapsed, not_active},
    words::{CANCELLED, CANCELLED_UNSTARTED, attempt_log, completion_log, lease_log, operator_log, reads, vector},
};

/// A cancel by an operator, and its answer.
fn by_operator(id: ExecutionId) -> (CancelExecutionArgs, CancelExecutionResult) {
    let done = CancelExecutionResult::Cancelled { execution_id: id, public_state: PublicState::Cancelled };
    (CancelExecutionArgs::new(id, "no longer wanted"), done)
}

/// The cancel by the holder of `claimed`, under `fence`.
fn by_holder(claimed: &Claimed, fence: LeaseFence) -> CancelExecutionArgs {
    CancelExecutionArgs::new(claimed.payload.execution_id, "done elsewhere")
        .source(CancelSource::LeaseHolder)
        .fence(fence)
}

/// Work that waits is cancelled before it starts: no claim takes it, and one completion is told.
///
/// Covers FF-EXE-060, FF-EXE-070, FF-EXE-003, FF-SUB-001.
pub async fn cancel_execution_ends_work_that_waits(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let delayed = cx.execution()?.delay_until(after(cx.now().await?, 1000));
    for id in [cx.created_plain(&a).await?, cx.created(&a, delayed).await?] {
        cx.pass_time(ms(7)).await?;
        let now = cx.now().await?;
        let (args, done) = by_operator(id);
        check!(cx, "FF-EXE-060", a.cancel_execution(args).await, answers(done));
        let info = cx.info(&a, &id).await?;
        check!(cx, "FF-EXE-003", vector(&info), reads(CANCELLED_UNSTARTED));
        let who = (info.cancelled_by.as_deref(), info.cancellation_reason.as_deref(), info.completed_at);
        check!(cx, "FF-EXE-060", who, equals((Some("operator_override"), Some("no longer wanted"), Some(now))));
        let dump = cx.dump().await?;
        check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("cancelled"));
        check!(cx, "FF-EXE-070", operator_log(&dump, &id), reads("cancelled operator_override: no longer wanted"));
        check!(
            cx,
            "FF-EXE-060",
            (lease_log(&dump, &id), attempt_log(&dump, &id)),
            equals((String::new(), String::new()))
        );
    }
    cx.pass_time(ms(1000)).await?;
    check!(cx, "FF-EXE-060", cx.try_claim(&a, "worker", TTL).await?.is_none(), is_true());
    Ok(())
}

/// Work under a live lease ends with its attempt and its lease, and its holder learns how.
///
/// Covers FF-EXE-060, FF-EXE-003, FF-SUB-001, FF-EXE-002, FF-ERR-004.
pub async fn cancel_execution_ends_held_work_and_its_lease(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    let (args, done) = by_operator(id);

    check!(cx, "FF-EXE-060", a.cancel_execution(args).await, answers(done));

    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &id).await?), reads(CANCELLED));
    let dump = cx.dump().await?;
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_cancelled 1"));
    check!(cx, "FF-EXE-060", lease_log(&dump, &id), reads("acquired 1, revoked 1 cancelled"));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("cancelled"));
    let ended = not_active(&claimed, TerminalOutcome::Cancelled, LifecyclePhase::Terminal);
    check!(cx, "FF-ERR-004", a.complete(&claimed.handle, None).await, refused_with(ended.clone()));
    check!(cx, "FF-ERR-004", a.cancel(&claimed.handle, "mine").await, refused_with(ended));
    cx.pass_time(TTL).await?;
    check!(cx, "FF-EXE-060", cx.try_claim(&a, "worker", TTL).await?.is_none(), is_true());
    Ok(())
}

/// A lease that had run out is told as lapsed, and one whose end was told before is not told again.
///
/// Covers FF-EXE-060, FF-EXE-002.
pub async fn cancel_execution_tells_the_end_of_a_lease_once(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = lapsed(cx, &a).await?;
    let id = claimed.payload.execution_id;
    check!(cx, "FF-EXE-060", a.cancel_execution(by_operator(id).0).await, is_ok());
    let dump = cx.dump().await?;
    check!(cx, "FF-EXE-060", lease_log(&dump, &id), reads("acquired 1, expired 1"));
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_cancelled 1"));

    let id = held(cx, &a).await?.payload.execution_id;
    a.revoke_lease(RevokeLeaseArgs::new(id, "drain")).await?;
    check!(cx, "FF-EXE-060", a.cancel_execution(by_operator(id).0).await, is_ok());
    let dump = cx.dump().await?;
    check!(cx, "FF-EXE-060", lease_log(&dump, &id), reads("acquired 1, revoked 1 operator"));
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_cancelled 1"));
    check!(cx, "FF-EXE-060", vector(&cx.info(&a, &id).await?), reads(CANCELLED));
    check!(cx, "FF-EXE-060", cx.try_claim(&a, "worker", TTL).await?.is_none(), is_true());
    Ok(())
}

/// A retry that waits never starts; its ended attempt stays as it ended, and the failure stays readable.
///
/// Covers FF-EXE-060, FF-EXE-002, FF-EXE-041.
pub async fn cancel_execution_ends_a_retry_that_waits(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (claimed, _) = backing_off(cx, &a, 1000).await?;
    let id = claimed.payload.execution_id;
    check!(cx, "FF-EXE-060", a.cancel_execution(by_operator(id).0).await, is_ok());
    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-060", vector(&info), reads(CANCELLED));
    check!(cx, "FF-EXE-041", info.failure_reason, equals(Some("broken".to_owned())));
    check!(cx, "FF-EXE-002", attempt_log(&cx.dump().await?, &id), reads("0 initial ended_failure 1"));
    let all = all_refused("Contention(ExecutionNotActive)");
    check!(cx, "FF-EXE-060", holder_answers(&a, &claimed.handle).await, all);
    cx.pass_time(ms(1000)).await?;
    check!(cx, "FF-EXE-060", cx.try_claim(&a, "worker", TTL).await?.is_none(), is_true());
    Ok(())
}

/// An attempt that was given back is open until the cancel ends it.
///
/// Covers FF-EXE-060, FF-EXE-002.
pub async fn cancel_execution_ends_an_interrupted_attempt(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    a.delay(&claimed.handle, after(cx.now().await?, 1000)).await?;
    check!(cx, "FF-EXE-060", a.cancel_execution(by_operator(id).0).await, is_ok());
    let dump = cx.dump().await?;
    check!(cx, "FF-EXE-002", attempt_log(&dump, &id), reads("0 initial ended_cancelled 1"));
    check!(cx, "FF-EXE-060", lease_log(&dump, &id), reads("acquired 1, released 1 worker_delay"));
    check!(cx, "FF-EXE-060", completion_log(&dump, &id), reads("cancelled"));
    Ok(())
}

/// What is cancelled stays as it is, whoever asks again and whoever was first.
///
/// Covers FF-EXE-061.
pub async fn cancel_execution_again_changes_nothing(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let first = cx.created_plain(&a).await?;
    a.cancel_execution(by_operator(first).0).await?;
    let by_worker = cancelled(cx, &a).await?.payload.execution_id;
    let written = cx.dump().await?;
    cx.pass_time(ms(7)).await?;
    let fence = LeaseFence { lease_id: LeaseId::new(), lease_epoch: LeaseEpoch(9), attempt_id: AttemptId::new() };
    for id in [first, by_worker] {
        let (args, done) = by_operator(id);
        check!(cx, "FF-EXE-061", b.cancel_execution(args.clone()).await, answers(done));
        let other = CancelExecutionArgs::new(id, "other").source(CancelSource::SystemTimeout);
        check!(cx, "FF-EXE-061", b.cancel_execution(other).await, answers(done));
        let fenced = args.source(CancelSource::LeaseHolder).fence(fence);
        check!(cx, "FF-EXE-061", b.cancel_execution(fenced).await, answers(done));
    }
    check!(cx, "FF-EXE-061", cx.dump().await?, equals(written));
    Ok(())
}

/// What ended another way is refused, also what a deadline ended that nobody has written down, and nothing changes.
///
/// Covers FF-EXE-061.
pub async fn cancel_execution_refuses_what_ended_another_way(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 500);
    let mut ended = vec![completed(cx, &a).await?, failed(cx, &a).await?];
    ended.push(held_as(cx, &a, cx.execution()?.execution_deadline_at(deadline)).await?);
    let unstarted = cx.created(&a, cx.execution()?.execution_deadline_at(deadline)).await?;
    cx.set_time(deadline).await?;
    let written = cx.dump().await?;
    for claimed in ended {
        let id = claimed.payload.execution_id;
        check!(cx, "FF-EXE-061", a.cancel_execution(by_operator(id).0).await, refused("State(Terminal)"));
        let fenced = by_holder(&claimed, claimed.payload.fence);
        check!(cx, "FF-EXE-061", a.cancel_execution(fenced).await, refused("State(Terminal)"));
    }
    check!(cx, "FF-EXE-061", a.cancel_execution(by_operator(unstarted).0).await, refused("State(Terminal)"));
    check!(cx, "FF-EXE-061", cx.dump().await?, equals(written));
    Ok(())
}

/// A cancel by the holder of the lease, or in another name, needs the whole fence.
///
/// Covers FF-EXE-062.
pub async fn cancel_execution_by_a_holder_needs_the_whole_fence(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let fence = claimed.payload.fence;
    let written = cx.dump().await?;
    let near = [
        LeaseFence { lease_id: LeaseId::new(), ..fence },
        LeaseFence { attempt_id: AttemptId::new(), ..fence },
        LeaseFence { lease_epoch: LeaseEpoch(fence.lease_epoch.0 + 1), ..fence },
        LeaseFence { lease_epoch: LeaseEpoch(fence.lease_epoch.0 - 1), ..fence },
    ];
    for fence in near {
        check!(cx, "FF-EXE-062", a.cancel_execution(by_holder(&claimed, fence)).await, refused("State(StaleLease)"));
    }
    let without = CancelExecutionArgs::new(claimed.payload.execution_id, "x").source(CancelSource::LeaseHolder);
    check!(cx, "FF-EXE-062", a.cancel_execution(without).await, refused("Validation(InvalidInput)"));
    check!(cx, "FF-EXE-062", cx.dump().await?, equals(written));

    check!(cx, "FF-EXE-062", a.cancel_execution(by_holder(&claimed, fence)).await, is_ok());
    let other = held(cx, &a).await?;
    let named = by_holder(&other, other.payload.fence).source(CancelSource::Custom("billing".to_owned()));
    check!(cx, "FF-EXE-062", a.cancel_execution(named).await, is_ok());
    for (claimed, by) in [(&claimed, "lease_holder"), (&other, "billing")] {
        let info = cx.info(&a, &claimed.payload.execution_id).await?;
        check!(cx, "FF-EXE-062", info.cancelled_by.as_deref(), equals(Some(by)));
    }
    Ok(())
}

/// A fenced cancel is refused as every call of a holder is; an operator's needs no fence and looks at none.
///
/// Covers FF-EXE-062.
pub async fn cancel_execution_of_a_lost_lease_is_refused_to_its_holder(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (revoked, lapsed) = (held(cx, &a).await?, held(cx, &a).await?);
    let (waiting, _) = backing_off(cx, &a, 3_600_000).await?;
    a.revoke_lease(RevokeLeaseArgs::new(revoked.payload.execution_id, "drain")).await?;
    cx.pass_time(TTL).await?;
    let written = cx.dump().await?;
    let fenced = |claimed: &Claimed| by_holder(claimed, claimed.payload.fence);
    check!(cx, "FF-EXE-062", a.cancel_execution(fenced(&revoked)).await, refused("State(LeaseRevoked)"));
    check!(cx, "FF-EXE-062", a.cancel_execution(fenced(&lapsed)).await, refused("State(LeaseExpired)"));
    let runs = not_active(&waiting, TerminalOutcome::None, LifecyclePhase::Runnable);
    check!(cx, "FF-EXE-062", a.cancel_execution(fenced(&waiting)).await, refused_with(runs));
    check!(cx, "FF-EXE-062", cx.dump().await?, equals(written));

    let nonsense = LeaseFence { lease_epoch: LeaseEpoch(77), ..lapsed.payload.fence };
    for claimed in [revoked, waiting, lapsed] {
        let args = by_operator(claimed.payload.execution_id).0.fence(nonsense);
        check!(cx, "FF-EXE-062", a.cancel_execution(args).await, is_ok());
    }
    Ok(())
}

/// A reason that is too long and a name that is none, or somebody else's, are refused before anything is looked up.
///
/// Covers FF-EXE-062, FF-ERR-001, FF-ERR-017.
pub async fn cancel_execution_refuses_bad_arguments_first(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let unknown = cx.execution()?.execution_id;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;
    for id in [unknown, claimed.payload.execution_id] {
        let long = CancelExecutionArgs::new(id, "x".repeat(4097));
        check!(cx, "FF-ERR-017", a.cancel_execution(long).await, refused("Validation(InvalidInput)"));
        for name in ["", "worker", "operator_override", "lease_holder"] {
            let named = by_operator(id).0.source(CancelSource::Custom(name.to_owned())).fence(claimed.payload.fence);
            check!(cx, "FF-EXE-062", a.cancel_execution(named).await, refused("Validation(InvalidInput)"));
        }
    }
    let missing = EngineError::execution_not_found();
    check!(cx, "FF-ERR-001", a.cancel_execution(by_operator(unknown).0).await, refused_with(missing));
    check!(cx, "FF-ERR-017", cx.dump().await?, equals(written));
    let longest = CancelExecutionArgs::new(claimed.payload.execution_id, "é".repeat(2048));
    check!(cx, "FF-ERR-017", a.cancel_execution(longest).await, is_ok());
    Ok(())
}

/// What an operator writes as a reason stands in the operator events and nowhere else that is told.
///
/// Covers FF-EXE-070.
pub async fn operators_reasons_are_told_to_operators_only(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = held(cx, &a).await?.payload.execution_id;
    a.revoke_lease(RevokeLeaseArgs::new(id, "secret-of-revoke")).await?;
    a.cancel_execution(CancelExecutionArgs::new(id, "secret-of-cancel")).await?;
    let dump = cx.dump().await?;
    let told = operator_log(&dump, &id);
    check!(
        cx,
        "FF-EXE-070",
        told,
        reads("lease_revoked secret-of-revoke, cancelled operator_override: secret-of-cancel")
    );
    let elsewhere = format!("{:?} {:?} {:?}", dump.lease_history, dump.completions, dump.attempts);
    check!(cx, "FF-EXE-070", elsewhere.contains("secret"), equals(false));
    Ok(())
}
