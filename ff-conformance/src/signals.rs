//! Cases of signals: what one does, how conditions count them, what a worker and a subscriber see of them.

use ff_core::{
    CountKind, DeliverSignalArgs, DeliverSignalResult, EngineBackend, ExecutionPolicy, PublicState, ResumeCondition,
    ResumePolicy, SignalDeliveryEffect, SignalDeliveryEvent, SignalEffect, SignalId, StreamCursor, UnclaimedReason,
};

use std::{sync::Arc, time::Duration};

use crate::{
    Cx, Stop, Verdict, answers, check, equals,
    feeds::{by_execution, events, feed, taken},
    instants::{after, ms},
    is_none, is_ok, is_true, refused,
    stages::completed,
    suspensions::{
        Suspended, all_of, any_at, claims, count, named_at, seeded, seen, suspended, suspended_as, suspended_with,
        suspends, waits_for, waits_for_any,
    },
    words::{INTERRUPTED, RESUME_DELAYED, SUSPENDED, reads, signal_log, vector},
};

/// The signal was accepted, to this effect.
fn accepted(signal: &DeliverSignalArgs, effect: SignalEffect) -> DeliverSignalResult {
    DeliverSignalResult::Accepted { signal_id: signal.signal_id, effect }
}

/// The effects of signals called by waitpoint key and name, one after the other.
async fn effects(
    client: &Arc<dyn EngineBackend>,
    old: &Suspended,
    signals: &[(&str, &str, &str)],
) -> Result<Vec<SignalEffect>, Stop> {
    let mut effects = Vec::new();
    for (key, name, source) in signals {
        let signal = old.signal_at(key, name)?.source("user", *source);
        match client.deliver_signal(signal).await? {
            DeliverSignalResult::Accepted { effect, .. } => effects.push(effect),
            DeliverSignalResult::Duplicate { .. } => return Err(Stop::Errored("a new signal is a repeat".to_owned())),
        }
    }
    Ok(effects)
}

const SATISFIED: SignalEffect = SignalEffect::ResumeConditionSatisfied;
const APPENDED: SignalEffect = SignalEffect::AppendedToWaitpoint;
const AGAIN: SignalEffect = SignalEffect::AppendedToWaitpointDuplicate;
const ELSEWHERE: SignalEffect = SignalEffect::SignalIgnoredNotInCondition;
const UNNAMED: SignalEffect = SignalEffect::SignalIgnoredMatcherFailed;

/// Every signal says what it did, and the execution resumes with the first that fulfils the condition, not before.
///
/// Covers FF-WPT-005, FF-WPT-027, FF-WPT-013. Needs dump, waitpoints.
pub async fn a_signal_says_what_it_did(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let members = vec![named_at("a", "yes"), count(2, CountKind::DistinctSources, &["b"])];
    let old = suspended_with(cx, &a, waits_for(&["a", "b"], all_of(members))).await?;
    let first = [("a", "no", "u1"), ("a", "yes", "u1"), ("a", "yes", "u2"), ("b", "x", "u1"), ("b", "y", "u1")];
    let got = effects(&a, &old, &first).await?;
    check!(cx, "FF-WPT-027", got, equals(vec![UNNAMED, APPENDED, AGAIN, APPENDED, AGAIN]));
    check!(cx, "FF-WPT-005", vector(&cx.info(&a, &old.id()).await?), reads(SUSPENDED));
    let got = effects(&a, &old, &[("b", "z", "u2")]).await?;
    check!(cx, "FF-WPT-005", got, equals(vec![SATISFIED]));
    check!(cx, "FF-WPT-005", vector(&cx.info(&a, &old.id()).await?), reads(INTERRUPTED));
    let log = signal_log(&cx.dump().await?, &old.id());
    check!(cx, "FF-WPT-027", log, reads("ignored, buffered, buffered, buffered, buffered, satisfied"));
    let taken = cx.claimed(&a, "next").await?;
    let names = seen(&a, &taken.handle).await?.join(" ");
    check!(cx, "FF-WPT-013", names, equals("yes yes x y z".to_owned()));
    Ok(())
}

/// Conjunctions within conjunctions hold exactly when all their parts do, in whatever order the signals arrive.
///
/// Covers FF-WPT-005. Needs waitpoints.
pub async fn deep_conditions_hold_with_their_last_part(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deep = || {
        let inner = all_of(vec![any_at("c"), count(2, CountKind::DistinctWaitpoints, &["d", "e"])]);
        all_of(vec![any_at("a"), all_of(vec![any_at("b"), inner])])
    };
    let keys = ["a", "b", "c", "d", "e"];
    for turn in 0..keys.len() {
        let old = suspended_with(cx, &a, waits_for(&keys, deep())).await?;
        let mut order = keys;
        order.rotate_left(turn);
        let signals: Vec<_> = order.iter().map(|key| (*key, "go", "u")).collect();
        let got = effects(&a, &old, &signals).await?;
        check!(cx, "FF-WPT-005", (turn, got), equals((turn, vec![APPENDED, APPENDED, APPENDED, APPENDED, SATISFIED])));
        cx.claimed(&a, "next").await?;
    }
    Ok(())
}

/// Two counts do not feed each other, and senders are pairs that no joined text confuses.
///
/// Covers FF-WPT-005. Needs waitpoints.
pub async fn counts_count_for_themselves(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let two = all_of(vec![count(2, CountKind::DistinctSignals, &["a"]), count(2, CountKind::DistinctSignals, &["b"])]);
    let old = suspended_with(cx, &a, waits_for(&["a", "b"], two)).await?;
    let signals = [("a", "x", "u"), ("a", "x", "u"), ("a", "x", "u"), ("b", "x", "u"), ("b", "x", "u")];
    let got = effects(&a, &old, &signals).await?;
    check!(cx, "FF-WPT-005", got, equals(vec![APPENDED, APPENDED, AGAIN, APPENDED, SATISFIED]));

    let sources = count(3, CountKind::DistinctSources, &["a"]);
    let old = suspended_with(cx, &a, waits_for(&["a"], sources)).await?;
    let mut got = Vec::new();
    for (kind, identity) in [("a:b", "c"), ("a", "b:c"), ("a", "b:c"), ("a:b:c", "")] {
        let signal = old.signal()?.source(kind, identity);
        got.push(a.deliver_signal(signal.clone()).await? == accepted(&signal, APPENDED));
    }
    check!(cx, "FF-WPT-005", got, equals(vec![true, true, false, false]));
    check!(cx, "FF-WPT-005", vector(&cx.info(&a, &old.id()).await?), reads(INTERRUPTED));
    Ok(())
}

/// No signal fulfils what only an operator or a time-out may, whatever its name; alone or in a conjunction.
///
/// Covers FF-WPT-012. Needs clock, waitpoints.
pub async fn no_signal_ends_what_waits_for_no_signal(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let end = after(cx.now().await?, 60_000);
    for condition in [
        ResumeCondition::OperatorOnly,
        ResumeCondition::TimeoutOnly,
        all_of(vec![any_at("a"), ResumeCondition::OperatorOnly]),
        all_of(vec![ResumeCondition::TimeoutOnly, any_at("a")]),
    ] {
        let args = waits_for(&["a"], condition).timeout(end, ff_core::TimeoutBehavior::Expire);
        let old = suspended_with(cx, &a, args).await?;
        for name in ["__operator_only__", "__timeout_only__", "operator", "timeout", "go"] {
            a.deliver_signal(old.signal_at("a", name)?).await?;
        }
        check!(cx, "FF-WPT-012", vector(&cx.info(&a, &old.id()).await?), reads(SUSPENDED));
    }
    check!(cx, "FF-WPT-012", claims(cx, &a).await?.map(|_| ()), is_none());
    Ok(())
}

/// A delivery with the same signal id or the same idempotency key at the same waitpoint is a repeat, tells of the
/// first, and is told as one; also when the first has resumed the execution and closed the waitpoint.
///
/// Covers FF-WPT-008, FF-WPT-027, FF-WPT-005. Needs clock, dump, waitpoints.
pub async fn deliver_signal_repeated_answers_duplicate(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let old = suspended_with(cx, &a, waits_for(&["a"], count(2, CountKind::DistinctSignals, &["a"]))).await?;
    let first = old.signal()?.idempotency_key("order-7");
    let duplicate = DeliverSignalResult::Duplicate { existing_signal_id: first.signal_id };
    check!(cx, "FF-WPT-008", a.deliver_signal(first.clone()).await, answers(accepted(&first, APPENDED)));
    let by_key = old.signal()?.idempotency_key("order-7");
    let mut by_id = old.signal()?;
    by_id.signal_id = first.signal_id;
    for repeat in [first.clone(), by_key.clone(), by_id] {
        check!(cx, "FF-WPT-008", b.deliver_signal(repeat).await, answers(duplicate));
    }
    check!(cx, "FF-WPT-005", vector(&cx.info(&a, &old.id()).await?), reads(SUSPENDED));
    let last = old.signal()?;
    check!(cx, "FF-WPT-008", a.deliver_signal(last.clone()).await, answers(accepted(&last, SATISFIED)));
    for repeat in [&last, &by_key] {
        let answer = b.deliver_signal(repeat.clone()).await;
        check!(cx, "FF-WPT-008", matches!(answer, Ok(DeliverSignalResult::Duplicate { .. })), is_true());
    }
    let ended = cx.claimed(&a, "next").await?;
    a.complete(&ended.handle, None).await?;
    let answer = b.deliver_signal(last.clone()).await;
    let duplicate = DeliverSignalResult::Duplicate { existing_signal_id: last.signal_id };
    check!(cx, "FF-WPT-008", answer, answers(duplicate));
    let log = signal_log(&cx.dump().await?, &old.id());
    let told = "buffered, deduped, deduped, deduped, satisfied, deduped, deduped, deduped";
    check!(cx, "FF-WPT-027", log, reads(told));
    Ok(())
}

/// An idempotency key is of one waitpoint and lives as long as it was given; zero switches it off.
///
/// Covers FF-WPT-008. Needs clock, waitpoints.
pub async fn the_key_of_a_signal_has_its_waitpoint_and_time(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let condition = count(99, CountKind::DistinctSignals, &["a", "b"]);
    let old = suspended_with(cx, &a, waits_for(&["a", "b"], condition)).await?;
    let keyed = |key: &str, life: Option<Duration>| -> Result<DeliverSignalArgs, Stop> {
        let signal = old.signal_at(key, "go")?.idempotency_key("k");
        Ok(match life {
            Some(life) => signal.dedup_ttl(life),
            None => signal,
        })
    };
    let is_new = |answer: DeliverSignalResult| matches!(answer, DeliverSignalResult::Accepted { .. });
    let mut news = Vec::new();
    news.push(is_new(a.deliver_signal(keyed("a", Some(ms(1000)))?).await?));
    news.push(is_new(a.deliver_signal(keyed("b", None)?).await?));
    cx.pass_time(ms(999)).await?;
    news.push(is_new(a.deliver_signal(keyed("a", None)?).await?));
    cx.pass_time(ms(1)).await?;
    news.push(is_new(a.deliver_signal(keyed("a", None)?).await?));
    news.push(is_new(a.deliver_signal(keyed("b", None)?).await?));
    news.push(is_new(a.deliver_signal(keyed("a", Some(Duration::ZERO))?).await?));
    news.push(is_new(a.deliver_signal(old.signal()?.idempotency_key("")).await?));
    news.push(is_new(a.deliver_signal(old.signal()?.idempotency_key("")).await?));
    check!(cx, "FF-WPT-008", news, equals(vec![true, true, false, true, false, true, true, true]));
    // Without an end of its own a key lives for a day.
    cx.pass_time(ms(86_400_000 - 1)).await?;
    let last = is_new(a.deliver_signal(keyed("a", None)?).await?);
    cx.pass_time(ms(1)).await?;
    let next = is_new(a.deliver_signal(keyed("a", None)?).await?);
    check!(cx, "FF-WPT-008", (last, next), equals((false, true)));
    Ok(())
}

/// The execution takes as many signals as its policy says, wherever they were delivered; those that are refused leave
/// nothing behind.
///
/// Covers FF-WPT-019, FF-WPT-008. Needs dump, waitpoints.
pub async fn deliver_signal_keeps_to_the_limit_of_the_execution(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let execution = cx.execution()?.policy(ExecutionPolicy::new().max_signals_per_execution(3));
    let condition = count(9, CountKind::DistinctSignals, &["a", "b"]);
    let old = suspended_as(cx, &a, execution, waits_for(&["a", "b"], condition)).await?;
    let first = old.signal()?;
    a.deliver_signal(first.clone()).await?;
    for key in ["b", "a"] {
        a.deliver_signal(old.signal_at(key, "go")?).await?;
    }
    let written = cx.dump().await?;
    for key in ["a", "b"] {
        let answer = a.deliver_signal(old.signal_at(key, "go")?).await;
        check!(cx, "FF-WPT-019", answer, refused("Validation(SignalLimitExceeded)"));
    }
    check!(cx, "FF-WPT-019", cx.dump().await?, equals(written));
    let repeat = DeliverSignalResult::Duplicate { existing_signal_id: first.signal_id };
    check!(cx, "FF-WPT-008", a.deliver_signal(first).await, answers(repeat));

    let unlimited = cx.execution()?.policy(ExecutionPolicy::new().max_signals_per_execution(0));
    let old = suspended_as(cx, &a, unlimited, waits_for(&["a"], named_at("a", "never"))).await?;
    for _ in 0..5 {
        check!(cx, "FF-WPT-019", a.deliver_signal(old.signal()?).await, is_ok());
    }
    Ok(())
}

/// Arguments of a delivery that break a rule are refused before anything is looked at.
///
/// Covers FF-WPT-026. Needs dump, waitpoints.
pub async fn deliver_signal_refuses_bad_arguments(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = suspended(cx, &a).await?;
    let (good, long) = (old.signal()?, "x".repeat(257));
    let mut beyond = good.clone();
    beyond.execution_id = ff_core::ExecutionId::from_parts(u16::MAX, old.id().as_uuid());
    let written = cx.dump().await?;
    for (args, code) in [
        (old.signal_at("a", "")?, "Validation(InvalidInput)"),
        (old.signal_at("a", &long)?, "Validation(InvalidInput)"),
        (good.clone().category(long.clone()), "Validation(InvalidInput)"),
        (good.clone().source("user", "\0"), "Validation(InvalidInput)"),
        (good.clone().correlation_id(long.clone()), "Validation(InvalidInput)"),
        (good.clone().idempotency_key(long.clone()), "Validation(InvalidInput)"),
        (good.clone().payload_encoding(long), "Validation(InvalidInput)"),
        (good.clone().dedup_ttl(Duration::MAX), "Validation(InvalidInput)"),
        (good.clone().resume_delay(Duration::MAX), "Validation(InvalidInput)"),
        (good.clone().payload(vec![0; 65_537]), "Validation(PayloadTooLarge)"),
        (beyond, "Validation(InvalidInput)"),
    ] {
        check!(cx, "FF-WPT-026", a.deliver_signal(args).await, refused(code));
    }
    check!(cx, "FF-WPT-026", cx.dump().await?, equals(written));
    check!(cx, "FF-WPT-026", a.deliver_signal(good.payload(vec![0; 65_536])).await, is_ok());
    Ok(())
}

/// A worker sees of a signal what its sender gave, byte for byte, and when it was accepted.
///
/// Covers FF-WPT-013, FF-WPT-026. Needs clock, waitpoints.
pub async fn observe_signals_shows_what_was_sent(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = suspended(cx, &a).await?;
    check!(cx, "FF-WPT-013", a.observe_signals(&old.receipt).await?, equals(Vec::new()));
    let bytes: Vec<u8> = (0..=255).collect();
    let sent = old
        .signal_at("a", "é \"x\" \\ ☃\n")?
        .category("appröval")
        .source("user:type", "ünï\u{7f}")
        .correlation_id("c-1")
        .payload(bytes.clone())
        .payload_encoding("raw");
    cx.pass_time(ms(9)).await?;
    let now = cx.now().await?;
    a.deliver_signal(sent.clone()).await?;
    let taken = cx.claimed(&a, "next").await?;
    for handle in [&taken.handle, &old.receipt, &old.claimed.handle] {
        let shown = a.observe_signals(handle).await?;
        let expected = ff_core::ResumeSignal {
            signal_id: sent.signal_id,
            signal_name: sent.signal_name.clone(),
            signal_category: sent.signal_category.clone(),
            source_type: sent.source_type.clone(),
            source_identity: sent.source_identity.clone(),
            correlation_id: Some("c-1".to_owned()),
            accepted_at: now,
            payload: Some(bytes.clone()),
            payload_encoding: Some("raw".to_owned()),
        };
        check!(cx, "FF-WPT-026", shown, equals(vec![expected]));
    }
    // An empty payload is one, and the next suspension replaces what is seen.
    let next = suspends(cx, &a, taken, waits_for_any()).await?;
    check!(cx, "FF-WPT-013", a.observe_signals(&next.receipt).await?, equals(Vec::new()));
    a.deliver_signal(next.signal()?.payload(Vec::new())).await?;
    let shown: Vec<_> = a.observe_signals(&next.receipt).await?.into_iter().map(|signal| signal.payload).collect();
    check!(cx, "FF-WPT-026", shown, equals(vec![Some(Vec::new())]));
    Ok(())
}

/// Signals are seen by the attempt that they resumed, with any of its handles, and by no other.
///
/// Covers FF-WPT-013. Needs clock, waitpoints.
pub async fn observe_signals_is_for_the_attempt_that_was_resumed(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = suspended(cx, &a).await?;
    a.deliver_signal(old.signal()?).await?;
    cx.claimed(&a, "next").await?;
    cx.pass_time(crate::TTL).await?;
    let reclaimed = cx.claimed(&a, "third").await?;
    check!(cx, "FF-WPT-013", seen(&a, &reclaimed.handle).await?, equals(Vec::new()));
    check!(cx, "FF-WPT-013", seen(&a, &old.receipt).await?, equals(vec!["go".to_owned()]));
    let never = completed(cx, &a).await?;
    check!(cx, "FF-WPT-013", seen(&a, &never.handle).await?, equals(Vec::new()));
    let mut unknown = never.payload.clone();
    unknown.execution_id = cx.execution()?.execution_id;
    let unknown = unknown.seal(ff_core::BackendTag::try_new(a.backend_label())?, ff_core::HandleKind::Fresh);
    check!(cx, "FF-WPT-013", a.observe_signals(&unknown).await, refused("NotFound(Execution)"));
    for handle in crate::forgeries::foreign(&never)? {
        check!(cx, "FF-WPT-013", a.observe_signals(&handle).await, refused("Validation(HandleFromOtherBackend)"));
    }
    for handle in crate::forgeries::damaged(&never) {
        check!(cx, "FF-WPT-013", a.observe_signals(&handle).await, refused("Validation(Corruption)"));
    }
    Ok(())
}

/// A resume can be delayed by the signal, else by the suspension: no claim takes the execution before, all do after.
///
/// Covers FF-WPT-011, FF-WPT-024. Needs clock, explanations, waitpoints.
pub async fn a_resume_can_be_delayed(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = ResumePolicy::default().resume_delay(ms(1000));
    for (by_signal, delay) in [(None, 1000), (Some(300), 300), (Some(0), 0)] {
        let old = suspended_with(cx, &a, waits_for_any().resume_policy(policy)).await?;
        let now = cx.now().await?;
        let signal = old.signal()?;
        let signal = by_signal.map_or(signal.clone(), |delay| signal.resume_delay(ms(delay)));
        a.deliver_signal(signal).await?;
        if delay > 0 {
            let due = after(now, i64::try_from(delay).unwrap_or_default());
            let info = cx.info(&a, &old.id()).await?;
            check!(cx, "FF-WPT-011", (vector(&info), info.delay_until), equals((RESUME_DELAYED.to_owned(), Some(due))));
            let why = a.explain_unclaimed(&old.id(), &ff_core::CapabilitySet::default()).await?;
            let waits =
                UnclaimedReason::Delayed { due_at: due, reason: ff_core::BlockingReason::WaitingForResumeDelay };
            check!(cx, "FF-WPT-011", why, equals(Some(waits)));
            cx.pass_time(ms(delay - 1)).await?;
            check!(cx, "FF-WPT-011", claims(cx, &a).await?.map(|_| ()), is_none());
            cx.pass_time(ms(1)).await?;
        }
        check!(cx, "FF-WPT-024", vector(&cx.info(&a, &old.id()).await?), reads(INTERRUPTED));
        let taken = claims(cx, &a).await?.map(|(claimed, ..)| claimed.payload.execution_id);
        check!(cx, "FF-WPT-011", taken, equals(Some(old.id())));
    }
    Ok(())
}

/// Signals to one execution change no other, also with forged ids.
///
/// Covers FF-WPT-007. Needs dump, waitpoints.
pub async fn a_signal_moves_its_own_execution_only(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (one, other) = (suspended(cx, &a).await?, suspended(cx, &a).await?);
    let written = cx.dump().await?;
    let mut forged = Vec::new();
    let mut args = one.signal()?;
    args.execution_id = other.id();
    forged.push(args);
    let mut args = one.signal()?;
    args.waitpoint_id = other.details.waitpoint_id;
    forged.push(args.clone());
    args.execution_id = other.id();
    forged.push(args);
    for args in forged {
        check!(cx, "FF-WPT-007", a.deliver_signal(args).await, refused("Validation(InvalidToken)"));
    }
    check!(cx, "FF-WPT-007", cx.dump().await?, equals(written));
    let untouched = cx.info(&a, &other.id()).await?;
    a.deliver_signal(one.signal()?).await?;
    check!(cx, "FF-WPT-007", cx.info(&a, &other.id()).await?, equals(untouched));
    check!(cx, "FF-WPT-007", cx.info(&a, &one.id()).await?.public_state, equals(PublicState::Waiting));
    Ok(())
}

/// Deliveries are told as they were made, behind every cursor, each with its signal, waitpoint and sender.
///
/// Covers FF-WPT-027, FF-SUB-003. Needs clock, dump, signal_deliveries, waitpoints.
pub async fn subscribe_signal_delivery_delivers_the_log(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let mut sent = Vec::new();
    for _ in 0..3 {
        let old = suspended_with(cx, &a, waits_for(&["a"], named_at("a", "yes"))).await?;
        let (no, yes) = (old.signal_at("a", "no")?, old.signal_at("a", "yes")?.source("user", "ann"));
        for (signal, effect) in [
            (&no, SignalDeliveryEffect::Ignored),
            (&yes, SignalDeliveryEffect::Satisfied),
            (&yes, SignalDeliveryEffect::Deduped),
        ] {
            a.deliver_signal(signal.clone()).await?;
            sent.push(SignalDeliveryEvent {
                execution_id: old.id(),
                namespace: cx.namespace("suite")?,
                waitpoint_id: old.details.waitpoint_id,
                signal_id: signal.signal_id,
                source_identity: signal.source_identity.clone(),
                effect,
                at: cx.now().await?,
            });
        }
        let taken = cx.claimed(&a, "next").await?;
        a.complete(&taken.handle, None).await?;
    }
    let all = taken(&mut feed::<SignalDeliveryEvent>(&a, &StreamCursor::Start).await?, sent.len()).await?;
    check!(cx, "FF-WPT-027", by_execution(events(&all)), equals(by_execution(sent)));
    for (at, delivered) in all.iter().enumerate() {
        let mut rest = feed::<SignalDeliveryEvent>(&a, &delivered.cursor).await?;
        let came = taken(&mut rest, all.len() - at - 1).await?;
        check!(cx, "FF-SUB-003", events(&came), equals(events(&all[at + 1..])));
    }
    let foreign = feed::<ff_core::LeaseHistoryEvent>(&a, &all[0].cursor).await;
    let is_refused = matches!(foreign, Err(Stop::Refused(ref error, _)) if error.code() == "Validation(InvalidOffset)");
    check!(cx, "FF-SUB-003", is_refused, is_true());
    let tagless = ff_core::ScannerFilter::new().instance_tag("", "\0");
    let answer = a.subscribe_signal_delivery(StreamCursor::Start, &tagless).await.map(|_| ());
    check!(cx, "FF-SUB-003", answer, refused("Validation(InvalidTagKey)"));
    let other = ff_core::ScannerFilter::new().namespace(cx.namespace("other")?);
    let mut none = a.subscribe_signal_delivery(StreamCursor::Start, &other).await?;
    let late = suspended_as(
        cx,
        &a,
        {
            let mut args = cx.execution()?;
            args.namespace = cx.namespace("other")?;
            args
        },
        waits_for_any(),
    )
    .await?;
    let signal = late.signal()?;
    a.deliver_signal(signal.clone()).await?;
    let came: Vec<SignalId> = events(&taken(&mut none, 1).await?).iter().map(|event| event.signal_id).collect();
    check!(cx, "FF-SUB-003", came, equals(vec![signal.signal_id]));
    Ok(())
}

/// What the condition does not name is kept and told as ignored.
///
/// Covers FF-WPT-027. Needs clock, dump, waitpoints.
pub async fn a_signal_at_a_waitpoint_that_no_condition_names_is_ignored(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let end = after(cx.now().await?, 60_000);
    let args = waits_for(&["a"], ResumeCondition::TimeoutOnly).timeout(end, ff_core::TimeoutBehavior::Fail);
    let old = suspended_with(cx, &a, args).await?;
    let got = effects(&a, &old, &[("a", "go", "u")]).await?;
    check!(cx, "FF-WPT-027", got, equals(vec![ELSEWHERE]));
    check!(cx, "FF-WPT-027", signal_log(&cx.dump().await?, &old.id()), reads("ignored"));
    Ok(())
}
