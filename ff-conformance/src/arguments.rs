//! Cases of arguments at and beyond their limits: refused alike, before anything is written.

use std::{collections::BTreeSet, time::Duration};

use ff_core::{
    Backoff, CapabilitySet, CreateExecutionArgs, ExecutionPolicy, FailureClass, FailureReason, Limits, RetryPolicy,
    TimestampMs,
};

use crate::{
    Cx, Stop, TTL, Verdict, check, equals,
    holders::code,
    instants::{after, ms},
    is_ok, satisfies,
    stages::held,
};

/// The refusals of some creates, each with a name.
async fn refusals(cx: &Cx, creates: Vec<(String, CreateExecutionArgs)>) -> Result<Vec<(String, String)>, Stop> {
    let a = cx.client("a").await?;
    let mut answers = Vec::with_capacity(creates.len());
    for (name, args) in creates {
        answers.push((name, code(&a.create_execution(args).await)));
    }
    Ok(answers)
}

/// Every create was refused with this code.
fn all(code: &'static str) -> impl crate::Expect<Vec<(String, String)>> {
    satisfies(format!("are all refused with {code}"), move |got: &Vec<(String, String)>| {
        !got.is_empty() && got.iter().all(|(_, answer)| answer == code)
    })
}

/// Ways to break the rule of a name: 1 to 256 bytes without U+0000.
fn bad_names() -> [String; 4] {
    [String::new(), "x".repeat(257), "é".repeat(129), "nul\0".to_owned()]
}

/// A name that is empty, longer than 256 bytes or has a U+0000 is refused.
///
/// Covers FF-EXE-021.
pub async fn create_execution_refuses_bad_names(cx: &Cx) -> Verdict {
    let mut creates = Vec::new();
    for (n, name) in bad_names().into_iter().enumerate() {
        let mut kind = cx.execution()?;
        kind.execution_kind.clone_from(&name);
        let mut key = cx.execution()?;
        key.idempotency_key = Some(name.clone());
        creates.push((format!("kind {n}"), kind));
        creates.push((format!("key {n}"), key));
        creates.push((format!("encoding {n}"), cx.execution()?.payload_encoding(&name)));
        creates.push((format!("creator {n}"), cx.execution()?.creator_identity(&name)));
    }
    let written = cx.dump().await?;

    check!(cx, "FF-EXE-021", refusals(cx, creates).await?, all("Validation(InvalidInput)"));
    check!(cx, "FF-EXE-021", cx.dump().await?, equals(written));
    Ok(())
}

/// Names of 256 bytes are accepted everywhere.
///
/// Covers FF-EXE-020, FF-EXE-021.
pub async fn create_execution_accepts_the_longest_names(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let longest = "é".repeat(128);
    let mut args = cx
        .execution_in(&"l".repeat(64))?
        .payload_encoding(&longest)
        .creator_identity(&longest)
        .idempotency_key(&longest);
    args.execution_kind.clone_from(&longest);
    args.namespace = cx.namespace(&longest)?;

    let answer = a.create_execution(args.clone()).await;

    check!(cx, "FF-EXE-021", answer, is_ok());
    let info = cx.info(&a, &args.execution_id).await?;
    check!(cx, "FF-EXE-020", (info.namespace, info.lane_id), equals((args.namespace, args.lane_id)));
    check!(cx, "FF-EXE-020", info.creator_identity, equals(Some(longest)));
    Ok(())
}

/// More than 64 tags, and a value above 4,096 bytes or with a U+0000, are refused.
///
/// Covers FF-EXE-021.
pub async fn create_execution_refuses_too_many_or_too_long_tags(cx: &Cx) -> Verdict {
    let many = (0..65).try_fold(cx.execution()?, |args, n| Ok::<_, Stop>(args.tag(format!("a.t{n}"), "v")))?;
    let creates = vec![
        ("65 tags".to_owned(), many),
        ("long value".to_owned(), cx.execution()?.tag("a.b", "v".repeat(4097))),
        ("nul value".to_owned(), cx.execution()?.tag("a.b", "nul\0")),
    ];
    let written = cx.dump().await?;

    check!(cx, "FF-EXE-021", refusals(cx, creates).await?, all("Validation(InvalidInput)"));
    check!(cx, "FF-EXE-021", cx.dump().await?, equals(written));
    Ok(())
}

/// A tag key that is not of the form `namespace.name`, or longer than 128 bytes, is refused.
///
/// Covers FF-EXE-021.
pub async fn create_execution_refuses_bad_tag_keys(cx: &Cx) -> Verdict {
    let long = format!("a.{}", "b".repeat(127));
    let keys = ["", "plain", ".name", "name.", "A.b", "a.B", "1a.b", "a b.c", "a.é", "a.b\0", "a..b", long.as_str()];
    let mut creates = Vec::new();
    for key in keys {
        creates.push((key.to_owned(), cx.execution()?.tag(key, "value")));
    }
    let written = cx.dump().await?;

    check!(cx, "FF-EXE-021", refusals(cx, creates).await?, all("Validation(InvalidTagKey)"));
    check!(cx, "FF-EXE-021", cx.dump().await?, equals(written));
    Ok(())
}

/// 64 tags with keys of 128 and values of 4,096 bytes are accepted and read back.
///
/// Covers FF-EXE-020, FF-EXE-021.
pub async fn create_execution_accepts_the_largest_tags(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut args = cx.execution()?;
    for n in 0..64 {
        let name = format!("{n:_>126}");
        args = args.tag(format!("a.{name}"), "é".repeat(2048));
    }

    check!(cx, "FF-EXE-021", a.create_execution(args.clone()).await, is_ok());
    let tags = a.describe_execution(&args.execution_id).await?.map(|snapshot| snapshot.tags);
    check!(cx, "FF-EXE-020", tags == Some(args.tags), crate::is_true());
    Ok(())
}

/// A delay or a deadline before the epoch or after the year 9999 is refused.
///
/// Covers FF-EXE-021.
pub async fn create_execution_refuses_instants_out_of_range(cx: &Cx) -> Verdict {
    let mut creates = Vec::new();
    for at in [TimestampMs::from_ms(-1), after(TimestampMs::MAX, 1), TimestampMs::from_ms(i64::MAX)] {
        creates.push((format!("delay {at}"), cx.execution()?.delay_until(at)));
        creates.push((format!("deadline {at}"), cx.execution()?.execution_deadline_at(at)));
    }
    let written = cx.dump().await?;

    check!(cx, "FF-EXE-021", refusals(cx, creates).await?, all("Validation(InvalidInput)"));
    check!(cx, "FF-EXE-021", cx.dump().await?, equals(written));
    Ok(())
}

/// The first and the last instant of the range are accepted and read back exactly.
///
/// Covers FF-EXE-020, FF-EXE-021.
pub async fn create_execution_accepts_the_extreme_instants(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let last = TimestampMs::MAX;
    let args = cx.execution()?.delay_until(last).execution_deadline_at(last);
    check!(cx, "FF-EXE-021", a.create_execution(args.clone()).await, is_ok());
    let info = cx.info(&a, &args.execution_id).await?;
    check!(cx, "FF-EXE-020", (info.delay_until, info.execution_deadline_at), equals((Some(last), Some(last))));

    let first = TimestampMs::from_ms(0);
    let args = cx.execution()?.delay_until(first).execution_deadline_at(first);
    check!(cx, "FF-EXE-021", a.create_execution(args.clone()).await, is_ok());
    let info = cx.info(&a, &args.execution_id).await?;
    check!(cx, "FF-EXE-020", info.execution_deadline_at, equals(Some(first)));
    Ok(())
}

/// Policies with one value out of range each.
fn bad_policies() -> Vec<(&'static str, ExecutionPolicy)> {
    let beyond = Limits::DURATION_MS + 1;
    let retry = |backoff| ExecutionPolicy::new().retry(RetryPolicy { backoff, ..RetryPolicy::default() });
    let exponential = |initial_delay_ms, max_delay_ms, multiplier| {
        retry(Backoff::Exponential { initial_delay_ms, max_delay_ms, multiplier, jitter: false })
    };
    let listing = |categories: BTreeSet<String>| {
        ExecutionPolicy::new().retry(RetryPolicy { retryable_categories: categories, ..RetryPolicy::default() })
    };
    let mut policies = vec![
        ("no window", ExecutionPolicy::new().dedup_window_ms(0)),
        ("long window", ExecutionPolicy::new().dedup_window_ms(beyond)),
        ("early delay", ExecutionPolicy::new().delay_until(TimestampMs::from_ms(-1))),
        ("late delay", ExecutionPolicy::new().delay_until(after(TimestampMs::MAX, 1))),
        ("fixed wait", retry(Backoff::Fixed { delay_ms: beyond })),
        ("first wait", exponential(beyond, 1, 2.0)),
        ("longest wait", exponential(1, beyond, 2.0)),
        ("shrinking", exponential(1, 1, 0.999)),
        ("exploding", exponential(1, 1, 1000.1)),
        ("not a number", exponential(1, 1, f64::NAN)),
        ("infinite", exponential(1, 1, f64::INFINITY)),
        ("many categories", listing((0..65).map(|n| format!("c{n}")).collect())),
    ];
    policies.extend(bad_names().map(|name| ("category", listing(BTreeSet::from([name])))));
    policies
}

/// A policy with a value out of range is refused.
///
/// Covers FF-EXE-021.
pub async fn create_execution_refuses_policies_out_of_range(cx: &Cx) -> Verdict {
    let mut creates = Vec::new();
    for (name, policy) in bad_policies() {
        creates.push((name.to_owned(), cx.execution()?.policy(policy)));
    }
    let written = cx.dump().await?;

    check!(cx, "FF-EXE-021", refusals(cx, creates).await?, all("Validation(InvalidPolicyJson)"));
    check!(cx, "FF-EXE-021", cx.dump().await?, equals(written));
    Ok(())
}

/// A policy with every value at its limit is accepted.
///
/// Covers FF-EXE-021.
pub async fn create_execution_accepts_policies_at_their_limits(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let most = Limits::DURATION_MS;
    let backoff = Backoff::Exponential { initial_delay_ms: most, max_delay_ms: most, multiplier: 1000.0, jitter: true };
    let retryable_categories = (0..64).map(|n| format!("{n:c>256}")).collect();
    let retry = RetryPolicy { max_retries: u32::MAX, backoff, retryable_categories };
    let tokens = CapabilitySet::try_new((0..256).map(|n| format!("{n:t>15}")))?;
    let policy = ExecutionPolicy::new()
        .priority(i32::MAX)
        .delay_until(TimestampMs::MAX)
        .retry(retry)
        .max_reclaim_count(u32::MAX)
        .required_capabilities(tokens)
        .dedup_window_ms(most);

    let answer = a.create_execution(cx.execution()?.policy(policy).idempotency_key("key")).await;

    check!(cx, "FF-EXE-021", answer, is_ok());
    Ok(())
}

/// A message, a reason or a category beyond its limit is refused by every holder operation that takes one.
///
/// Covers FF-EXE-021.
pub async fn holders_are_refused_texts_beyond_their_limits(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let handle = held(cx, &a).await?.handle;
    let written = cx.dump().await?;

    let mut answers = Vec::new();
    for text in ["x".repeat(4097), "é".repeat(2049), "nul\0".to_owned()] {
        let failure = FailureReason::new(&text);
        answers.push(("fail".to_owned(), code(&a.fail(&handle, failure, FailureClass::Transient).await)));
        answers.push(("cancel".to_owned(), code(&a.cancel(&handle, &text).await)));
        answers.push(("progress".to_owned(), code(&a.progress(&handle, None, Some(text)).await)));
    }
    for name in bad_names() {
        let failure = FailureReason::new("broken").category(name);
        answers.push(("category".to_owned(), code(&a.fail(&handle, failure, FailureClass::Transient).await)));
    }
    check!(cx, "FF-EXE-021", answers, all("Validation(InvalidInput)"));
    check!(cx, "FF-EXE-021", cx.dump().await?, equals(written));
    Ok(())
}

/// Messages and reasons of 4,096 bytes, and empty ones, are accepted and read back.
///
/// Covers FF-EXE-020, FF-EXE-021.
pub async fn holders_may_use_the_longest_texts(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for text in ["é".repeat(2048), String::new()] {
        let claimed = held(cx, &a).await?;
        check!(cx, "FF-EXE-021", a.progress(&claimed.handle, None, Some(text.clone())).await, is_ok());
        check!(cx, "FF-EXE-021", a.cancel(&claimed.handle, &text).await, is_ok());
        let info = cx.info(&a, &claimed.payload.execution_id).await?;
        check!(cx, "FF-EXE-020", info.cancellation_reason.as_deref(), equals(Some(text.as_str())));
        check!(cx, "FF-EXE-020", info.progress.and_then(|told| told.message), equals(Some(text.clone())));

        let claimed = held(cx, &a).await?;
        let failure = FailureReason::new(&text).category("c".repeat(256));
        check!(cx, "FF-EXE-021", a.fail(&claimed.handle, failure, FailureClass::Permanent).await, is_ok());
        let info = cx.info(&a, &claimed.payload.execution_id).await?;
        check!(cx, "FF-EXE-020", info.failure_reason, equals(Some(text)));
    }
    Ok(())
}

/// More than 100 percent is refused and stores nothing; 0 and 100 are accepted.
///
/// Covers FF-EXE-021.
pub async fn progress_refuses_more_than_100_percent(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;

    for percent in [101, u8::MAX] {
        let answer = a.progress(&claimed.handle, Some(percent), Some("too much".to_owned())).await;
        check!(cx, "FF-EXE-021", answer, crate::refused("Validation(InvalidInput)"));
    }
    check!(cx, "FF-EXE-021", cx.dump().await?, equals(written));
    for percent in [100, 0] {
        check!(cx, "FF-EXE-021", a.progress(&claimed.handle, Some(percent), None).await, is_ok());
        let told = cx.info(&a, &claimed.payload.execution_id).await?.progress;
        check!(cx, "FF-EXE-021", told.and_then(|told| told.percent), equals(Some(percent)));
    }
    Ok(())
}

/// A lease life below a millisecond or above 100 years is refused, and nothing is taken.
///
/// Covers FF-CLM-011.
pub async fn claim_refuses_a_lease_life_out_of_range(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    cx.created_plain(&a).await?;
    let written = cx.dump().await?;

    let none = CapabilitySet::default();
    for life in [Duration::ZERO, Duration::from_micros(999), ms(Limits::DURATION_MS + 1), Duration::MAX] {
        let answer = a.claim(&cx.lane()?, &none, cx.worker("worker", life)?).await;
        check!(cx, "FF-CLM-011", answer, crate::refused("Validation(InvalidInput)"));
    }
    check!(cx, "FF-CLM-011", cx.dump().await?, equals(written));
    Ok(())
}

/// Leases of 1 ms and of 100 years are accepted and end exactly then.
///
/// Covers FF-CLM-011.
pub async fn claim_accepts_the_shortest_and_the_longest_lease(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for life in [ms(1), ms(Limits::DURATION_MS)] {
        cx.created_plain(&a).await?;
        let claimed = cx.claimed_for(&a, "worker", life).await?;
        let snapshot = crate::reads::snapshot(cx, &a, &claimed.payload.execution_id).await?;
        let expires_at = snapshot.current_lease.map(|lease| lease.expires_at);
        check!(cx, "FF-CLM-011", expires_at, equals(Some(cx.now().await?.plus(life))));
        check!(cx, "FF-CLM-011", a.complete(&claimed.handle, None).await, is_ok());
    }
    Ok(())
}

/// A wait above 100 years is refused, and nothing is taken.
///
/// Covers FF-CLM-013.
pub async fn claim_refuses_a_wait_out_of_range(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    cx.created_plain(&a).await?;
    let written = cx.dump().await?;

    let policy = cx.worker("worker", TTL)?.max_wait(ms(Limits::DURATION_MS + 1));
    let answer = a.claim(&cx.lane()?, &CapabilitySet::default(), policy).await;

    check!(cx, "FF-CLM-013", answer, crate::refused("Validation(InvalidInput)"));
    check!(cx, "FF-CLM-013", cx.dump().await?, equals(written));
    Ok(())
}
