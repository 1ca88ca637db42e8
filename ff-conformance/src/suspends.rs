//! Cases of suspending: who may, with what, and what a repeat is answered.

use ff_core::{
    AttemptIndex, BackendTag, HandleKind, LeaseEpoch, LeaseFence, LifecyclePhase, PublicState, ResumeCondition,
    ResumePolicy, SuspendOutcome, TerminalOutcome, TimeoutBehavior, WaitpointBinding,
};

use crate::{
    Cx, Stop, TTL, Verdict, answers, check, equals,
    instants::{after, before, ms},
    is_ok, refused, refused_with,
    stages::{completed, held, not_active},
    suspensions::{
        all_of, any_at, doors, named_at, open_at, seeded, suspended, suspended_with, suspends, times_out, waits_for,
        waits_for_any,
    },
    words::{EXPIRED, SUSPENDED, reads, vector},
};

/// A suspended execution refuses what only a holder may do, and a receipt suspends nothing.
///
/// Covers FF-WPT-021, FF-ERR-001. Needs waitpoints.
pub async fn suspend_is_refused_to_a_receipt_and_to_a_stranger(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = suspended(cx, &a).await?;
    check!(cx, "FF-WPT-021", a.suspend(&old.receipt, waits_for_any()).await, refused("State(AlreadySuspended)"));
    let not_active = not_active(&old.claimed, TerminalOutcome::None, LifecyclePhase::Suspended);
    let again = a.suspend(&old.claimed.handle, waits_for_any()).await;
    check!(cx, "FF-WPT-021", again, refused_with(not_active.clone()));
    check!(cx, "FF-WPT-021", a.complete(&old.claimed.handle, None).await, refused_with(not_active));
    for handle in crate::forgeries::foreign(&old.claimed)? {
        let answer = a.suspend(&handle, waits_for_any()).await;
        check!(cx, "FF-WPT-021", answer, refused("Validation(HandleFromOtherBackend)"));
    }
    for handle in crate::forgeries::damaged(&old.claimed) {
        check!(cx, "FF-WPT-021", a.suspend(&handle, waits_for_any()).await, refused("Validation(Corruption)"));
    }
    Ok(())
}

/// Only the holder of the live lease can suspend, by handle or by fence; who is refused writes nothing.
///
/// Covers FF-WPT-021, FF-WPT-020. Needs clock, dump, operator_control, waitpoints.
pub async fn suspend_needs_the_live_lease(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let ended = completed(cx, &a).await?;
    for _ in 0..3 {
        cx.created_plain(&a).await?;
    }
    // No claim comes after the first of them has lapsed or was revoked.
    let lapsed = cx.claimed(&a, "worker").await?;
    let revoked = cx.claimed_for(&a, "worker", ms(3_600_000)).await?;
    let live = cx.claimed_for(&a, "worker", ms(3_600_000)).await?;
    cx.pass_time(TTL).await?;
    a.revoke_lease(ff_core::RevokeLeaseArgs::new(revoked.payload.execution_id, "stuck")).await?;
    let stale = LeaseFence { lease_epoch: LeaseEpoch(7), ..lapsed.payload.fence };
    let forged = LeaseFence { lease_id: ff_core::LeaseId::new(), ..live.payload.fence };
    let unknown = cx.execution()?.execution_id;
    let written = cx.dump().await?;

    for (id, fence, code) in [
        (unknown, live.payload.fence, "NotFound(Execution)"),
        (ended.payload.execution_id, ended.payload.fence, "Contention(ExecutionNotActive)"),
        (lapsed.payload.execution_id, lapsed.payload.fence, "State(LeaseExpired)"),
        (lapsed.payload.execution_id, stale, "State(LeaseExpired)"),
        (revoked.payload.execution_id, revoked.payload.fence, "State(LeaseRevoked)"),
        (live.payload.execution_id, forged, "State(StaleLease)"),
    ] {
        check!(cx, "FF-WPT-021", a.suspend_by_triple(id, fence, waits_for_any()).await, refused(code));
    }
    let sealed = |payload: &ff_core::HandlePayload| -> Result<_, Stop> {
        Ok(payload.seal(BackendTag::try_new(a.backend_label())?, HandleKind::Fresh))
    };
    let mut nobody = live.payload.clone();
    nobody.execution_id = unknown;
    let mut forger = live.payload.clone();
    forger.fence = forged;
    for (handle, code) in [
        (sealed(&nobody)?, "NotFound(Execution)"),
        (ended.handle.clone(), "Contention(ExecutionNotActive)"),
        (lapsed.handle.clone(), "State(LeaseExpired)"),
        (revoked.handle.clone(), "State(LeaseRevoked)"),
        (sealed(&forger)?, "State(StaleLease)"),
    ] {
        check!(cx, "FF-WPT-021", a.suspend(&handle, waits_for_any()).await, refused(code));
        check!(cx, "FF-WPT-020", a.create_waitpoint(&handle, "p", TTL).await, refused(code));
    }
    let mut other_index = live.payload.clone();
    other_index.attempt_index = AttemptIndex(7);
    let other_index = sealed(&other_index)?;
    let answer = a.suspend(&other_index, waits_for_any()).await;
    check!(cx, "FF-WPT-021", answer, refused("Validation(InvalidLeaseForSuspend)"));
    check!(cx, "FF-WPT-021", cx.dump().await?, equals(written));
    Ok(())
}

/// A suspend by the fence of a lease does what one by its handle does.
///
/// Covers FF-WPT-021, FF-WPT-003. Needs dump, waitpoints.
pub async fn suspend_by_triple_suspends_as_suspend_does(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let claimed = held(cx, &a).await?;
    let (id, fence, args) = (claimed.payload.execution_id, claimed.payload.fence, waits_for_any());
    let first = a.suspend_by_triple(id, fence, args.clone()).await?;
    check!(cx, "FF-WPT-021", vector(&cx.info(&a, &id).await?), reads(SUSPENDED));
    let written = cx.dump().await?;
    check!(cx, "FF-WPT-003", a.suspend_by_triple(id, fence, args).await, answers(first.clone()));
    check!(cx, "FF-WPT-003", cx.dump().await?, equals(written));
    let SuspendOutcome::Suspended { details, handle } = first else {
        return Err(Stop::Errored("nothing was suspended".to_owned()));
    };
    check!(cx, "FF-WPT-021", handle.decode(a.backend_label())?.fence, equals(fence));
    let doors = doors(cx, id, &details);
    let door = doors.get("a").ok_or_else(|| Stop::Errored("no waitpoint".to_owned()))?;
    check!(cx, "FF-WPT-021", a.deliver_signal(door.signal("go")).await, is_ok());
    let beyond = ff_core::ExecutionId::from_parts(u16::MAX, id.as_uuid());
    let answer = a.suspend_by_triple(beyond, fence, waits_for_any()).await;
    check!(cx, "FF-WPT-021", answer, refused("Validation(InvalidInput)"));
    Ok(())
}

/// A suspend that is repeated with its idempotency key or its suspension id returns the first answer, tokens and order
/// included, and writes nothing, whatever new ids it brings.
///
/// Covers FF-WPT-003. Needs clock, dump, waitpoints.
pub async fn suspend_repeated_returns_the_first_answer(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    seeded(cx, &a).await?;
    let claimed = held(cx, &a).await?;
    let condition = || all_of(vec![any_at("c"), any_at("a"), any_at("b")]);
    let args = waits_for(&["c", "a", "b"], condition()).idempotency_key("step-1");
    let first = a.suspend(&claimed.handle, args.clone()).await?;
    let written = cx.dump().await?;
    cx.pass_time(ms(1000)).await?;

    let keyed = waits_for(&["c", "a", "b"], condition()).idempotency_key("step-1");
    check!(cx, "FF-WPT-003", b.suspend(&claimed.handle, keyed).await, answers(first.clone()));
    let mut same = args;
    same.idempotency_key = None;
    check!(cx, "FF-WPT-003", b.suspend(&claimed.handle, same).await, answers(first));
    check!(cx, "FF-WPT-003", cx.dump().await?, equals(written));
    Ok(())
}

/// A worker that lost the answer of its suspend gets it by the key also after the execution went on without it.
///
/// Covers FF-WPT-003. Needs clock, waitpoints.
pub async fn suspend_repeated_by_its_key_outlives_the_lease(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let args = waits_for_any().idempotency_key("step-1");
    let old = suspended_with(cx, &a, args.clone()).await?;
    let first = a.suspend(&old.claimed.handle, args.clone()).await?;
    a.deliver_signal(old.signal()?).await?;
    check!(cx, "FF-WPT-003", a.suspend(&old.claimed.handle, args.clone()).await, answers(first.clone()));
    let taken = cx.claimed(&a, "next").await?;
    check!(cx, "FF-WPT-003", a.suspend(&old.claimed.handle, args.clone()).await, answers(first.clone()));
    check!(cx, "FF-WPT-003", a.suspend(&taken.handle, args.clone()).await, answers(first.clone()));
    // Seven days later nobody remembers.
    cx.pass_time(ms(604_799_999)).await?;
    check!(cx, "FF-WPT-003", a.suspend(&old.claimed.handle, args.clone()).await, answers(first));
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-WPT-003", a.suspend(&old.claimed.handle, args).await, refused("State(LeaseExpired)"));
    Ok(())
}

/// The key of a suspension with a time-out is remembered for a minute longer.
///
/// Covers FF-WPT-003. Needs clock, waitpoints.
pub async fn the_key_of_a_suspend_outlives_its_timeout_by_a_minute(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let begin = cx.now().await?;
    let args = times_out(after(begin, 500), TimeoutBehavior::Fail).idempotency_key("step-1");
    let old = suspended_with(cx, &a, args.clone()).await?;
    cx.set_time(after(begin, 60_499)).await?;
    check!(cx, "FF-WPT-003", a.suspend(&old.claimed.handle, args.clone()).await, is_ok());
    cx.set_time(after(begin, 60_500)).await?;
    let late = a.suspend(&old.claimed.handle, args).await;
    check!(cx, "FF-WPT-003", late, refused("Contention(ExecutionNotActive)"));
    Ok(())
}

/// Two executions with the same idempotency key have nothing to do with each other.
///
/// Covers FF-WPT-003, FF-WPT-007. Needs waitpoints.
pub async fn suspends_of_two_executions_share_no_key(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let one = suspended_with(cx, &a, waits_for_any().idempotency_key("step-1")).await?;
    let other = suspended_with(cx, &a, waits_for_any().idempotency_key("step-1")).await?;
    check!(cx, "FF-WPT-003", one.details.waitpoint_token == other.details.waitpoint_token, equals(false));
    check!(cx, "FF-WPT-003", one.details.suspension_id == other.details.suspension_id, equals(false));
    a.deliver_signal(other.signal()?).await?;
    check!(cx, "FF-WPT-007", cx.info(&a, &one.id()).await?.public_state, equals(PublicState::Suspended));
    check!(cx, "FF-WPT-007", cx.info(&a, &other.id()).await?.public_state, equals(PublicState::Waiting));
    Ok(())
}

/// A suspension of a later lease under an id that was used before reopens nothing.
///
/// Covers FF-WPT-001, FF-WPT-009. Needs waitpoints.
pub async fn a_suspension_id_that_is_used_again_reopens_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let args = waits_for_any();
    let old = suspended_with(cx, &a, args.clone()).await?;
    a.deliver_signal(old.signal()?).await?;
    let taken = cx.claimed(&a, "next").await?;
    let mut again = waits_for(&["b"], any_at("b"));
    again.suspension_id = args.suspension_id;
    let new = suspends(cx, &a, taken, again).await?;
    check!(cx, "FF-WPT-009", open_at(&a, &new.id()).await?, equals("b active".to_owned()));
    check!(cx, "FF-WPT-009", a.deliver_signal(old.signal()?).await, refused("State(WaitpointClosed)"));
    check!(cx, "FF-WPT-001", a.deliver_signal(new.signal()?).await, is_ok());
    Ok(())
}

/// Bindings and conditions that do not fit are refused before anything is written.
///
/// Covers FF-WPT-021, FF-WPT-010. Needs clock, dump, waitpoints.
pub async fn suspend_refuses_arguments_that_do_not_fit(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let claimed = held(cx, &a).await?;
    let now = cx.now().await?;
    let written = cx.dump().await?;
    let mut flagged = ResumePolicy::new();
    flagged.close_waitpoint_on_resume = false;
    let long = "x".repeat(257);
    for (args, code) in [
        (waits_for(&[], any_at("a")), "Validation(InvalidInput)"),
        (waits_for(&["b"], any_at("a")), "Validation(InvalidInput)"),
        (waits_for(&["a", "b"], any_at("a")), "Validation(InvalidInput)"),
        (waits_for(&["a"], all_of(vec![])), "Validation(InvalidInput)"),
        (waits_for(&["a"], named_at("a", "")), "Validation(InvalidInput)"),
        (waits_for(&["a"], ResumeCondition::TimeoutOnly), "Validation(InvalidInput)"),
        (times_out(before(now, 600_001), TimeoutBehavior::Fail), "Validation(InvalidInput)"),
        (waits_for(&[long.as_str()], any_at(&long)), "Validation(InvalidWaitpointKey)"),
        (waits_for_any().resume_policy(flagged), "Validation(InvalidPolicyJson)"),
    ] {
        let (id, fence) = (claimed.payload.execution_id, claimed.payload.fence);
        check!(cx, "FF-WPT-021", a.suspend_by_triple(id, fence, args.clone()).await, refused(code));
        check!(cx, "FF-WPT-021", a.suspend(&claimed.handle, args).await, refused(code));
    }
    check!(cx, "FF-WPT-021", cx.dump().await?, equals(written));
    let due = times_out(before(now, 600_000), TimeoutBehavior::Expire);
    check!(cx, "FF-WPT-021", a.suspend(&claimed.handle, due).await, is_ok());
    check!(cx, "FF-WPT-010", vector(&cx.info(&a, &claimed.payload.execution_id).await?), reads(EXPIRED));
    Ok(())
}

/// A waitpoint id is used once in an execution, and the refusal of one writes none of the others.
///
/// Covers FF-WPT-021. Needs dump, waitpoints.
pub async fn a_waitpoint_id_is_used_once(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = suspended(cx, &a).await?;
    a.deliver_signal(old.signal()?).await?;
    let taken = cx.claimed(&a, "next").await?;
    let used = WaitpointBinding::Fresh { waitpoint_id: old.details.waitpoint_id, waitpoint_key: "b".to_owned() };
    let mut args = waits_for(&["a"], all_of(vec![any_at("a"), any_at("b")]));
    args.waitpoints.push(used);
    let written = cx.dump().await?;
    let (id, fence) = (taken.payload.execution_id, taken.payload.fence);
    let by_fence = a.suspend_by_triple(id, fence, args.clone()).await;
    check!(cx, "FF-WPT-021", by_fence, refused("Conflict(WaitpointAlreadyExists)"));
    check!(cx, "FF-WPT-021", a.suspend(&taken.handle, args).await, refused("Conflict(WaitpointAlreadyExists)"));
    check!(cx, "FF-WPT-021", cx.dump().await?, equals(written));
    Ok(())
}

/// Without a key that signs nothing is suspended and no waitpoint opened; once there is one, the same call works.
///
/// Covers FF-WPT-017. Needs dump, waitpoints.
pub async fn suspend_needs_a_key_that_signs(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;
    let args = waits_for_any();
    let refusal = a.suspend(&claimed.handle, args.clone()).await;
    check!(cx, "FF-WPT-017", refusal, refused("State(SigningKeyMissing)"));
    let (id, fence) = (claimed.payload.execution_id, claimed.payload.fence);
    check!(cx, "FF-WPT-017", a.suspend_by_triple(id, fence, args.clone()).await, refused("State(SigningKeyMissing)"));
    check!(cx, "FF-WPT-017", a.create_waitpoint(&claimed.handle, "a", TTL).await, refused("State(SigningKeyMissing)"));
    check!(cx, "FF-WPT-017", cx.dump().await?, equals(written));
    seeded(cx, &a).await?;
    check!(cx, "FF-WPT-017", a.suspend(&claimed.handle, args).await, is_ok());
    Ok(())
}
