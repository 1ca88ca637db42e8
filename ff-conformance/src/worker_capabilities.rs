//! Cases of worker capabilities: who may take what, and that nobody stands in anybody's way.

use std::sync::Arc;

use ff_core::{CapabilitySet, CreateExecutionArgs, EngineBackend, ExecutionPolicy, FailureClass, FailureReason};

use crate::{
    Cx, Stop, TTL, Verdict, check,
    crowds::{claim_order, claim_order_offering, created_many},
    equals,
    instants::{after, ms},
    stages::retrying,
};

fn set(tokens: &[&str]) -> Result<CapabilitySet, Stop> {
    Ok(CapabilitySet::try_new(tokens.iter().copied())?)
}

fn requiring(cx: &Cx, tokens: &[&str]) -> Result<CreateExecutionArgs, Stop> {
    Ok(cx.execution()?.policy(ExecutionPolicy::new().required_capabilities(set(tokens)?)))
}

/// True if a worker that offers `offered` gets work that requires `required`.
async fn gets(cx: &Cx, client: &Arc<dyn EngineBackend>, required: &[&str], offered: &[&str]) -> Result<bool, Stop> {
    let id = cx.created(client, requiring(cx, required)?).await?;
    let taken = claim_order_offering(cx, client, 1, &set(offered)?).await? == vec![id];
    // The next question starts with an empty lane.
    claim_order_offering(cx, client, 1, &set(required)?).await?;
    Ok(taken)
}

/// A worker gets exactly the work whose required tokens it all offers.
///
/// Covers FF-CLM-002.
pub async fn claim_takes_only_what_the_worker_covers(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let covered: [(&[&str], &[&str]); 5] = [
        (&[], &[]),
        (&[], &["gpu"]),
        (&["gpu"], &["gpu"]),
        (&["gpu", "eu"], &["eu", "gpu"]),
        (&["gpu"], &["arm", "eu", "gpu", "zfs"]),
    ];
    for (required, offered) in covered {
        check!(cx, "FF-CLM-002", (required, gets(cx, &a, required, offered).await?), equals((required, true)));
    }
    let uncovered: [(&[&str], &[&str]); 4] =
        [(&["gpu"], &[]), (&["gpu"], &["eu"]), (&["gpu", "eu"], &["gpu"]), (&["a", "b", "c"], &["a", "c", "d"])];
    for (required, offered) in uncovered {
        check!(cx, "FF-CLM-002", (required, gets(cx, &a, required, offered).await?), equals((required, false)));
    }
    Ok(())
}

/// Tokens are compared whole and exactly: no case, no prefix, no pattern, no version counts.
///
/// Covers FF-CLM-002.
pub async fn claim_compares_tokens_exactly(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let near: [(&str, &[&str]); 10] = [
        ("gpu", &["GPU"]),
        ("gpu", &["gp", "gpus", "u"]),
        ("gpu", &["*"]),
        ("*", &["gpu"]),
        ("gpu%", &["gpu1"]),
        ("gp_", &["gpu"]),
        ("cuda>=12", &["cuda=13"]),
        ("a|b", &["a", "b"]),
        ("[ab]", &["a"]),
        ("é", &["e\u{301}"]),
    ];
    for (required, offered) in near {
        check!(cx, "FF-CLM-002", (required, gets(cx, &a, &[required], offered).await?), equals((required, false)));
    }
    for odd in ["{a}:b", "\"'\\", "a;b|c&d", "größe", "-", "0", "a=b", "%s$1", "\u{1f980}"] {
        check!(cx, "FF-CLM-002", (odd, gets(cx, &a, &[odd], &["x", odd]).await?), equals((odd, true)));
    }
    Ok(())
}

/// The largest set of tokens matches the worker that offers it, and not one that lacks its last token.
///
/// Covers FF-CLM-002.
pub async fn claim_matches_the_largest_set(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let tokens: Vec<String> = (0..256).map(|n| format!("token-{n:0>9}")).collect();
    let all: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let lacking = all.get(..255).unwrap_or_default();
    check!(cx, "FF-CLM-002", gets(cx, &a, &all, lacking).await?, equals(false));
    check!(cx, "FF-CLM-002", gets(cx, &a, &all, &all).await?, equals(true));
    Ok(())
}

/// The first row of a lane, when nobody may take it, does not block the second, and does not change.
///
/// Covers FF-CLM-003.
pub async fn a_row_that_nobody_may_take_blocks_nobody(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let head = cx.created(&a, requiring(cx, &["nobody-offers-this"])?.priority(9000)).await?;
    cx.pass_time(ms(1)).await?;
    let next = cx.created_plain(&a).await?;
    let info = cx.info(&a, &head).await?;

    check!(cx, "FF-CLM-003", claim_order(cx, &a, 2).await?, equals(vec![next]));
    check!(cx, "FF-CLM-003", cx.info(&a, &head).await?, equals(info));
    Ok(())
}

/// Three hundred rows that the worker may not take do not block the one behind them, and nothing about them changes.
///
/// Covers FF-CLM-003.
pub async fn hundreds_of_rows_that_nobody_may_take_block_nobody(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = ExecutionPolicy::new().required_capabilities(set(&["nobody-offers-this"])?);
    created_many(cx, &a, 300, |_, args| args.priority(9000).policy(policy.clone())).await?;
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-CLM-003", claim_order(cx, &a, 1).await?, equals(vec![]));
    let last = cx.created_plain(&a).await?;

    check!(cx, "FF-CLM-003", claim_order(cx, &a, 1).await?, equals(vec![last]));
    let written = cx.dump().await?;
    check!(cx, "FF-CLM-003", claim_order(cx, &a, 1).await?, equals(vec![]));
    check!(cx, "FF-CLM-003", cx.dump().await?, equals(written));
    Ok(())
}

/// Rows of a hundred different requirements block nobody, and each finds its worker.
///
/// Covers FF-CLM-003, FF-CLM-002.
pub async fn rows_of_many_requirements_find_their_workers(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut ids = Vec::new();
    for n in 0..100 {
        let token = format!("only-{n}");
        ids.push(cx.created(&a, requiring(cx, &[&token])?.priority(n)).await?);
    }
    let plain = cx.created_plain(&a).await?;

    check!(cx, "FF-CLM-003", claim_order(cx, &a, 2).await?, equals(vec![plain]));
    for (n, id) in ids.into_iter().enumerate().step_by(9) {
        let token = format!("only-{n}");
        check!(cx, "FF-CLM-002", claim_order_offering(cx, &a, 2, &set(&[&token])?).await?, equals(vec![id]));
    }
    Ok(())
}

/// The order of a lane holds over all requirements that the worker covers.
///
/// Covers FF-CLM-001.
pub async fn the_order_holds_over_all_covered_requirements(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let requirements: [&[&str]; 5] = [&["a"], &[], &["b"], &["a", "b"], &["c"]];
    let mut rows = Vec::new();
    for n in 0..25_i32 {
        let tokens = requirements[usize::try_from(n).unwrap_or_default() * 3 % 5];
        let id = cx.created(&a, requiring(cx, tokens)?.priority(n * 7 % 4)).await?;
        if tokens != ["c"] {
            rows.push((-(n * 7 % 4), n, id));
        }
        cx.pass_time(ms(1)).await?;
    }
    rows.sort_unstable();
    let order: Vec<_> = rows.into_iter().map(|(.., id)| id).collect();

    check!(cx, "FF-CLM-001", claim_order_offering(cx, &a, 30, &set(&["a", "b"])?).await?, equals(order));
    Ok(())
}

/// What an execution requires holds for its delay, its retry and its take-over too.
///
/// Covers FF-CLM-002.
pub async fn requirements_hold_for_every_attempt(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let gpu = set(&["gpu"])?;
    let policy = retrying(1, 1000).required_capabilities(gpu.clone());
    let args = cx.execution()?.policy(policy).delay_until(after(cx.now().await?, 1000));
    let id = cx.created(&a, args).await?;

    cx.pass_time(ms(1000)).await?;
    check!(cx, "FF-CLM-002", claim_order(cx, &a, 1).await?, equals(vec![]));
    let Some(first) = cx.try_claim_offering(&a, "worker", TTL, &gpu).await? else {
        return Err(Stop::Errored("no work".to_owned()));
    };
    a.fail(&first.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
    for span in [ms(1000), TTL] {
        cx.pass_time(span).await?;
        check!(cx, "FF-CLM-002", claim_order(cx, &a, 1).await?, equals(vec![]));
        check!(cx, "FF-CLM-002", claim_order_offering(cx, &a, 1, &gpu).await?, equals(vec![id]));
    }
    Ok(())
}
