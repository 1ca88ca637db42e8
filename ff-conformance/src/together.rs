//! Cases of calls that one client makes at the same time: each is answered as if it were alone.

use std::{collections::BTreeSet, sync::Arc};

use ff_core::{CapabilitySet, EngineBackend, EngineError, ExecutionId, ExecutionPolicy, Handle};
use futures::future::join_all;

use crate::{
    Claimed, Cx, Stop, TTL, Verdict,
    batches::{all_held, differences, executions},
    calls, check,
    claim_batches::{claims, ids},
    crowds::created_many,
    equals,
    forgeries::{naming, near_fences},
    hand_overs::{hand_over, taken},
    instants::{after, ms},
    stages::{cancelled, completed, failed, lapsed},
};

/// Work under a lease that ends after `life_ms`, which no other worker of these cases covers.
async fn special(cx: &Cx, client: &Arc<dyn EngineBackend>, life_ms: u64, deadline_ms: i64) -> Result<Claimed, Stop> {
    let gpu = CapabilitySet::try_new(["gpu"])?;
    let deadline = after(cx.now().await?, deadline_ms);
    let policy = ExecutionPolicy::new().required_capabilities(gpu.clone());
    cx.created(client, cx.execution()?.policy(policy).execution_deadline_at(deadline)).await?;
    let claimed = cx.try_claim_offering(client, "worker", ms(life_ms), &gpu).await?;
    claimed.ok_or_else(|| Stop::Errored("no work".to_owned()))
}

/// Handles that end nothing any more, each for a reason of its own; two of them once 2 ms have passed.
async fn spent(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Vec<Handle>, Stop> {
    let stale = lapsed(cx, client).await?.handle;
    let current = cx.claimed(client, "other").await?;
    let (late, overdue) = (special(cx, client, 2, 60_000).await?, special(cx, client, 60_000, 2).await?);
    let (revoked, back) = (special(cx, client, 60_000, 60_000).await?, special(cx, client, 60_000, 60_000).await?);
    calls::revoke_lease(Arc::clone(client), revoked.clone()).await?;
    client.delay(&back.handle, after(cx.now().await?, 30_000)).await?;
    let mut spent = vec![cancelled(cx, client).await?.handle, failed(cx, client).await?.handle, stale];
    spent.extend([late, overdue, revoked, back].map(|claimed| claimed.handle));
    spent.push(naming(&current, cx.execution()?.execution_id));
    spent.extend(near_fences(&current));
    Ok(spent)
}

/// What an answer says, whichever work it hands out.
fn told(answer: &Result<Option<Handle>, EngineError>) -> String {
    format!("{:?}", answer.as_ref().map(|next| next.as_ref().map(Handle::kind)))
}

/// Completions at the same time leave what they leave one by one, and are refused for the same reasons.
///
/// Covers FF-EXE-027, FF-EXE-028, FF-EXE-029. Needs clock, dump, operator_control.
pub async fn completions_at_once_do_what_each_does_alone(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (mut spent, done) = (spent(cx, &a).await?, completed(cx, &a).await?);
    spent.push(done.handle);
    let (alone, crowd) = (all_held(cx, &a, 4).await?, all_held(cx, &a, 4).await?);
    cx.pass_time(ms(2)).await?;
    let payloads = [None, Some(Vec::new()), Some(vec![0, 0xff, b'}']), Some(vec![b'x'; 70_000])];
    let each = |held: &[Claimed]| {
        let ends = held.iter().map(|held| held.handle.clone()).zip(payloads.clone());
        spent.iter().map(|handle| (handle.clone(), None)).chain(ends).collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    for (handle, payload) in each(&alone) {
        expected.push(a.complete(&handle, payload).await);
    }

    let ends = each(&crowd);
    let answers = join_all(ends.iter().map(|(handle, payload)| a.complete(handle, payload.clone()))).await;

    check!(cx, "FF-EXE-029", answers, equals(expected));
    let differences = differences(cx, &a, executions(&crowd), executions(&alone)).await?;
    check!(cx, "FF-EXE-027", differences, equals(Vec::new()));
    let written = cx.dump().await?;
    let again = join_all(ends.iter().map(|(handle, _)| a.complete(handle, None))).await;
    check!(cx, "FF-EXE-028", again, equals(answers));
    check!(cx, "FF-EXE-028", cx.dump().await?, equals(written));
    Ok(())
}

/// Hand-overs at the same time leave what they leave one by one, each takes a row of its own, and they are refused for the
/// same reasons.
///
/// Covers FF-EXE-087, FF-EXE-088, FF-EXE-089. Needs clock, dump, operator_control.
pub async fn hand_overs_at_once_do_what_each_does_alone(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (spent, done) = (spent(cx, &a).await?, completed(cx, &a).await?);
    // At first there is what has fallen due, and then only new work.
    for _ in 0..2 {
        let (alone, crowd) = (all_held(cx, &a, 3).await?, all_held(cx, &a, 3).await?);
        cx.pass_time(ms(2)).await?;
        let each = |held: &[Claimed]| {
            let held = held.iter().map(|held| held.handle.clone());
            spent.iter().cloned().chain([done.handle.clone()]).chain(held).collect::<Vec<_>>()
        };
        let worker = cx.worker("worker", TTL)?;
        let next: BTreeSet<_> = created_many(cx, &a, 4, |_, args| args).await?.into_iter().collect();

        let handles = each(&crowd);
        let answers = join_all(handles.iter().map(|handle| hand_over(&a, handle, worker.clone()))).await;

        let after: BTreeSet<_> = created_many(cx, &a, 4, |_, args| args).await?.into_iter().collect();
        let mut expected = Vec::new();
        for handle in each(&alone) {
            expected.push(hand_over(&a, &handle, worker.clone()).await);
        }
        let says: fn(&[_]) -> Vec<String> = |answers| answers.iter().map(told).collect();
        check!(cx, "FF-EXE-088", says(&answers), equals(says(&expected)));
        let (taken, taken_alone) = (all_taken(&a, &answers)?, all_taken(&a, &expected)?);
        check!(cx, "FF-EXE-089", taken.iter().copied().collect::<BTreeSet<_>>(), equals(next));
        check!(cx, "FF-EXE-089", taken_alone.iter().copied().collect::<BTreeSet<_>>(), equals(after));
        let ends = differences(cx, &a, executions(&crowd), executions(&alone)).await?;
        check!(cx, "FF-EXE-087", ends, equals(Vec::new()));
        check!(cx, "FF-EXE-087", differences(cx, &a, taken, taken_alone).await?, equals(Vec::new()));
    }
    Ok(())
}

/// What the answers hand out.
fn all_taken(
    client: &Arc<dyn EngineBackend>,
    answers: &[Result<Option<Handle>, EngineError>],
) -> Result<Vec<ExecutionId>, Stop> {
    let handed_out = answers.iter().flatten();
    handed_out.filter_map(|next| taken(client, next.as_ref()).transpose()).collect()
}

/// Batches of claims at the same time share the rows of a lane: each gets at most what it asks for, and no row goes to two.
///
/// Covers FF-CLM-080, FF-CLM-081.
pub async fn batches_of_claims_at_once_share_a_lane(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let created: BTreeSet<_> = created_many(cx, &a, 60, |_, args| args).await?.into_iter().collect();
    let (mut got, mut last) = (Vec::new(), false);
    while !last {
        let limits = [7, 1, 0, 9, 500, 3];
        let before = got.len();
        for (batch, limit) in join_all(limits.map(|limit| claims(cx, &a, "lane", limit))).await.into_iter().zip(limits)
        {
            let batch = ids(batch?);
            check!(cx, "FF-CLM-080", u32::try_from(batch.len()).is_ok_and(|many| many <= limit), equals(true));
            got.extend(batch);
        }
        last = got.len() == before;
    }
    check!(cx, "FF-CLM-081", got.len(), equals(60));
    check!(cx, "FF-CLM-081", got.into_iter().collect::<BTreeSet<_>>(), equals(created));
    Ok(())
}
