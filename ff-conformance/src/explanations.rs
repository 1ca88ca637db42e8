//! Cases of the question why a worker has not got an execution.

use std::collections::BTreeSet;

use ff_core::{
    BlockingReason, CapabilitySet, ExecutionId, ExecutionPolicy, LeaseEpoch, TerminalOutcome, UnclaimedReason,
    WorkerInstanceId,
};

use crate::{
    Cx, TTL, Verdict, answers, check, equals,
    instants::{after, before, ms},
    reservations::granted,
    routes::{Route, waiting},
    stages::{cancelled, completed, failed, held, held_as, retrying},
};

fn nobody() -> CapabilitySet {
    CapabilitySet::default()
}

/// Work that a claim takes is explained as claimable, whatever way it came, also before anybody wrote that down.
///
/// Covers FF-CLM-051.
pub async fn explain_unclaimed_tells_that_work_is_claimable(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for route in Route::ALL {
        let id = waiting(cx, &a, route).await?;
        let answer = a.explain_unclaimed(&id, &nobody()).await;
        check!(cx, "FF-CLM-051", answer, answers(Some(UnclaimedReason::Claimable)));
        let claimed = cx.claimed(&a, "worker").await?;
        check!(cx, "FF-CLM-051", claimed.payload.execution_id, equals(id));
        a.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// Ended work is explained by how it ended, its deadline included.
///
/// Covers FF-CLM-051.
pub async fn explain_unclaimed_tells_how_work_ended(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 1000);
    let ended = [
        (completed(cx, &a).await?.payload.execution_id, TerminalOutcome::Success),
        (failed(cx, &a).await?.payload.execution_id, TerminalOutcome::Failed),
        (cancelled(cx, &a).await?.payload.execution_id, TerminalOutcome::Cancelled),
        (cx.created(&a, cx.execution()?.execution_deadline_at(deadline)).await?, TerminalOutcome::Expired),
    ];
    cx.set_time(deadline).await?;
    for (id, outcome) in ended {
        let answer = a.explain_unclaimed(&id, &nobody()).await;
        check!(cx, "FF-CLM-051", answer, answers(Some(UnclaimedReason::Ended { outcome })));
    }
    Ok(())
}

/// Held work is explained by its lease until that lapses, whatever the worker offers.
///
/// Covers FF-CLM-051.
pub async fn explain_unclaimed_tells_who_holds_the_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    let begin = cx.now().await?;
    let leased = |expires_at| UnclaimedReason::Leased {
        lease_epoch: LeaseEpoch(1),
        worker_instance_id: claimed.payload.worker_instance_id.clone(),
        expires_at,
    };
    check!(cx, "FF-CLM-051", a.explain_unclaimed(&id, &nobody()).await, answers(Some(leased(begin.plus(TTL)))));
    cx.pass_time(ms(1000)).await?;
    let renewed = a.renew(&claimed.handle).await?.expires_at;
    cx.set_time(before(renewed, 1)).await?;
    check!(cx, "FF-CLM-051", a.explain_unclaimed(&id, &nobody()).await, answers(Some(leased(renewed))));
    cx.set_time(renewed).await?;
    let answer = a.explain_unclaimed(&id, &nobody()).await;
    check!(cx, "FF-CLM-051", answer, answers(Some(UnclaimedReason::Claimable)));
    Ok(())
}

/// Work whose time has not come is explained by its instant and by what it waits for.
///
/// Covers FF-CLM-051.
pub async fn explain_unclaimed_tells_when_work_is_due(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let due = after(cx.now().await?, 1000);
    let mut waits = vec![(cx.created(&a, cx.execution()?.delay_until(due)).await?, BlockingReason::WaitingForDelay)];
    let parked = held(cx, &a).await?;
    a.delay(&parked.handle, due).await?;
    waits.push((parked.payload.execution_id, BlockingReason::WaitingForDelay));
    let broken = held_as(cx, &a, cx.execution()?.policy(retrying(3, 1000))).await?;
    a.fail(&broken.handle, ff_core::FailureReason::new("broken"), ff_core::FailureClass::Transient).await?;
    waits.push((broken.payload.execution_id, BlockingReason::WaitingForRetryBackoff));

    for now in [before(due, 1000), before(due, 1), due] {
        cx.set_time(now).await?;
        for (id, reason) in &waits {
            let delayed = UnclaimedReason::Delayed { due_at: due, reason: *reason };
            let expected = if now < due { delayed } else { UnclaimedReason::Claimable };
            check!(cx, "FF-CLM-051", a.explain_unclaimed(id, &nobody()).await, answers(Some(expected)));
        }
    }
    Ok(())
}

/// What the worker lacks is told in order, and only where nothing else keeps the work from it.
///
/// Covers FF-CLM-051.
pub async fn explain_unclaimed_tells_what_the_worker_lacks(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let required = CapabilitySet::try_new(["gpu", "arm", "eu"])?;
    let args = cx.execution()?.policy(ExecutionPolicy::new().required_capabilities(required.clone()));
    let id = cx.created(&a, args.delay_until(after(cx.now().await?, 1000))).await?;
    let lacks = |tokens: &[&str]| UnclaimedReason::MissingCapabilities {
        missing: tokens.iter().map(|token| (*token).to_owned()).collect(),
    };
    let delayed = a.explain_unclaimed(&id, &nobody()).await?;
    let is_delayed = matches!(delayed, Some(UnclaimedReason::Delayed { .. }));
    check!(cx, "FF-CLM-051", is_delayed, equals(true));

    cx.pass_time(ms(1000)).await?;
    check!(cx, "FF-CLM-051", a.explain_unclaimed(&id, &nobody()).await, answers(Some(lacks(&["arm", "eu", "gpu"]))));
    let some = CapabilitySet::try_new(["GPU", "eu", "x"])?;
    check!(cx, "FF-CLM-051", a.explain_unclaimed(&id, &some).await, answers(Some(lacks(&["arm", "gpu"]))));
    let answer = a.explain_unclaimed(&id, &required).await;
    check!(cx, "FF-CLM-051", answer, answers(Some(UnclaimedReason::Claimable)));
    Ok(())
}

/// The question writes nothing, and an execution that does not exist has no answer.
///
/// Covers FF-CLM-051, FF-ERR-002, FF-EXE-010.
pub async fn explain_unclaimed_only_looks(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let mut ids = BTreeSet::from([cx.created_plain(&a).await?]);
    let grant = granted(cx, &a, "worker").await?;
    ids.insert(grant.execution_id);
    ids.insert(held(cx, &a).await?.payload.execution_id);
    ids.insert(cx.created(&a, cx.execution()?.delay_until(after(cx.now().await?, 1000))).await?);
    cx.pass_time(TTL).await?;
    let written = cx.dump().await?;

    for client in [&a, &b] {
        for id in &ids {
            let answer = client.explain_unclaimed(id, &nobody()).await;
            check!(cx, "FF-CLM-051", answer, answers(Some(UnclaimedReason::Claimable)));
        }
        let unknown: ExecutionId = cx.execution()?.execution_id;
        check!(cx, "FF-ERR-002", client.explain_unclaimed(&unknown, &nobody()).await, answers(None));
    }
    check!(cx, "FF-EXE-010", cx.dump().await?, equals(written));
    Ok(())
}

/// Of several reasons the first in the order of the contract is told.
///
/// Covers FF-CLM-051.
pub async fn explain_unclaimed_tells_the_first_reason(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let gpu = CapabilitySet::try_new(["gpu"])?;
    let policy = ExecutionPolicy::new().required_capabilities(gpu.clone());
    let id = cx.created(&a, cx.execution()?.policy(policy)).await?;
    let claimed = cx.try_claim_offering(&a, "worker", TTL, &gpu).await?;
    let Some(claimed) = claimed else {
        check!(cx, "FF-CLM-051", claimed, crate::is_some());
        return Ok(());
    };
    let instance = WorkerInstanceId::try_new("worker-1").map_err(|error| crate::Stop::Errored(error.to_string()))?;
    let leased = UnclaimedReason::Leased {
        lease_epoch: LeaseEpoch(1),
        worker_instance_id: instance,
        expires_at: cx.now().await?.plus(TTL),
    };
    check!(cx, "FF-CLM-051", a.explain_unclaimed(&id, &nobody()).await, answers(Some(leased)));
    a.complete(&claimed.handle, None).await?;
    let ended = UnclaimedReason::Ended { outcome: TerminalOutcome::Success };
    check!(cx, "FF-CLM-051", a.explain_unclaimed(&id, &nobody()).await, answers(Some(ended)));
    Ok(())
}
