//! Cases of the wait before a retry: fixed, growing, and drawn.

use std::collections::BTreeSet;

use ff_core::{Backoff, ExecutionPolicy, FailOutcome, FailureClass, FailureReason, Limits, RetryPolicy, RetryRule};
use futures::future::join_all;

use crate::{Cx, Stop, Verdict, check, crowds::created_many, equals, is_true, satisfies, stages::held_as};

fn policy(max_retries: u32, backoff: Backoff) -> ExecutionPolicy {
    ExecutionPolicy::new().retry(RetryPolicy { max_retries, backoff, ..RetryPolicy::default() })
}

const fn growing(initial_delay_ms: u64, max_delay_ms: u64, multiplier: f64) -> Backoff {
    Backoff::Exponential { initial_delay_ms, max_delay_ms, multiplier, jitter: false }
}

/// The waits before the first `count` retries under `backoff`, as answers and due instants tell them.
async fn waits(cx: &Cx, backoff: Backoff, count: u32) -> Result<Vec<i64>, Stop> {
    let a = cx.client("a").await?;
    let mut claimed = held_as(cx, &a, cx.execution()?.policy(policy(count, backoff))).await?;
    let mut waits = Vec::new();
    for _ in 0..count {
        let now = cx.now().await?;
        let outcome = a.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
        let FailOutcome::RetryScheduled { delay_until } = outcome else { break };
        waits.push(delay_until.as_ms() - now.as_ms());
        let stored = cx.info(&a, &claimed.payload.execution_id).await?.delay_until;
        let waiting = delay_until > now;
        check!(cx, "FF-EXE-032", stored, equals(Some(delay_until).filter(|_| waiting)));
        cx.set_time(delay_until).await?;
        claimed = cx.claimed(&a, "worker").await?;
    }
    a.cancel(&claimed.handle, "over").await?;
    Ok(waits)
}

/// A fixed wait is the same before each retry.
///
/// Covers FF-EXE-032.
pub async fn a_fixed_wait_stays_the_same(cx: &Cx) -> Verdict {
    for delay_ms in [0, 1, 2500] {
        let expected = vec![i64::try_from(delay_ms).unwrap_or_default(); 4];
        check!(cx, "FF-EXE-032", waits(cx, Backoff::Fixed { delay_ms }, 4).await?, equals(expected));
    }
    Ok(())
}

/// A growing wait doubles up to its maximum, and stays there.
///
/// Covers FF-EXE-032.
pub async fn a_growing_wait_doubles_up_to_its_maximum(cx: &Cx) -> Verdict {
    let expected = vec![1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000];
    check!(cx, "FF-EXE-032", waits(cx, Backoff::default(), 9).await?, equals(expected));
    Ok(())
}

/// A wait is cut down to whole milliseconds, never rounded up.
///
/// Covers FF-EXE-032.
pub async fn a_growing_wait_is_cut_to_whole_milliseconds(cx: &Cx) -> Verdict {
    let expected = vec![5, 7, 11, 16, 25, 37, 56, 85, 100, 100];
    check!(cx, "FF-EXE-032", waits(cx, growing(5, 100, 1.5), 10).await?, equals(expected));
    Ok(())
}

/// Waits at the edges of their rule: no growth, nothing to grow, a maximum below the start, the largest factor.
///
/// Covers FF-EXE-032.
pub async fn waits_at_the_edges_follow_the_rule(cx: &Cx) -> Verdict {
    let most = i64::try_from(Limits::DURATION_MS).unwrap_or_default();
    for (backoff, expected) in [
        (growing(70, 1000, 1.0), vec![70, 70, 70]),
        (growing(0, 1000, 2.0), vec![0, 0, 0]),
        (growing(50, 20, 2.0), vec![20, 20, 20]),
        (growing(20, 20, 2.0), vec![20, 20, 20]),
        (growing(10, 0, 2.0), vec![0, 0, 0]),
        (growing(1, Limits::DURATION_MS, 1000.0), vec![1, 1000, 1_000_000, 1_000_000_000, 1_000_000_000_000, most]),
    ] {
        let count = u32::try_from(expected.len()).unwrap_or_default();
        check!(cx, "FF-EXE-032", waits(cx, backoff, count).await?, equals(expected));
    }
    Ok(())
}

/// Factors that are not exact in binary give the waits of the contract's rule, to the millisecond.
///
/// Covers FF-EXE-032.
pub async fn waits_of_uneven_factors_follow_the_rule(cx: &Cx) -> Verdict {
    for (initial_ms, multiplier) in [(1000, 1.1), (777, 1.3), (100, 3.7)] {
        let backoff = growing(initial_ms, 900_000, multiplier);
        let retry = RetryPolicy { backoff: backoff.clone(), ..RetryPolicy::default() };
        let Some(rule) = RetryRule::of(Some(&retry)) else { return Err(Stop::Errored("no rule".to_owned())) };
        let expected = (0..14)
            .map(|retry| i64::try_from(rule.delay_ms(retry, ff_core::Jitter::NONE)).unwrap_or_default())
            .collect::<Vec<_>>();
        check!(cx, "FF-EXE-032", waits(cx, backoff, 14).await?, equals(expected));
    }
    Ok(())
}

/// With jitter each wait lies in the upper half of its value, and not all are the same.
///
/// Covers FF-EXE-033.
pub async fn jitter_draws_from_the_upper_half(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let backoff =
        Backoff::Exponential { initial_delay_ms: 100_000, max_delay_ms: 3_600_000, multiplier: 2.0, jitter: true };
    let policy = policy(3, backoff);
    created_many(cx, &a, 40, |_, args| args.policy(policy.clone())).await?;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(cx.claimed(&a, "worker").await?);
    }
    let now = cx.now().await?;

    let fails = held.iter().map(|held| a.fail(&held.handle, FailureReason::new("broken"), FailureClass::Transient));
    let outcomes = join_all(fails).await.into_iter().collect::<Result<Vec<_>, _>>()?;

    let waits: BTreeSet<i64> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            FailOutcome::RetryScheduled { delay_until } => Some(delay_until.as_ms() - now.as_ms()),
            FailOutcome::TerminalFailed => None,
        })
        .collect();
    check!(cx, "FF-EXE-033", waits.iter().all(|wait| (50_000..=100_000).contains(wait)), is_true());
    let spread = satisfies("are spread over the half", |waits: &BTreeSet<i64>| {
        waits.len() > 20 && waits.first() < Some(&70_000) && waits.last() > Some(&80_000)
    });
    check!(cx, "FF-EXE-033", waits, spread);
    Ok(())
}

/// Jitter draws anew for each retry, from the half of that retry's wait.
///
/// Covers FF-EXE-033.
pub async fn jitter_follows_the_growing_wait(cx: &Cx) -> Verdict {
    let backoff = Backoff::Exponential { initial_delay_ms: 1000, max_delay_ms: 4000, multiplier: 2.0, jitter: true };
    let drawn = waits(cx, backoff, 5).await?;
    let plain = [1000, 2000, 4000, 4000, 4000];
    let inside = drawn.iter().zip(plain).filter(|(wait, most)| (most / 2..=*most).contains(*wait)).count();
    check!(cx, "FF-EXE-033", (inside, drawn), satisfies("are all in their half", |got: &(usize, Vec<i64>)| got.0 == 5));
    Ok(())
}
