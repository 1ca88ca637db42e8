//! Cases of the attempts of an execution, as readers see them.

use ff_core::{
    AttemptIndex, AttemptInfo, AttemptPhase, AttemptType, ExecutionId, FailureClass, FailureReason, LeaseEpoch,
    ListAttemptsPage, PageLimit, ReplayExecutionArgs,
};

use crate::{
    Claimed, Cx, TTL, Verdict, answers, check, equals,
    instants::{after, ms},
    is_none, refused,
    stages::{held, held_as, retrying},
};

/// The attempts as words: index, why, where it stands, under which epoch.
fn told(page: &ListAttemptsPage) -> Vec<(u32, AttemptType, AttemptPhase, u64)> {
    let words =
        |attempt: &AttemptInfo| (attempt.attempt_index.0, attempt.attempt_type, attempt.phase, attempt.lease_epoch.0);
    page.attempts.iter().map(words).collect()
}

/// Every attempt is told with its latest lease, its worker, its instants and its failure.
///
/// Covers FF-EXE-068.
pub async fn list_attempts_tells_all_of_each_attempt(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let first = held_as(cx, &a, cx.execution()?.policy(retrying(1, 0))).await?;
    let id = first.payload.execution_id;
    let started = cx.now().await?;
    cx.pass_time(ms(7)).await?;
    let ended = cx.now().await?;
    a.fail(&first.handle, FailureReason::new("broken").category("io"), FailureClass::Transient).await?;
    let second = cx.claimed(&a, "other").await?;
    a.delay(&second.handle, after(ended, 10)).await?;
    cx.pass_time(ms(10)).await?;
    let resumed = cx.now().await?;
    let third = cx.claimed(&a, "third").await?;

    let page = a.list_attempts(&id, None, PageLimit::MAX).await?;

    let info = |claimed: &Claimed, worker: &str| -> Result<AttemptInfo, crate::Stop> {
        let policy = cx.worker(worker, TTL)?;
        Ok(AttemptInfo {
            attempt_id: claimed.payload.fence.attempt_id,
            attempt_index: claimed.payload.attempt_index,
            attempt_type: AttemptType::Initial,
            phase: AttemptPhase::EndedFailure,
            lease_id: claimed.payload.fence.lease_id,
            lease_epoch: claimed.payload.fence.lease_epoch,
            worker_id: policy.worker_id,
            worker_instance_id: policy.worker_instance_id,
            started_at: started,
            resumed_at: None,
            ended_at: Some(ended),
            failure_reason: Some("broken".to_owned()),
            failure_category: Some("io".to_owned()),
        })
    };
    let mut last = info(&third, "third")?;
    (last.attempt_type, last.phase) = (AttemptType::Retry, AttemptPhase::Started);
    (last.started_at, last.resumed_at, last.ended_at) = (ended, Some(resumed), None);
    (last.failure_reason, last.failure_category) = (None, None);
    let expected = ListAttemptsPage { attempts: vec![info(&first, "worker")?, last], next_cursor: None };
    check!(cx, "FF-EXE-068", page, equals(expected));
    Ok(())
}

/// Attempts of every kind and end come in the order of their index, across take-overs and replays.
///
/// Covers FF-EXE-068, FF-EXE-065.
pub async fn list_attempts_keeps_what_went_before(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = held(cx, &a).await?.payload.execution_id;
    cx.pass_time(TTL).await?;
    let second = cx.claimed(&a, "other").await?;
    a.cancel(&second.handle, "stop").await?;
    a.replay_execution(ReplayExecutionArgs::new(id)).await?;
    let third = cx.claimed(&a, "worker").await?;
    a.delay(&third.handle, after(cx.now().await?, 1000)).await?;
    let page = a.list_attempts(&id, None, PageLimit::MAX).await?;
    let expected = vec![
        (0, AttemptType::Initial, AttemptPhase::InterruptedReclaimed, 1),
        (1, AttemptType::Reclaim, AttemptPhase::EndedCancelled, 2),
        (2, AttemptType::Replay, AttemptPhase::Suspended, 3),
    ];
    check!(cx, "FF-EXE-068", told(&page), equals(expected));
    Ok(())
}

/// A lapsed lease leaves its attempt as it was; a deadline has ended the open one from its instant on.
///
/// Covers FF-EXE-068, FF-EXE-010.
pub async fn list_attempts_tells_what_time_has_done(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = cx.now().await?.plus(TTL + TTL);
    let id = held_as(cx, &a, cx.execution()?.execution_deadline_at(deadline)).await?.payload.execution_id;
    cx.pass_time(TTL).await?;
    let written = cx.dump().await?;
    let page = a.list_attempts(&id, None, PageLimit::MAX).await?;
    check!(cx, "FF-EXE-068", told(&page), equals(vec![(0, AttemptType::Initial, AttemptPhase::Started, 1)]));
    cx.set_time(after(deadline, 5)).await?;
    let page = a.list_attempts(&id, None, PageLimit::MAX).await?;
    let ends: Vec<_> = page
        .attempts
        .iter()
        .map(|attempt| {
            (attempt.phase, attempt.ended_at, attempt.failure_reason.as_deref(), attempt.failure_category.as_deref())
        })
        .collect();
    let end = (AttemptPhase::EndedFailure, Some(deadline), Some("execution_deadline"), Some("timeout"));
    check!(cx, "FF-EXE-068", ends, equals(vec![end]));
    check!(cx, "FF-EXE-010", cx.dump().await?, equals(written));
    Ok(())
}

/// One execution with `count` attempts.
async fn with_attempts(cx: &Cx, count: u32) -> Result<ExecutionId, crate::Stop> {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;
    for _ in 0..count {
        cx.claimed_for(&a, "worker", ms(1)).await?;
        cx.pass_time(ms(1)).await?;
    }
    Ok(id)
}

/// Pages of every size tell the same attempts; a cursor is the last of its page, and is there iff more follows.
///
/// Covers FF-EXE-068.
pub async fn list_attempts_walks_over_all_pages(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = with_attempts(cx, 12).await?;
    let all: Vec<u32> = (0..12).collect();
    for limit in [1, 3, 5, 11, 12, 13, 1000] {
        let limit = PageLimit::new(limit)?;
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = a.list_attempts(&id, cursor, limit).await?;
            let indexes: Vec<u32> = page.attempts.iter().map(|attempt| attempt.attempt_index.0).collect();
            check!(cx, "FF-EXE-068", indexes.len() <= usize::from(limit.get()), equals(true));
            seen.extend(indexes);
            let last = seen.last().copied().map(AttemptIndex).filter(|_| seen.len() < all.len());
            check!(cx, "FF-EXE-068", page.next_cursor, equals(last));
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        check!(cx, "FF-EXE-068", seen, equals(all.clone()));
    }
    Ok(())
}

/// There is an empty page for a limit of 0, behind the last attempt, before the first claim and of no execution.
///
/// Covers FF-EXE-068, FF-ERR-002.
pub async fn list_attempts_may_find_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let empty = ListAttemptsPage::default;
    let id = with_attempts(cx, 2).await?;
    let waiting = cx.created_plain(&a).await?;
    check!(cx, "FF-EXE-068", a.list_attempts(&id, None, PageLimit::new(0)?).await, answers(empty()));
    for cursor in [1, 2, u32::MAX] {
        let page = a.list_attempts(&id, Some(AttemptIndex(cursor)), PageLimit::MAX).await;
        check!(cx, "FF-EXE-068", page, answers(empty()));
    }
    check!(cx, "FF-EXE-068", a.list_attempts(&waiting, None, PageLimit::MAX).await, answers(empty()));
    let unknown = cx.execution()?.execution_id;
    check!(cx, "FF-ERR-002", a.list_attempts(&unknown, None, PageLimit::MAX).await, answers(empty()));
    let page = a.list_attempts(&id, Some(AttemptIndex(0)), PageLimit::new(1)?).await?;
    check!(cx, "FF-EXE-068", page.next_cursor, is_none());
    check!(cx, "FF-EXE-068", page.attempts.first().map(|attempt| attempt.lease_epoch), equals(Some(LeaseEpoch(2))));
    let partitions = a.capabilities().limits.partitions;
    let beyond = ExecutionId::from_parts(partitions, unknown.as_uuid());
    let code = "Validation(InvalidInput)";
    check!(cx, "FF-EXE-068", a.list_attempts(&beyond, None, PageLimit::MAX).await, refused(code));
    Ok(())
}
