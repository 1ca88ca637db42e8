//! Cases of the reads by id: they agree, show what holds now, and write nothing.

use ff_core::{BlockingReason, ExecutionId, ExecutionPolicy, LeaseStatus, PublicState};

use crate::{
    Cx, Stop, TTL, Verdict, check, equals,
    instants::{after, ms},
    is_true,
    reads::{read_all, snapshot},
    stages::{backing_off, cancelled, completed, failed, held},
};

/// Executions at every stage that this contract knows, each in the state that the word names.
async fn every_stage(cx: &Cx) -> Result<Vec<(PublicState, ExecutionId)>, Stop> {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    let mut stages = vec![
        (PublicState::Completed, completed(cx, &a).await?.payload.execution_id),
        (PublicState::Failed, failed(cx, &a).await?.payload.execution_id),
        (PublicState::Cancelled, cancelled(cx, &a).await?.payload.execution_id),
        (PublicState::Delayed, backing_off(cx, &a, 3_600_000).await?.0.payload.execution_id),
        (PublicState::Active, held(cx, &a).await?.payload.execution_id),
    ];
    let expired = cx.execution()?.execution_deadline_at(now);
    stages.push((PublicState::Expired, cx.created(&a, expired).await?));
    let delayed = cx.execution()?.delay_until(after(now, 3_600_000));
    stages.push((PublicState::Delayed, cx.created(&a, delayed).await?));
    cx.created_plain(&a).await?;
    let lapsed = cx.claimed_for(&a, "worker", ms(1)).await?;
    stages.push((PublicState::Active, lapsed.payload.execution_id));
    cx.pass_time(ms(1)).await?;
    stages.push((PublicState::Waiting, cx.created_plain(&a).await?));
    Ok(stages)
}

/// All reads agree about an execution, at every stage of its life, from every client.
///
/// Covers FF-EXE-004.
pub async fn all_reads_agree_at_every_stage(cx: &Cx) -> Verdict {
    let stages = every_stage(cx).await?;
    for client in [cx.client("a").await?, cx.client("b").await?] {
        for (state, id) in &stages {
            let seen = read_all(cx, &client, id).await?;
            check!(cx, "FF-EXE-004", seen.public_states(), equals([*state; 3]));
            check!(cx, "FF-EXE-004", (seen.agree(), seen), crate::satisfies("agree", |got: &(bool, _)| got.0));
        }
    }
    Ok(())
}

/// All reads agree also after every due instant has passed and nobody has written anything.
///
/// Covers FF-EXE-004, FF-EXE-010.
pub async fn all_reads_agree_about_what_time_alone_changed(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let stages = every_stage(cx).await?;
    let written = cx.dump().await?;
    cx.pass_time(ms(3_600_000)).await?;
    for (state, id) in &stages {
        let seen = read_all(cx, &a, id).await?;
        let now = if *state == PublicState::Delayed { PublicState::Waiting } else { *state };
        check!(cx, "FF-EXE-004", seen.public_states(), equals([now; 3]));
        check!(cx, "FF-EXE-004", seen.agree(), is_true());
    }
    check!(cx, "FF-EXE-010", cx.dump().await?, equals(written));
    Ok(())
}

/// Reads write nothing, at any stage, by id or by page, of what is there or not.
///
/// Covers FF-EXE-010.
pub async fn reads_write_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let stages = every_stage(cx).await?;
    let written = cx.dump().await?;
    for span in [ms(0), TTL, ms(3_600_000)] {
        cx.pass_time(span).await?;
        for (_, id) in &stages {
            read_all(cx, &a, id).await?;
        }
        let unknown = cx.execution()?.execution_id;
        check!(cx, "FF-EXE-010", a.describe_execution(&unknown).await?, crate::is_none());
        a.list_executions(None, ff_core::PageLimit::MAX).await?;
        a.list_lanes(None, ff_core::PageLimit::MAX).await?;
    }
    check!(cx, "FF-EXE-010", cx.dump().await?, equals(written));
    Ok(())
}

/// A snapshot names what its execution waits for, and nothing while it is held or has ended.
///
/// Covers FF-EXE-040.
pub async fn a_snapshot_says_what_its_execution_waits_for(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut reasons = Vec::new();
    for (state, id) in every_stage(cx).await? {
        let seen = snapshot(cx, &a, &id).await?;
        reasons.push((state, seen.blocking_reason, seen.lease_status));
    }
    let ended = |state| (state, None, LeaseStatus::None);
    let waits = |state, reason, lease| (state, Some(reason), lease);
    let expected = vec![
        ended(PublicState::Completed),
        ended(PublicState::Failed),
        ended(PublicState::Cancelled),
        waits(PublicState::Delayed, BlockingReason::WaitingForRetryBackoff, LeaseStatus::None),
        (PublicState::Active, None, LeaseStatus::Live),
        ended(PublicState::Expired),
        waits(PublicState::Delayed, BlockingReason::WaitingForDelay, LeaseStatus::None),
        waits(PublicState::Active, BlockingReason::WaitingForWorker, LeaseStatus::Expired),
        waits(PublicState::Waiting, BlockingReason::WaitingForWorker, LeaseStatus::None),
    ];
    check!(cx, "FF-EXE-040", reasons, equals(expected));
    Ok(())
}

/// A snapshot shows the latest attempt from the first claim on, but none while a retry is pending.
///
/// Covers FF-EXE-040.
pub async fn a_snapshot_shows_the_latest_attempt(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut attempts = Vec::new();
    for (state, id) in every_stage(cx).await? {
        let seen = snapshot(cx, &a, &id).await?;
        attempts.push((state, seen.current_attempt.map(|attempt| attempt.attempt_index.0), seen.total_attempt_count));
    }
    let expected = vec![
        (PublicState::Completed, Some(0), 1),
        (PublicState::Failed, Some(0), 1),
        (PublicState::Cancelled, Some(0), 1),
        (PublicState::Delayed, None, 1),
        (PublicState::Active, Some(0), 1),
        (PublicState::Expired, None, 0),
        (PublicState::Delayed, None, 0),
        (PublicState::Active, Some(0), 1),
        (PublicState::Waiting, None, 0),
    ];
    check!(cx, "FF-EXE-040", attempts, equals(expected));
    Ok(())
}

/// Two executions of one policy share nothing: what one does the other does not show.
///
/// Covers FF-EXE-020, FF-EXE-004.
pub async fn executions_share_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = ExecutionPolicy::new().priority(3);
    let args = cx.execution()?.policy(policy.clone()).input_payload("one").tag("a.b", "one");
    let one = cx.created(&a, args).await?;
    let other = cx.created(&a, cx.execution()?.policy(policy).priority(2)).await?;
    let untouched = read_all(cx, &a, &other).await?;

    let claimed = cx.claimed(&a, "worker").await?;
    check!(cx, "FF-EXE-020", claimed.payload.execution_id, equals(one));
    a.progress(&claimed.handle, Some(1), None).await?;
    a.complete(&claimed.handle, Some(b"result".to_vec())).await?;

    check!(cx, "FF-EXE-004", read_all(cx, &a, &other).await?, equals(untouched));
    Ok(())
}
