//! Cases of pending waitpoints: opened by a holder, filled before the suspension, taken up by it.

use std::{sync::Arc, time::Duration};

use ff_core::{
    CountKind, DeliverSignalResult, EngineBackend, ResumeCondition, SignalEffect, SuspendArgs, SuspendOutcome,
    SuspensionId, SuspensionReasonCode, WaitpointBinding,
};

use crate::{
    Claimed, Cx, Stop, TTL, Verdict, answers, check, equals,
    instants::ms,
    is_ok, is_true, refused,
    stages::{completed, held, held_as, lapsed, retrying},
    suspensions::{
        Door, all_of, any_at, claims, count, doors, keep_token, listed, named_at, open_at, pending, seeded, seen,
        suspends, waits_for, waits_for_any,
    },
    words::{LEASED, SUSPENDED, lease_log, reads, vector},
};

/// A suspension over a pending waitpoint and fresh ones called `keys`.
fn takes_up(door: &Door, keys: &[&str], condition: ResumeCondition) -> SuspendArgs {
    let fresh = keys.iter().map(|key| WaitpointBinding::fresh_with_key(*key));
    let waitpoints = std::iter::once(WaitpointBinding::pending(door.waitpoint_id)).chain(fresh).collect();
    SuspendArgs::new(SuspensionId::new(), waitpoints, condition, SuspensionReasonCode::WaitingForSignal)
}

/// A suspend is refused alike by handle and by fence.
async fn is_refused(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    by: &Claimed,
    args: SuspendArgs,
    code: &'static str,
) -> Verdict {
    let (id, fence) = (by.payload.execution_id, by.payload.fence);
    check!(cx, "FF-WPT-021", client.suspend(&by.handle, args.clone()).await, refused(code));
    check!(cx, "FF-WPT-021", client.suspend_by_triple(id, fence, args).await, refused(code));
    Ok(())
}

/// The signal was kept for a suspension to come.
fn buffered(signal: &ff_core::DeliverSignalArgs) -> DeliverSignalResult {
    let effect = SignalEffect::BufferedForPendingWaitpoint;
    DeliverSignalResult::Accepted { signal_id: signal.signal_id, effect }
}

/// A pending waitpoint changes neither state nor lease, is listed, and is returned again to who repeats the call.
///
/// Covers FF-WPT-020. Needs clock, dump, waitpoints.
pub async fn create_waitpoint_opens_a_mailbox(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    seeded(cx, &a).await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    let events = cx.dump().await?;
    let first = a.create_waitpoint(&claimed.handle, "p", Duration::from_secs(60)).await?;
    keep_token(cx, &first.hmac_token);
    check!(cx, "FF-WPT-020", first.expires_at, equals(cx.now().await?.plus(Duration::from_secs(60))));
    check!(cx, "FF-WPT-020", vector(&cx.info(&b, &id).await?), reads(LEASED));
    check!(cx, "FF-WPT-020", open_at(&b, &id).await?, equals("p pending".to_owned()));
    check!(cx, "FF-WPT-020", cx.dump().await?.lease_history, equals(events.lease_history));
    let written = cx.dump().await?;
    cx.pass_time(ms(500)).await?;
    check!(cx, "FF-WPT-020", b.create_waitpoint(&claimed.handle, "p", ms(1)).await, answers(first.clone()));
    check!(cx, "FF-WPT-020", cx.dump().await?, equals(written));
    let other = a.create_waitpoint(&claimed.handle, "q", ms(1)).await?;
    check!(cx, "FF-WPT-020", other.waitpoint_id == first.waitpoint_id, equals(false));
    check!(cx, "FF-WPT-020", a.renew(&claimed.handle).await, is_ok());
    // What has closed is no repeat any more.
    cx.pass_time(ms(1)).await?;
    let third = a.create_waitpoint(&claimed.handle, "q", ms(1)).await?;
    check!(cx, "FF-WPT-020", third.waitpoint_id == other.waitpoint_id, equals(false));
    Ok(())
}

/// Only the holder of the live lease opens a waitpoint, under a name that can be one.
///
/// Covers FF-WPT-020. Needs clock, dump, waitpoints.
pub async fn create_waitpoint_needs_the_live_lease(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let ended = completed(cx, &a).await?;
    let lapsed = lapsed(cx, &a).await?;
    let stale = cx.claimed(&a, "second").await?;
    let suspended = suspends(cx, &a, stale.clone(), waits_for_any()).await?;
    a.deliver_signal(suspended.signal()?).await?;
    let live = cx.claimed(&a, "third").await?;
    let written = cx.dump().await?;
    for (handle, code) in [
        (&ended.handle, "Contention(ExecutionNotActive)"),
        (&lapsed.handle, "State(StaleLease)"),
        (&stale.handle, "State(StaleLease)"),
        (&suspended.receipt, "State(StaleLease)"),
    ] {
        check!(cx, "FF-WPT-020", a.create_waitpoint(handle, "p", TTL).await, refused(code));
    }
    for key in ["", "a\0", &"x".repeat(257)] {
        let answer = a.create_waitpoint(&live.handle, key, TTL).await;
        check!(cx, "FF-WPT-020", answer, refused("Validation(InvalidWaitpointKey)"));
    }
    for handle in crate::forgeries::foreign(&live)? {
        let answer = a.create_waitpoint(&handle, "p", TTL).await;
        check!(cx, "FF-WPT-020", answer, refused("Validation(HandleFromOtherBackend)"));
    }
    for handle in crate::forgeries::damaged(&live) {
        check!(cx, "FF-WPT-020", a.create_waitpoint(&handle, "p", TTL).await, refused("Validation(Corruption)"));
    }
    for life in [Duration::ZERO, Duration::MAX] {
        check!(
            cx,
            "FF-WPT-020",
            a.create_waitpoint(&live.handle, "p", life).await,
            refused("Validation(InvalidInput)")
        );
    }
    check!(cx, "FF-WPT-020", cx.dump().await?, equals(written));
    Ok(())
}

/// A signal that arrives before the suspension is kept, changes nothing, and counts once the waitpoint is taken up as far
/// as it matches: the token from before stays right.
///
/// Covers FF-WPT-006, FF-WPT-016, FF-WPT-013. Needs dump, waitpoints.
pub async fn a_signal_before_the_suspension_counts(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    for (condition, names) in
        [(count(2, CountKind::DistinctSignals, &["p"]), "early late"), (named_at("p", "late"), "late")]
    {
        let claimed = held(cx, &a).await?;
        let door = pending(cx, &a, &claimed, "p").await?;
        let early = door.signal("early");
        check!(cx, "FF-WPT-006", a.deliver_signal(early.clone()).await, answers(buffered(&early)));
        check!(cx, "FF-WPT-006", vector(&cx.info(&a, &door.execution_id).await?), reads(LEASED));

        let old = suspends(cx, &a, claimed, takes_up(&door, &[], condition)).await?;

        check!(cx, "FF-WPT-016", old.details.waitpoint_token == door.token, is_true());
        check!(cx, "FF-WPT-006", open_at(&a, &old.id()).await?, equals("p active".to_owned()));
        let late = door.signal("late");
        let effect = SignalEffect::ResumeConditionSatisfied;
        let resumed = DeliverSignalResult::Accepted { signal_id: late.signal_id, effect };
        check!(cx, "FF-WPT-006", a.deliver_signal(late).await, answers(resumed));
        let taken = cx.claimed(&a, "next").await?;
        check!(cx, "FF-WPT-013", seen(&a, &taken.handle).await?.join(" "), equals(names.to_owned()));
    }
    Ok(())
}

/// Signals that were kept fulfil every kind of condition: nothing is suspended, the lease goes on, the waitpoints are
/// closed, and a repeat says so again.
///
/// Covers FF-WPT-006, FF-WPT-003, FF-WPT-016, FF-WPT-009, FF-WPT-013. Needs dump, waitpoints.
pub async fn kept_signals_can_fulfil_the_condition_at_once(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let deep = all_of(vec![named_at("p", "go"), all_of(vec![count(2, CountKind::DistinctSignals, &["p"])])]);
    for (condition, names) in [
        (any_at("p"), "stay"),
        (named_at("p", "go"), "go"),
        (count(2, CountKind::DistinctSources, &["p"]), "stay go"),
        (all_of(vec![deep]), "stay go"),
    ] {
        let claimed = held(cx, &a).await?;
        let door = pending(cx, &a, &claimed, "p").await?;
        for (name, source) in [("stay", "one"), ("go", "two")] {
            a.deliver_signal(door.signal(name).source("user", source)).await?;
        }
        let args = takes_up(&door, &[], condition).idempotency_key("step-1");
        let first = a.suspend(&claimed.handle, args.clone()).await?;
        let SuspendOutcome::AlreadySatisfied { details } = &first else {
            check!(cx, "FF-WPT-006", first, crate::satisfies("is AlreadySatisfied", |_: &SuspendOutcome| false));
            continue;
        };
        check!(cx, "FF-WPT-016", details.waitpoint_token == door.token, is_true());
        let id = door.execution_id;
        check!(cx, "FF-WPT-006", vector(&cx.info(&a, &id).await?), reads(LEASED));
        check!(cx, "FF-WPT-006", (open_at(&a, &id).await?, listed(&a).await?), equals((String::new(), Vec::new())));
        check!(cx, "FF-WPT-006", lease_log(&cx.dump().await?, &id), reads("acquired 1"));
        let written = cx.dump().await?;
        check!(cx, "FF-WPT-003", a.suspend(&claimed.handle, args.clone()).await, answers(first.clone()));
        let mut by_id = args;
        by_id.idempotency_key = None;
        check!(cx, "FF-WPT-003", a.suspend(&claimed.handle, by_id).await, answers(first.clone()));
        check!(cx, "FF-WPT-003", cx.dump().await?, equals(written));
        check!(cx, "FF-WPT-009", a.deliver_signal(door.signal("late")).await, refused("State(WaitpointClosed)"));
        check!(cx, "FF-WPT-013", seen(&a, &claimed.handle).await?.join(" "), equals(names.to_owned()));
        check!(cx, "FF-WPT-006", a.renew(&claimed.handle).await, is_ok());
        a.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// A pending waitpoint stays pending through a suspension over others, and can be taken up by the one after.
///
/// Covers FF-WPT-006, FF-WPT-020, FF-WPT-013. Needs waitpoints.
pub async fn a_pending_waitpoint_outlives_other_suspensions(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let claimed = held(cx, &a).await?;
    let door = pending(cx, &a, &claimed, "p").await?;
    let old = suspends(cx, &a, claimed, waits_for_any()).await?;
    check!(cx, "FF-WPT-020", open_at(&a, &old.id()).await?, equals("a active, p pending".to_owned()));
    let kept = door.signal("kept");
    check!(cx, "FF-WPT-006", a.deliver_signal(kept.clone()).await, answers(buffered(&kept)));
    check!(cx, "FF-WPT-006", vector(&cx.info(&a, &old.id()).await?), reads(SUSPENDED));
    a.deliver_signal(old.signal()?).await?;
    let taken = cx.claimed(&a, "next").await?;
    // A running worker is not touched by what is kept for it.
    let more = door.signal("more");
    check!(cx, "FF-WPT-006", a.deliver_signal(more.clone()).await, answers(buffered(&more)));
    check!(cx, "FF-WPT-006", vector(&cx.info(&a, &old.id()).await?), reads(LEASED));
    check!(cx, "FF-WPT-006", a.renew(&taken.handle).await, is_ok());
    let outcome = a.suspend(&taken.handle, takes_up(&door, &[], named_at("p", "kept"))).await?;
    let satisfied = matches!(outcome, SuspendOutcome::AlreadySatisfied { .. });
    check!(cx, "FF-WPT-006", satisfied, is_true());
    check!(cx, "FF-WPT-013", seen(&a, &taken.handle).await?, equals(vec!["kept".to_owned()]));
    Ok(())
}

/// A pending waitpoint cannot be taken up once it has lapsed, by another attempt, under another key or twice.
///
/// Covers FF-WPT-020, FF-WPT-021, FF-WPT-009. Needs clock, dump, waitpoints.
pub async fn a_pending_waitpoint_has_its_attempt_key_and_time(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let claimed = held_as(cx, &a, cx.execution()?.policy(retrying(3, 0))).await?;
    let door = pending(cx, &a, &claimed, "p").await?;
    let unknown = Door { waitpoint_id: ff_core::WaitpointId::new(), ..door.clone() };
    let written = cx.dump().await?;
    for (door, condition, code) in
        [(&unknown, any_at("p"), "Contention(WaitpointNotFound)"), (&door, any_at("other"), "Validation(InvalidInput)")]
    {
        is_refused(cx, &a, &claimed, takes_up(door, &[], condition), code).await?;
    }
    check!(cx, "FF-WPT-021", cx.dump().await?, equals(written));
    let brief = a.create_waitpoint(&claimed.handle, "brief", ms(10)).await?;
    let brief = Door::of(door.execution_id, &brief);
    cx.pass_time(ms(9)).await?;
    check!(cx, "FF-WPT-020", a.deliver_signal(brief.signal("in time")).await, is_ok());
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-WPT-020", open_at(&a, &door.execution_id).await?, equals("p pending".to_owned()));
    check!(cx, "FF-WPT-020", a.deliver_signal(brief.signal("late")).await, refused("State(WaitpointClosed)"));
    let late = takes_up(&brief, &[], any_at("brief"));
    is_refused(cx, &a, &claimed, late, "State(PendingWaitpointExpired)").await?;

    let old = suspends(cx, &a, claimed, takes_up(&door, &["b"], all_of(vec![any_at("p"), any_at("b")]))).await?;
    for key in ["p", "b"] {
        a.deliver_signal(old.signal_at(key, "go")?).await?;
    }
    let taken = cx.claimed(&a, "next").await?;
    let twice = takes_up(&door, &[], any_at("p"));
    is_refused(cx, &a, &taken, twice, "State(WaitpointNotPending)").await?;
    let unused = pending(cx, &a, &taken, "unused").await?;
    let failure = ff_core::FailureReason::new("broken");
    a.fail(&taken.handle, failure, ff_core::FailureClass::Transient).await?;
    check!(cx, "FF-WPT-009", open_at(&a, &door.execution_id).await?, equals(String::new()));
    check!(cx, "FF-WPT-009", a.deliver_signal(unused.signal("late")).await, refused("State(WaitpointClosed)"));
    let retry = cx.claimed(&a, "next").await?;
    let other = takes_up(&unused, &[], any_at("unused"));
    is_refused(cx, &a, &retry, other, "Validation(InvalidWaitpointForExecution)").await?;
    Ok(())
}

/// A waitpoint of another execution cannot be taken up, and what it keeps does not count elsewhere.
///
/// Covers FF-WPT-007, FF-WPT-021. Needs waitpoints.
pub async fn a_pending_waitpoint_belongs_to_its_execution(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let (one, other) = (held(cx, &a).await?, held(cx, &a).await?);
    let door = pending(cx, &a, &one, "p").await?;
    a.deliver_signal(door.signal("go")).await?;
    let foreign = a.suspend(&other.handle, takes_up(&door, &[], any_at("p"))).await;
    check!(cx, "FF-WPT-021", foreign, refused("Contention(WaitpointNotFound)"));
    let mut same_id = waits_for(&["p"], any_at("p"));
    same_id.waitpoints =
        vec![WaitpointBinding::Fresh { waitpoint_id: door.waitpoint_id, waitpoint_key: "p".to_owned() }];
    let outcome = a.suspend(&other.handle, same_id).await?;
    let suspended = matches!(outcome, SuspendOutcome::Suspended { .. });
    check!(cx, "FF-WPT-007", suspended, is_true());
    if let SuspendOutcome::Suspended { details, .. } = &outcome {
        let theirs = doors(cx, other.payload.execution_id, details);
        let theirs = theirs.get("p").ok_or_else(|| Stop::Errored("no waitpoint".to_owned()))?;
        check!(cx, "FF-WPT-007", theirs.token == door.token, equals(false));
        let crossed = Door { token: door.token.clone(), ..theirs.clone() };
        check!(cx, "FF-WPT-007", a.deliver_signal(crossed.signal("go")).await, refused("Validation(InvalidToken)"));
    }
    check!(cx, "FF-WPT-007", vector(&cx.info(&a, &other.payload.execution_id).await?), reads(SUSPENDED));
    check!(cx, "FF-WPT-007", claims(cx, &a).await?.is_none(), is_true());
    Ok(())
}
