//! Cases of the replay: what an execution that has ended begins again with, and what it keeps.

use ff_core::{
    AttemptIndex, CancelExecutionArgs, ChangePriorityArgs, EngineError, ExecutionId, ExecutionPolicy, FailOutcome,
    FailureClass, FailureReason, HandleKind, LeaseEpoch, LifecyclePhase, PublicState, ReplayExecutionArgs,
    ReplayExecutionResult, TerminalOutcome, TimeoutPolicy,
};

use crate::{
    Cx, TTL, Verdict, answers, check, equals,
    holders::{all_refused, holder_answers},
    instants::{after, ms},
    is_none, is_ok, is_true, refused, refused_with,
    stages::{cancelled, completed, failed, held, held_as, not_active, retrying},
    words::{COMPLETED, LEASED, REPLAY_DUE, attempt_log, completion_log, lease_log, operator_log, reads, vector},
};

const REPLAYED: ReplayExecutionResult = ReplayExecutionResult::Replayed { public_state: PublicState::Waiting };

const fn replay(id: ExecutionId) -> ReplayExecutionArgs {
    ReplayExecutionArgs::new(id)
}

/// What has ended waits for a new attempt, and the next claim starts it.
///
/// Covers FF-EXE-065, FF-EXE-070, FF-EXE-003, FF-EXE-001, FF-SUB-001.
pub async fn replay_execution_lets_ended_work_run_again(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = completed(cx, &a).await?;
    let id = old.payload.execution_id;
    cx.pass_time(ms(7)).await?;
    let now = cx.now().await?;

    check!(cx, "FF-EXE-065", a.replay_execution(replay(id)).await, answers(REPLAYED));

    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&info), reads(REPLAY_DUE));
    let instants = (info.completed_at, info.last_transition_at, info.last_mutation_at);
    check!(cx, "FF-EXE-065", instants, equals((None, now, now)));
    check!(cx, "FF-EXE-065", (info.replay_count, info.current_attempt), equals((1, None)));
    check!(cx, "FF-EXE-065", a.get_execution_result(&id).await?, is_none());
    check!(cx, "FF-EXE-070", operator_log(&cx.dump().await?, &id), reads("replayed 1"));

    let new = cx.claimed(&a, "other").await?;
    let taken = (new.handle.kind(), new.payload.attempt_index, new.payload.fence.lease_epoch);
    check!(cx, "FF-EXE-065", taken, equals((HandleKind::Fresh, AttemptIndex(1), LeaseEpoch(2))));
    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&info), reads(LEASED));
    let first =
        cx.dump().await?.attempts.iter().find(|attempt| attempt.execution_id == id).map(|first| first.started_at);
    check!(cx, "FF-EXE-065", info.started_at, equals(first));
    a.complete(&new.handle, Some(b"again".to_vec())).await?;
    check!(cx, "FF-EXE-065", a.get_execution_result(&id).await, answers(Some(b"again".to_vec())));
    let dump = cx.dump().await?;
    check!(cx, "FF-EXE-001", attempt_log(&dump, &id), reads("0 initial ended_success 1, 1 replay ended_success 2"));
    let told = "acquired 1, released 1 completed, acquired 2, released 2 completed";
    check!(cx, "FF-EXE-065", lease_log(&dump, &id), reads(told));
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("success, success"));
    Ok(())
}

/// A replay after the last retry has all its retries again, and nothing of the failure is left.
///
/// Covers FF-EXE-065, FF-EXE-011.
pub async fn replay_execution_after_used_up_retries_has_fresh_ones(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created(&a, cx.execution()?.policy(retrying(2, 0))).await?;
    for run in 1..=2_u32 {
        for _ in 0..2 {
            let claimed = cx.claimed(&a, "worker").await?;
            let outcome = a.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
            check!(cx, "FF-EXE-065", matches!(outcome, FailOutcome::RetryScheduled { .. }), is_true());
        }
        let claimed = cx.claimed(&a, "worker").await?;
        a.progress(&claimed.handle, Some(50), None).await?;
        let outcome = a.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Transient).await;
        check!(cx, "FF-EXE-011", outcome, answers(FailOutcome::TerminalFailed));
        check!(cx, "FF-EXE-065", a.replay_execution(replay(id)).await, answers(REPLAYED));
        let info = cx.info(&a, &id).await?;
        check!(cx, "FF-EXE-065", (info.retry_count, info.replay_count), equals((0, run)));
        let left = (info.failure_reason, info.failure_category, info.progress, info.delay_until);
        check!(cx, "FF-EXE-065", left, equals((None, None, None, None)));
    }
    let attempts = attempt_log(&cx.dump().await?, &id);
    let first = "0 initial ended_failure 1, 1 retry ended_failure 2, 2 retry ended_failure 3";
    check!(
        cx,
        "FF-EXE-065",
        attempts,
        reads(&format!("{first}, 3 replay ended_failure 4, 4 retry ended_failure 5, 5 retry ended_failure 6"))
    );
    Ok(())
}

/// A replay after the last take-over has all its take-overs again.
///
/// Covers FF-EXE-065, FF-EXE-011.
pub async fn replay_execution_after_used_up_take_overs_has_fresh_ones(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created(&a, cx.execution()?.policy(ExecutionPolicy::new().max_reclaim_count(1))).await?;
    for run in 0..2 {
        if run > 0 {
            a.replay_execution(replay(id)).await?;
            check!(cx, "FF-EXE-011", cx.info(&a, &id).await?.lease_reclaim_count, equals(0));
        }
        cx.claimed(&a, "worker").await?;
        cx.pass_time(TTL).await?;
        check!(cx, "FF-EXE-065", cx.claimed(&a, "worker").await?.handle.kind(), equals(HandleKind::Reclaimed));
        cx.pass_time(TTL).await?;
        check!(cx, "FF-EXE-065", cx.try_claim(&a, "worker", TTL).await?.is_none(), is_true());
    }
    check!(cx, "FF-EXE-011", completion_log(&cx.dump().await?, &id), reads("failed, failed"));
    Ok(())
}

/// Every end can be replayed: failed, cancelled by its holder, by an operator before it started, expired.
///
/// Covers FF-EXE-065.
pub async fn replay_execution_takes_every_end(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut ended = vec![failed(cx, &a).await?.payload.execution_id, cancelled(cx, &a).await?.payload.execution_id];
    let unstarted = cx.created_plain(&a).await?;
    a.cancel_execution(CancelExecutionArgs::new(unstarted, "not yet")).await?;
    ended.push(unstarted);
    for id in &ended {
        check!(cx, "FF-EXE-065", a.replay_execution(replay(*id)).await, answers(REPLAYED));
        let info = cx.info(&a, id).await?;
        check!(cx, "FF-EXE-065", vector(&info), reads(REPLAY_DUE));
        check!(cx, "FF-EXE-065", (info.cancelled_by, info.cancellation_reason), equals((None, None)));
    }
    for _ in &ended {
        let claimed = cx.claimed(&a, "worker").await?;
        a.complete(&claimed.handle, None).await?;
    }
    for id in &ended {
        check!(cx, "FF-EXE-065", vector(&cx.info(&a, id).await?), reads(COMPLETED));
    }
    check!(cx, "FF-EXE-065", attempt_log(&cx.dump().await?, &unstarted), reads("0 initial ended_success 1"));
    Ok(())
}

/// Until its attempt starts, a repeat is told the first answer and writes nothing; a priority may change meanwhile.
///
/// Covers FF-EXE-066, FF-EXE-063.
pub async fn replay_execution_again_before_its_claim_changes_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = completed(cx, &a).await?.payload.execution_id;
    a.replay_execution(replay(id)).await?;
    check!(cx, "FF-EXE-063", a.change_priority(ChangePriorityArgs::new(id, 7)).await, is_ok());
    let written = cx.dump().await?;
    cx.pass_time(ms(7)).await?;
    check!(cx, "FF-EXE-066", a.replay_execution(replay(id)).await, answers(REPLAYED));
    check!(cx, "FF-EXE-066", cx.dump().await?, equals(written));
    cx.claimed(&a, "worker").await?;
    check!(cx, "FF-EXE-066", a.replay_execution(replay(id)).await, refused("State(ExecutionNotTerminal)"));
    Ok(())
}

/// What has not ended cannot be replayed, wherever it stands.
///
/// Covers FF-EXE-066, FF-ERR-001.
pub async fn replay_execution_refuses_what_has_not_ended(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let lapsed = held(cx, &a).await?.payload.execution_id;
    cx.pass_time(TTL).await?;
    let waiting = cx.created_plain(&a).await?;
    let unknown = cx.execution()?.execution_id;
    let written = cx.dump().await?;
    for id in [lapsed, waiting] {
        check!(cx, "FF-EXE-066", a.replay_execution(replay(id)).await, refused("State(ExecutionNotTerminal)"));
    }
    let missing = EngineError::execution_not_found();
    check!(cx, "FF-ERR-001", a.replay_execution(replay(unknown)).await, refused_with(missing));
    check!(cx, "FF-EXE-066", cx.dump().await?, equals(written));
    Ok(())
}

/// The policy's number of replays is allowed, 10 by default, and not one more.
///
/// Covers FF-EXE-066.
pub async fn replay_execution_is_allowed_as_often_as_the_policy_says(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for (policy, most) in [
        (ExecutionPolicy::new(), 10),
        (ExecutionPolicy::new().max_replay_count(2), 2),
        (ExecutionPolicy::new().max_replay_count(0), 0),
    ] {
        let id = cx.created(&a, cx.execution()?.policy(policy)).await?;
        a.cancel_execution(CancelExecutionArgs::new(id, "x")).await?;
        for _ in 0..most {
            check!(cx, "FF-EXE-066", a.replay_execution(replay(id)).await, answers(REPLAYED));
            a.cancel_execution(CancelExecutionArgs::new(id, "x")).await?;
        }
        let written = cx.dump().await?;
        check!(cx, "FF-EXE-066", a.replay_execution(replay(id)).await, refused("State(MaxReplaysExhausted)"));
        check!(cx, "FF-EXE-066", cx.dump().await?, equals(written));
        check!(cx, "FF-EXE-066", cx.info(&a, &id).await?.replay_count, equals(most));
    }
    Ok(())
}

/// A deadline that counts from the creation counts anew, and ends the second run as it would have the first.
///
/// Covers FF-EXE-067.
pub async fn replay_execution_counts_a_relative_deadline_anew(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let timeouts = TimeoutPolicy { execution_deadline_ms: Some(5000), ..TimeoutPolicy::default() };
    let policy = ExecutionPolicy::new().timeouts(timeouts);
    let claimed = held_as(cx, &a, cx.execution()?.policy(policy)).await?;
    let id = claimed.payload.execution_id;
    a.complete(&claimed.handle, None).await?;
    cx.pass_time(ms(60_000)).await?;
    let deadline = after(cx.now().await?, 5000);

    check!(cx, "FF-EXE-067", a.replay_execution(replay(id)).await, answers(REPLAYED));

    check!(cx, "FF-EXE-067", cx.info(&a, &id).await?.execution_deadline_at, equals(Some(deadline)));
    cx.set_time(after(deadline, -1)).await?;
    cx.claimed(&a, "worker").await?;
    cx.set_time(deadline).await?;
    check!(cx, "FF-EXE-067", a.read_execution_state(&id).await, answers(Some(PublicState::Expired)));
    Ok(())
}

/// An end by a deadline that nobody has written down is written down and told before the replay.
///
/// Covers FF-EXE-067, FF-SUB-001, FF-EXE-002.
pub async fn replay_execution_writes_down_an_expiry_first(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let timeouts = TimeoutPolicy { execution_deadline_ms: Some(5000), ..TimeoutPolicy::default() };
    let policy = ExecutionPolicy::new().timeouts(timeouts);
    let id = held_as(cx, &a, cx.execution()?.policy(policy)).await?.payload.execution_id;
    let deadline = after(cx.now().await?, 5000);
    cx.pass_time(ms(6000)).await?;

    check!(cx, "FF-EXE-067", a.replay_execution(replay(id)).await, answers(REPLAYED));

    check!(cx, "FF-EXE-067", vector(&cx.info(&a, &id).await?), reads(REPLAY_DUE));
    let dump = cx.dump().await?;
    check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads("expired"));
    check!(cx, "FF-EXE-067", lease_log(&dump, &id), reads("acquired 1, released 1 execution_deadline"));
    let ended: Vec<_> =
        dump.attempts.iter().map(|attempt| (attempt.ended_at, attempt.failure_reason.as_deref())).collect();
    check!(cx, "FF-EXE-002", ended, equals(vec![(Some(deadline), Some("execution_deadline"))]));
    check!(cx, "FF-EXE-067", cx.claimed(&a, "worker").await?.payload.execution_id, equals(id));
    Ok(())
}

/// An absolute deadline that has come refuses the replay, written down or not; one that lies ahead stays.
///
/// Covers FF-EXE-066.
pub async fn replay_execution_refuses_an_absolute_deadline_that_has_come(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 5000);
    let args = || Ok::<_, crate::Stop>(cx.execution()?.execution_deadline_at(deadline));
    let completed = held_as(cx, &a, args()?).await?;
    a.complete(&completed.handle, None).await?;
    let id = completed.payload.execution_id;
    check!(cx, "FF-EXE-066", a.replay_execution(replay(id)).await, answers(REPLAYED));
    check!(cx, "FF-EXE-066", cx.info(&a, &id).await?.execution_deadline_at, equals(Some(deadline)));
    let again = cx.claimed(&a, "worker").await?;
    a.complete(&again.handle, None).await?;
    let unwritten = held_as(cx, &a, args()?).await?.payload.execution_id;
    cx.set_time(deadline).await?;
    let written = cx.dump().await?;
    for id in [id, unwritten] {
        check!(cx, "FF-EXE-066", a.replay_execution(replay(id)).await, refused("Validation(InvalidInput)"));
    }
    check!(cx, "FF-EXE-066", cx.dump().await?, equals(written));
    Ok(())
}

/// The holder of a run before is told that its execution waits, then that its lease is stale.
///
/// Covers FF-EXE-065, FF-LSE-007.
pub async fn replay_execution_leaves_nothing_to_former_holders(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (succeeded, broken) = (completed(cx, &a).await?, failed(cx, &a).await?);
    for old in [&succeeded, &broken] {
        a.replay_execution(replay(old.payload.execution_id)).await?;
        let waits = not_active(old, TerminalOutcome::None, LifecyclePhase::Runnable);
        check!(cx, "FF-LSE-007", a.complete(&old.handle, Some(b"done".to_vec())).await, refused_with(waits));
        let all = all_refused("Contention(ExecutionNotActive)");
        check!(cx, "FF-EXE-065", holder_answers(&a, &old.handle).await, all);
    }
    for _ in 0..2 {
        cx.claimed(&a, "other").await?;
    }
    for old in [&succeeded, &broken] {
        check!(cx, "FF-LSE-007", holder_answers(&a, &old.handle).await, all_refused("State(StaleLease)"));
    }
    Ok(())
}
