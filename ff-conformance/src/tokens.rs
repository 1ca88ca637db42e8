//! Cases of tokens and the keys that sign them: who may deliver, what nobody is told, how keys change.

use std::{sync::Arc, time::Duration};

use ff_core::{
    DeliverSignalArgs, EngineBackend, EngineError, Kid, RotateWaitpointHmacSecretAllArgs,
    RotateWaitpointHmacSecretOutcome, SeedOutcome, SeedWaitpointHmacSecretArgs, SuspendOutcome, WaitpointId,
    WaitpointToken,
};

use crate::{
    Cx, Stop, Verdict, answers, check, equals,
    instants::ms,
    is_ok, is_true, refused, refused_with,
    stages::{completed, held},
    suspensions::{
        Door, KID, all_of, any_at, count, first_key, keep_token, kid, pending, secret, seeded, suspended,
        suspended_with, suspends, times_out, waits_for, waits_for_any,
    },
};

/// What the store did when another key was to sign.
async fn rotated(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    new_kid: &str,
    byte: u8,
    grace: Duration,
) -> Result<Result<RotateWaitpointHmacSecretOutcome, EngineError>, Stop> {
    let args = RotateWaitpointHmacSecretAllArgs::new(kid(new_kid)?, secret(cx, byte)?, grace);
    Ok(match client.rotate_waitpoint_hmac_secret_all(args).await {
        Ok(done) => match done.entries.into_iter().next() {
            Some(entry) => entry.result,
            None => return Err(Stop::Errored("a rotation without an entry".to_owned())),
        },
        Err(error) => Err(error),
    })
}

fn turned(previous: Option<&str>, new: &str, gc_count: u32) -> Result<RotateWaitpointHmacSecretOutcome, Stop> {
    let previous_kid = previous.map(kid).transpose()?;
    Ok(RotateWaitpointHmacSecretOutcome::Rotated { previous_kid, new_kid: kid(new)?, gc_count })
}

/// A new signal with another token.
fn with_token(mut args: DeliverSignalArgs, token: impl Into<String>) -> DeliverSignalArgs {
    args.waitpoint_token = WaitpointToken::new(token);
    args
}

/// Every token that is not that of the waitpoint is refused with one error in one text, which tells neither what is
/// wrong nor what exists; nothing is written.
///
/// Covers FF-WPT-015, FF-WPT-014. Needs clock, dump, operator_control, waitpoints.
pub async fn every_bad_token_is_refused_alike(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = suspended_with(cx, &a, waits_for(&["a", "b"], all_of(vec![any_at("a"), any_at("b")]))).await?;
    let other = suspended(cx, &a).await?;
    let ended = completed(cx, &a).await?.payload.execution_id;
    let good = old.signal()?;
    let text = good.waitpoint_token.expose().to_owned();
    let (name, digits) = text.split_once(':').ok_or_else(|| Stop::Errored("not a token".to_owned()))?;
    let written = cx.dump().await?;

    let mut bad = vec![
        with_token(good.clone(), ""),
        with_token(good.clone(), ":"),
        with_token(good.clone(), digits),
        with_token(good.clone(), format!("{name}:")),
        with_token(good.clone(), format!(":{digits}")),
        with_token(good.clone(), format!("unknown:{digits}")),
        with_token(good.clone(), format!("{name}:{}", digits.to_uppercase())),
        with_token(good.clone(), format!("{text}0")),
        with_token(good.clone(), format!("{text}\0")),
        with_token(good.clone(), format!("{name}:{}", "0".repeat(64))),
        with_token(good.clone(), other.signal()?.waitpoint_token.expose()),
        with_token(good.clone(), old.signal_at("b", "go")?.waitpoint_token.expose()),
    ];
    for cut in [1, text.len() / 2, text.len() - 1] {
        bad.push(with_token(good.clone(), &text[..cut]));
    }
    for (id, waitpoint) in [
        (old.id(), WaitpointId::new()),
        (cx.execution()?.execution_id, old.details.waitpoint_id),
        (other.id(), old.details.waitpoint_id),
        (ended, old.details.waitpoint_id),
    ] {
        let mut args = good.clone();
        (args.execution_id, args.waitpoint_id) = (id, waitpoint);
        bad.push(args);
    }
    for args in bad {
        check!(cx, "FF-WPT-015", a.deliver_signal(args).await, refused_with(EngineError::invalid_token()));
    }
    check!(cx, "FF-WPT-015", cx.dump().await?, equals(written));
    check!(cx, "FF-WPT-014", a.deliver_signal(good).await, is_ok());
    Ok(())
}

/// No token with one bit turned is valid.
///
/// Covers FF-WPT-015, FF-WPT-014. Needs waitpoints.
pub async fn a_token_with_one_bit_turned_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = suspended(cx, &a).await?;
    let good = old.signal()?;
    let text = good.waitpoint_token.expose().as_bytes().to_vec();
    for at in (0..text.len()).chain([text.len() - 1]) {
        let mut turned = text.clone();
        turned[at] ^= 1;
        let turned = String::from_utf8(turned).map_err(|error| Stop::Errored(error.to_string()))?;
        let answer = a.deliver_signal(with_token(good.clone(), turned)).await;
        check!(cx, "FF-WPT-015", answer, refused("Validation(InvalidToken)"));
    }
    check!(cx, "FF-WPT-014", a.deliver_signal(good).await, is_ok());
    Ok(())
}

/// A refused token is refused before anything else is looked at: closed, ended or full, the answer is the same.
///
/// Covers FF-WPT-015, FF-WPT-009. Needs operator_control, waitpoints.
pub async fn a_bad_token_learns_nothing_of_the_state(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (resumed, cancelled) = (suspended(cx, &a).await?, suspended(cx, &a).await?);
    a.deliver_signal(resumed.signal()?).await?;
    a.cancel_execution(ff_core::CancelExecutionArgs::new(cancelled.id(), "unwanted")).await?;
    for old in [&resumed, &cancelled] {
        let bad = with_token(old.signal()?, format!("{KID}:{}", "f".repeat(64)));
        check!(cx, "FF-WPT-015", a.deliver_signal(bad).await, refused_with(EngineError::invalid_token()));
    }
    check!(cx, "FF-WPT-009", a.deliver_signal(resumed.signal()?).await, refused("State(WaitpointClosed)"));
    check!(cx, "FF-WPT-009", a.deliver_signal(cancelled.signal()?).await, refused("State(TargetNotSignalable)"));
    Ok(())
}

/// A token is valid while its key signs or is within its grace, to the millisecond; clients that have read the keys
/// before notice every change.
///
/// Covers FF-WPT-014, FF-WPT-016, FF-WPT-017. Needs clock, waitpoints.
pub async fn a_token_lives_as_long_as_its_key(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let condition = || count(99, ff_core::CountKind::DistinctSignals, &["a"]);
    let first = suspended_with(cx, &a, waits_for(&["a"], condition())).await?;
    b.deliver_signal(first.signal()?).await?;

    check!(
        cx,
        "FF-WPT-017",
        rotated(cx, &a, "second", 0xb2, ms(1000)).await?,
        answers(turned(Some(KID), "second", 0)?)
    );
    let again = b.seed_waitpoint_hmac_secret(first_key(cx)?).await;
    check!(cx, "FF-WPT-017", again, refused("Validation(InvalidInput)"));
    let claimed = held(cx, &b).await?;
    let second = suspends(cx, &b, claimed, waits_for(&["a"], condition())).await?;
    check!(cx, "FF-WPT-014", second.details.waitpoint_token.expose().starts_with("second:"), is_true());
    for client in [&a, &b] {
        check!(cx, "FF-WPT-014", client.deliver_signal(first.signal()?).await, is_ok());
        check!(cx, "FF-WPT-014", client.deliver_signal(second.signal()?).await, is_ok());
    }
    cx.pass_time(ms(999)).await?;
    check!(cx, "FF-WPT-014", a.deliver_signal(first.signal()?).await, is_ok());
    cx.pass_time(ms(1)).await?;
    for client in [&a, &b] {
        let answer = client.deliver_signal(first.signal()?).await;
        check!(cx, "FF-WPT-014", answer, refused_with(EngineError::invalid_token()));
        check!(cx, "FF-WPT-014", client.deliver_signal(second.signal()?).await, is_ok());
    }
    Ok(())
}

/// Several rotations within their graces keep all keys, each until its own end; the next rotation removes what is over.
///
/// Covers FF-WPT-014, FF-WPT-017. Needs clock, waitpoints.
pub async fn keys_keep_their_own_grace(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    seeded(cx, &a).await?;
    let claimed = held(cx, &a).await?;
    let mut doors: Vec<Door> = Vec::new();
    for (number, name) in ["second", "third", "fourth"].into_iter().enumerate() {
        let key = format!("p{number}");
        doors.push(pending(cx, &a, &claimed, &key).await?);
        let byte = 0xb0 + u8::try_from(number).unwrap_or_default();
        check!(cx, "FF-WPT-017", rotated(cx, &a, name, byte, ms(1000)).await?, is_ok());
        cx.pass_time(ms(100)).await?;
    }
    let valid = async |doors: &[Door]| -> Result<Vec<bool>, Stop> {
        let mut valid = Vec::new();
        for door in doors {
            valid.push(a.deliver_signal(door.signal("go")).await.is_ok());
        }
        Ok(valid)
    };
    check!(cx, "FF-WPT-014", valid(&doors).await?, equals(vec![true; 3]));
    cx.pass_time(ms(700)).await?;
    check!(cx, "FF-WPT-014", valid(&doors).await?, equals(vec![false, true, true]));
    check!(
        cx,
        "FF-WPT-017",
        rotated(cx, &a, "fifth", 0xb9, ms(0)).await?,
        answers(turned(Some("fourth"), "fifth", 1)?)
    );
    check!(cx, "FF-WPT-014", valid(&doors).await?, equals(vec![false, true, true]));
    cx.pass_time(ms(100)).await?;
    check!(cx, "FF-WPT-014", valid(&doors).await?, equals(vec![false, false, true]));
    Ok(())
}

/// Rotating to the key that signs changes nothing, an id that counts stands for one secret, and a key that signs
/// again has no end.
///
/// Covers FF-WPT-017, FF-WPT-014. Needs clock, dump, waitpoints.
pub async fn rotations_follow_their_rules(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    check!(cx, "FF-WPT-017", rotated(cx, &a, "k1", 1, ms(0)).await?, answers(turned(None, "k1", 0)?));
    let claimed = held(cx, &a).await?;
    let door = pending(cx, &a, &claimed, "p").await?;
    let written = cx.dump().await?;
    let noop = RotateWaitpointHmacSecretOutcome::Noop { kid: kid("k1")? };
    check!(cx, "FF-WPT-017", rotated(cx, &a, "k1", 1, ms(500)).await?, answers(noop));
    check!(cx, "FF-WPT-017", rotated(cx, &a, "k1", 9, ms(500)).await?, refused("Conflict(RotationConflict)"));
    check!(cx, "FF-WPT-017", cx.dump().await?, equals(written));
    check!(cx, "FF-WPT-017", rotated(cx, &a, "k2", 2, ms(100)).await?, answers(turned(Some("k1"), "k2", 0)?));
    let within = rotated(cx, &a, "k1", 9, ms(100)).await?;
    check!(cx, "FF-WPT-017", within, refused("Conflict(RotationConflict)"));
    check!(cx, "FF-WPT-014", a.deliver_signal(door.signal("go")).await, is_ok());
    // Back to a key within its grace: it signs without an end, and no later rotation counts the old one.
    check!(cx, "FF-WPT-017", rotated(cx, &a, "k1", 1, ms(100)).await?, answers(turned(Some("k2"), "k1", 0)?));
    cx.pass_time(ms(200)).await?;
    check!(cx, "FF-WPT-017", rotated(cx, &a, "k3", 3, ms(1000)).await?, answers(turned(Some("k1"), "k3", 1)?));
    check!(cx, "FF-WPT-014", a.deliver_signal(door.signal("go")).await, is_ok());
    cx.pass_time(ms(1000)).await?;
    check!(cx, "FF-WPT-014", a.deliver_signal(door.signal("go")).await, refused("Validation(InvalidToken)"));
    // An id that counts no more may stand for another secret; nobody signs with what a client remembers.
    check!(cx, "FF-WPT-017", rotated(cx, &a, "k1", 7, ms(0)).await?, answers(turned(Some("k3"), "k1", 1)?));
    check!(cx, "FF-WPT-014", a.deliver_signal(door.signal("go")).await, refused("Validation(InvalidToken)"));
    let again = a.create_waitpoint(&claimed.handle, "q", ms(1000)).await?;
    keep_token(cx, &again.hmac_token);
    let answer = a.deliver_signal(Door::of(door.execution_id, &again).signal("go")).await;
    check!(cx, "FF-WPT-014", answer, is_ok());
    let endless = RotateWaitpointHmacSecretAllArgs::new(kid("k5")?, secret(cx, 5)?, Duration::MAX);
    let answer = a.rotate_waitpoint_hmac_secret_all(endless).await;
    check!(cx, "FF-WPT-017", answer, refused("Validation(InvalidGraceMs)"));
    Ok(())
}

/// The first key is installed once: a repeat says whether the secret is the same, another key is refused, and of
/// many that seed at once one wins.
///
/// Covers FF-WPT-017. Needs dump, waitpoints.
pub async fn seeding_installs_the_first_key_once(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let seed = |name: Kid, byte: u8| -> Result<_, Stop> {
        let args = SeedWaitpointHmacSecretArgs::new(name, secret(cx, byte)?);
        let client = Arc::clone(&a);
        Ok(async move { client.seed_waitpoint_hmac_secret(args).await })
    };
    let mut seeds = Vec::new();
    for number in 0..4 {
        seeds.push(seed(kid(&format!("k{number}"))?, number)?);
    }
    let answers_of_all = futures::future::join_all(seeds).await;
    let winners: Vec<_> = answers_of_all.iter().filter_map(|answer| answer.as_ref().ok().cloned()).collect();
    let Some(SeedOutcome::Seeded { kid: winner }) = winners.first().cloned() else {
        check!(cx, "FF-WPT-017", winners.len(), equals(1));
        return Ok(());
    };
    let losers = answers_of_all.iter().filter_map(|answer| answer.as_ref().err()).map(EngineError::code);
    let expected = vec!["Validation(InvalidInput)".to_owned(); 3];
    check!(cx, "FF-WPT-017", (winners.len(), losers.collect::<Vec<_>>()), equals((1, expected)));
    let written = cx.dump().await?;
    let byte = winner.as_str().trim_start_matches('k').parse().unwrap_or(0);
    for (byte, same_secret) in [(byte, true), (byte + 100, false)] {
        let again = SeedOutcome::AlreadySeeded { kid: winner.clone(), same_secret };
        check!(cx, "FF-WPT-017", seed(winner.clone(), byte)?.await, answers(again));
    }
    check!(cx, "FF-WPT-017", seed(kid("other")?, byte)?.await, refused("Validation(InvalidInput)"));
    check!(cx, "FF-WPT-017", cx.dump().await?, equals(written));
    Ok(())
}

/// The answer to a repeated suspend has the tokens of the first, also after a rotation; once their key is gone, it has
/// tokens that work.
///
/// Covers FF-WPT-003, FF-WPT-016. Needs clock, waitpoints.
pub async fn a_repeated_suspend_has_its_tokens_after_a_rotation(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let args = waits_for(&["a"], count(9, ff_core::CountKind::DistinctSignals, &["a"])).idempotency_key("step-1");
    let old = suspended_with(cx, &a, args.clone()).await?;
    let first = a.suspend(&old.claimed.handle, args.clone()).await?;
    rotated(cx, &a, "second", 0xb2, ms(1000)).await??;
    check!(cx, "FF-WPT-016", a.suspend(&old.claimed.handle, args.clone()).await, answers(first));
    cx.pass_time(ms(1000)).await?;
    rotated(cx, &a, "third", 0xb3, ms(1000)).await??;
    let SuspendOutcome::Suspended { details, .. } = a.suspend(&old.claimed.handle, args).await? else {
        return Err(Stop::Errored("nothing was suspended".to_owned()));
    };
    keep_token(cx, &details.waitpoint_token);
    let door = Door { token: details.waitpoint_token, ..old.door("a")? };
    check!(cx, "FF-WPT-003", a.deliver_signal(door.signal("go")).await, is_ok());
    Ok(())
}

/// In all that a run calls, answers, refuses, lists and tells no token and no secret is shown.
///
/// Covers FF-WPT-018. Needs clock, dump, operator_control, scanners, signal_deliveries, waitpoints.
pub async fn nothing_that_is_told_shows_a_token_or_a_secret(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let seed = first_key(cx)?;
    let mut texts = vec![format!("{seed:?}")];
    texts.push(format!("{:?}", a.seed_waitpoint_hmac_secret(seed).await));
    let claimed = held(cx, &a).await?;
    let door = pending(cx, &a, &claimed, "p").await?;
    texts.push(format!("{door:?} {:?}", door.signal("go")));
    let end = cx.now().await?.plus(ms(60_000));
    let old = suspends(cx, &a, claimed, times_out(end, ff_core::TimeoutBehavior::Fail).idempotency_key("k")).await?;
    texts.push(format!("{old:?}"));
    texts.push(format!("{:?}", a.suspend(&old.claimed.handle, waits_for_any().idempotency_key("k")).await));
    let text = old.signal()?.waitpoint_token.expose().to_owned();
    for cut in [text.len() - 1, text.len() - 8] {
        let cut = with_token(old.signal()?, &text[..cut]);
        texts.push(format!("{cut:?}"));
        if let Err(error) = a.deliver_signal(cut).await {
            texts.push(format!("{error:?} {error}"));
        }
    }
    let again = SeedWaitpointHmacSecretArgs::new(kid("other")?, secret(cx, 0xc3)?);
    texts.push(format!("{:?}", a.seed_waitpoint_hmac_secret(again).await.map_err(|error| error.to_string())));
    let rotation = RotateWaitpointHmacSecretAllArgs::new(kid("second")?, secret(cx, 0xb2)?, ms(1000));
    texts.push(format!("{rotation:?}"));
    texts.push(format!("{:?}", a.rotate_waitpoint_hmac_secret_all(rotation).await));
    let conflict = RotateWaitpointHmacSecretAllArgs::new(kid("second")?, secret(cx, 0xb4)?, ms(1000));
    texts.push(format!("{:?}", a.rotate_waitpoint_hmac_secret_all(conflict).await.map_err(|error| error.to_string())));
    a.deliver_signal(old.signal()?).await?;
    texts.push(format!("{:?}", a.observe_signals(&old.receipt).await?));
    texts.push(format!("{:?}", cx.info(&a, &old.id()).await?));
    let list = ff_core::ListPendingWaitpointsArgs::new(old.id());
    texts.push(format!("{:?}", a.list_pending_waitpoints(list).await?));
    texts.push(format!("{:?}", a.list_suspended(None, ff_core::PageLimit::MAX).await?));
    texts.push(format!("{:?}", cx.dump().await?.signal_deliveries));
    for text in texts {
        let shown = cx.shows_a_secret(&text);
        check!(
            cx,
            "FF-WPT-018",
            (shown, text.len()),
            crate::satisfies("shows no secret", |got: &(bool, usize)| !got.0)
        );
    }
    check!(cx, "FF-WPT-018", cx.leak(), crate::is_none());
    // What would be shown is found.
    let fingerprint = old.signal()?.waitpoint_token.expose().to_owned();
    check!(cx, "FF-WPT-018", cx.shows_a_secret(&fingerprint), is_true());
    Ok(())
}
