//! Cases of the fence: which handle may still act, and what the others are told.

use ff_core::{LifecyclePhase, TerminalOutcome};

use crate::{
    Cx, TTL, Verdict, check, equals,
    forgeries::{near_fences, other_attempt_index},
    holders::{all_refused, holder_answers},
    is_ok, refused, refused_with,
    stages::{backing_off, cancelled, completed, failed, held, lapsed, not_active},
    words::{LEASED, reads, vector},
};

/// A renewal under an older epoch is refused as stale and changes nothing; the new holder is not disturbed.
///
/// Covers FF-LSE-004, FF-LSE-009.
pub async fn renew_refuses_an_older_epoch(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let old = lapsed(cx, &a).await?;
    let new = cx.claimed(&b, "other").await?;
    let written = cx.dump().await?;

    check!(cx, "FF-LSE-004", a.renew(&old.handle).await, refused("State(StaleLease)"));

    check!(cx, "FF-LSE-004", cx.dump().await?, equals(written));
    check!(cx, "FF-LSE-009", b.renew(&new.handle).await, is_ok());
    Ok(())
}

/// Every operation of a former holder is refused as stale after a take-over, and the new holder completes.
///
/// Covers FF-LSE-004, FF-LSE-008, FF-ERR-007.
pub async fn a_former_holder_is_fenced_after_a_take_over(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let old = lapsed(cx, &a).await?;
    let new = cx.claimed(&b, "other").await?;
    let written = cx.dump().await?;

    for client in [&a, &b] {
        check!(cx, "FF-ERR-007", holder_answers(client, &old.handle).await, all_refused("State(StaleLease)"));
    }
    check!(cx, "FF-LSE-004", cx.dump().await?, equals(written));
    check!(cx, "FF-LSE-008", b.complete(&new.handle, Some(b"new".to_vec())).await, is_ok());
    let result = a.get_execution_result(&old.payload.execution_id).await?;
    check!(cx, "FF-LSE-008", result, equals(Some(b"new".to_vec())));
    Ok(())
}

/// A handle with one part of the fence wrong, lease, attempt or epoch, is refused in every operation.
///
/// Covers FF-LSE-004.
pub async fn each_part_of_the_fence_counts(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;

    for forged in near_fences(&claimed) {
        check!(cx, "FF-LSE-004", holder_answers(&a, &forged).await, all_refused("State(StaleLease)"));
    }
    check!(cx, "FF-LSE-004", cx.dump().await?, equals(written));
    check!(cx, "FF-LSE-004", a.complete(&claimed.handle, None).await, is_ok());
    Ok(())
}

/// A repeat of an end is recognised by the whole fence: with one part wrong it is another holder's call.
///
/// Covers FF-EXE-029, FF-ERR-004.
pub async fn each_part_of_the_fence_counts_for_a_repeat(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let ends = [completed(cx, &a).await?, failed(cx, &a).await?, cancelled(cx, &a).await?];
    let written = cx.dump().await?;

    for claimed in ends {
        for forged in near_fences(&claimed).into_iter().chain([other_attempt_index(&claimed)]) {
            let answers = holder_answers(&a, &forged).await;
            check!(cx, "FF-ERR-004", answers, all_refused("Contention(ExecutionNotActive)"));
        }
    }
    check!(cx, "FF-EXE-029", cx.dump().await?, equals(written));
    Ok(())
}

/// After the end of an execution its handles, the last and the former ones, change nothing and learn how it ended.
///
/// Covers FF-LSE-007, FF-ERR-004.
pub async fn no_handle_survives_the_end_of_its_execution(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = lapsed(cx, &a).await?;
    let last = cx.claimed(&a, "worker").await?;
    a.complete(&last.handle, None).await?;
    let written = cx.dump().await?;

    let ended = || not_active(&last, TerminalOutcome::Success, LifecyclePhase::Terminal);
    for handle in [&old.handle, &last.handle] {
        check!(cx, "FF-LSE-007", a.renew(handle).await, refused_with(ended()));
        check!(cx, "FF-LSE-007", a.progress(handle, Some(1), None).await, refused_with(ended()));
        check!(cx, "FF-LSE-007", a.cancel(handle, "late").await, refused_with(ended()));
    }
    check!(cx, "FF-ERR-004", a.complete(&old.handle, None).await, refused_with(ended()));
    check!(cx, "FF-LSE-007", cx.dump().await?, equals(written));
    Ok(())
}

/// A handle whose attempt failed with a retry has no power over the work that waits.
///
/// Covers FF-ERR-004, FF-EXE-029.
pub async fn a_handle_is_worth_nothing_while_its_retry_waits(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (claimed, _) = backing_off(cx, &a, 1000).await?;
    let written = cx.dump().await?;

    let waits = || not_active(&claimed, TerminalOutcome::None, LifecyclePhase::Runnable);
    for span in [0, 1000] {
        cx.pass_time(crate::instants::ms(span)).await?;
        check!(cx, "FF-ERR-004", a.renew(&claimed.handle).await, refused_with(waits()));
        check!(cx, "FF-ERR-004", a.progress(&claimed.handle, None, None).await, refused_with(waits()));
        check!(cx, "FF-ERR-004", a.complete(&claimed.handle, None).await, refused_with(waits()));
        check!(cx, "FF-ERR-004", a.cancel(&claimed.handle, "late").await, refused_with(waits()));
    }
    check!(cx, "FF-EXE-029", cx.dump().await?, equals(written));
    Ok(())
}

/// The worker of a failed attempt cannot cancel the retry that another works on.
///
/// Covers FF-LSE-004.
pub async fn cancel_with_the_handle_before_a_retry_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (old, _) = backing_off(cx, &a, 0).await?;
    let new = cx.claimed(&a, "other").await?;
    let written = cx.dump().await?;

    check!(cx, "FF-LSE-004", a.cancel(&old.handle, "late").await, refused("State(StaleLease)"));

    check!(cx, "FF-LSE-004", cx.dump().await?, equals(written));
    check!(cx, "FF-LSE-004", vector(&cx.info(&a, &new.payload.execution_id).await?), reads(LEASED));
    Ok(())
}

/// A lapsed lease is told as lapsed to whoever asks, also to a holder before the one that let it lapse.
///
/// Covers FF-LSE-016, FF-ERR-006.
pub async fn a_lapse_is_told_before_staleness(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = lapsed(cx, &a).await?;
    let new = cx.claimed(&a, "other").await?;
    cx.pass_time(TTL).await?;
    let written = cx.dump().await?;

    check!(cx, "FF-ERR-006", holder_answers(&a, &new.handle).await, all_refused("State(LeaseExpired)"));
    check!(cx, "FF-LSE-016", holder_answers(&a, &old.handle).await, all_refused("State(LeaseExpired)"));
    check!(cx, "FF-LSE-016", cx.dump().await?, equals(written));
    Ok(())
}

/// The end of an execution is told before the lapse of its last lease and before staleness.
///
/// Covers FF-LSE-016, FF-ERR-004.
pub async fn an_end_is_told_before_lapse_and_staleness(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = lapsed(cx, &a).await?;
    let new = cx.claimed(&a, "other").await?;
    a.cancel(&new.handle, "over").await?;
    cx.pass_time(TTL).await?;

    let ended = || not_active(&new, TerminalOutcome::Cancelled, LifecyclePhase::Terminal);
    check!(cx, "FF-LSE-016", a.renew(&new.handle).await, refused_with(ended()));
    check!(cx, "FF-LSE-016", a.renew(&old.handle).await, refused_with(ended()));
    check!(cx, "FF-ERR-004", a.cancel(&old.handle, "late").await, refused_with(ended()));
    Ok(())
}
