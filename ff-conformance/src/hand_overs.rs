//! Cases of the hand-over: a holder completes and takes its next piece of work in one step.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ff_core::{
    CapabilitySet, ClaimPolicy, EngineBackend, EngineError, ExecutionId, ExecutionPolicy, FailureClass, FailureReason,
    Handle, HandleKind, Limits, TimestampMs,
};
use futures::future::{join, join_all};

use crate::{
    Cx, Stop, TTL, Verdict, answers, check,
    crowds::{claim_order, clients, created_many},
    equals,
    facts::facts_of,
    forgeries::{damaged, foreign, naming},
    holders::code,
    instants::ms,
    is_none, refused,
    stages::{cancelled, held, lapsed, retrying},
    words::{COMPLETED, LEASED, completion_log, lease_log, reads, vector},
};

/// Longer than it takes until what a claim waits for has come.
const LONG: Duration = Duration::from_secs(30);

/// Completes with the result `done` and takes the next row, if there is one.
async fn handed_over(cx: &Cx, client: &Arc<dyn EngineBackend>, handle: &Handle) -> Result<Option<Handle>, Stop> {
    Ok(hand_over(client, handle, cx.worker("worker", TTL)?).await?)
}

/// Completes with the result `done` and claims as `policy` says, offering no capability.
pub(crate) async fn hand_over(
    client: &Arc<dyn EngineBackend>,
    handle: &Handle,
    policy: ClaimPolicy,
) -> Result<Option<Handle>, EngineError> {
    client.complete_and_claim(handle, Some(b"done".to_vec()), &CapabilitySet::default(), policy).await
}

/// The execution of a handle, if there is one.
pub(crate) fn taken(client: &Arc<dyn EngineBackend>, handle: Option<&Handle>) -> Result<Option<ExecutionId>, Stop> {
    let payload = handle.map(|handle| handle.decode(client.backend_label())).transpose()?;
    Ok(payload.map(|payload| payload.execution_id))
}

/// Two executions of the lane called `lane`, the first of them held.
async fn pair(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    lane: &str,
) -> Result<(ExecutionId, ExecutionId, Handle), Stop> {
    let first = cx.created(client, cx.execution_in(lane)?.priority(1)).await?;
    let second = cx.created(client, cx.execution_in(lane)?).await?;
    let (lane, none) = (cx.lane_called(lane)?, CapabilitySet::default());
    let claimed = client.claim(&lane, &none, cx.worker("worker", TTL)?).await?;
    Ok((first, second, claimed.ok_or_else(|| Stop::Errored("no work".to_owned()))?))
}

/// A hand-over leaves both executions as a complete and a claim leave them.
///
/// Covers FF-EXE-087.
pub async fn complete_and_claim_does_what_the_two_calls_do(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (one, two, handle) = pair(cx, &a, "calls").await?;
    let (three, four, fused) = pair(cx, &a, "fused").await?;
    cx.pass_time(ms(5)).await?;
    a.complete(&handle, Some(b"done".to_vec())).await?;
    let lane = cx.lane_called("calls")?;
    let next = a.claim(&lane, &CapabilitySet::default(), cx.worker("worker", TTL)?).await?;

    let handed = handed_over(cx, &a, &fused).await?;

    check!(cx, "FF-EXE-087", taken(&a, next.as_ref())?, equals(Some(two)));
    check!(cx, "FF-EXE-087", taken(&a, handed.as_ref())?, equals(Some(four)));
    check!(cx, "FF-EXE-087", vector(&cx.info(&a, &three).await?), reads(COMPLETED));
    check!(cx, "FF-EXE-087", vector(&cx.info(&a, &four).await?), reads(LEASED));
    for (found, expected) in [(three, one), (four, two)] {
        let expected = facts_of(cx, &a, &expected, TimestampMs::from_ms(0)).await?.in_lane("calls");
        let found = facts_of(cx, &a, &found, TimestampMs::from_ms(0)).await?.in_lane("fused");
        check!(cx, "FF-EXE-087", found.others(&expected), equals(Vec::new()));
    }
    let Some(handle) = handed else { return Err(Stop::Errored("no work".to_owned())) };
    check!(cx, "FF-EXE-087", a.complete(&handle, None).await, answers(()));
    Ok(())
}

/// A hand-over takes work of every kind: given back, to be retried, lapsed, and due.
///
/// Covers FF-EXE-087.
pub async fn complete_and_claim_takes_every_kind_of_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let delayed = held(cx, &a).await?;
    let lapsing = held(cx, &a).await?;
    let retried = crate::stages::held_as(cx, &a, cx.execution()?.policy(retrying(1, 0))).await?;
    cx.pass_time(TTL / 2).await?;
    let mut handle = held(cx, &a).await?.handle;
    let mut kinds = Vec::new();
    let order = [
        (delayed.payload.execution_id, HandleKind::Resumed),
        (retried.payload.execution_id, HandleKind::Fresh),
        (lapsing.payload.execution_id, HandleKind::Reclaimed),
    ];
    a.delay(&delayed.handle, cx.now().await?).await?;
    for step in 0..order.len() {
        match step {
            1 => drop(a.fail(&retried.handle, FailureReason::new("broken"), FailureClass::Transient).await?),
            2 => cx.pass_time(TTL / 2).await?,
            _ => {}
        }
        let Some(next) = handed_over(cx, &a, &handle).await? else { break };
        kinds.push((next.decode(a.backend_label())?.execution_id, next.kind()));
        handle = next;
    }
    check!(cx, "FF-EXE-087", kinds, equals(order.to_vec()));
    Ok(())
}

/// A hand-over stays in the lane of its handle, takes what the worker covers, and answers no work where there is none.
///
/// Covers FF-EXE-087.
pub async fn complete_and_claim_stays_in_its_lane(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    cx.created(&a, cx.execution_in("another")?.priority(9000)).await?;
    let gpu = CapabilitySet::try_new(["gpu"])?;
    let policy = ExecutionPolicy::new().required_capabilities(gpu.clone());
    let special = cx.created(&a, cx.execution()?.policy(policy)).await?;

    check!(cx, "FF-EXE-087", handed_over(cx, &a, &claimed.handle).await?, is_none());
    check!(cx, "FF-EXE-087", completion_log(&cx.dump().await?, &claimed.payload.execution_id), reads("success"));
    let (handle, worker) = (&claimed.handle, cx.worker("worker", TTL)?);
    let next = a.complete_and_claim(handle, None, &gpu, worker).await?;
    check!(cx, "FF-EXE-087", taken(&a, next.as_ref())?, equals(Some(special)));
    Ok(())
}

/// Whatever refuses the complete, nothing is taken and nothing changes.
///
/// Covers FF-EXE-088.
pub async fn a_refused_complete_and_claim_takes_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let stale = lapsed(cx, &a).await?;
    let current = cx.claimed(&a, "other").await?;
    let ended = cancelled(cx, &a).await?;
    cx.created_plain(&a).await?;
    let late = cx.claimed_for(&a, "worker", ms(1)).await?;
    cx.pass_time(ms(1)).await?;
    cx.created(&a, cx.execution()?.priority(9)).await?;
    let written = cx.dump().await?;
    let mut refusals = Vec::new();
    for handle in [
        damaged(&current).swap_remove(1),
        foreign(&current)?.swap_remove(2),
        naming(&current, cx.execution()?.execution_id),
        stale.handle,
        late.handle,
        ended.handle,
    ] {
        refusals.push(code(&hand_over(&a, &handle, cx.worker("worker", TTL)?).await));
    }
    let codes = [
        "Validation(Corruption)",
        "Validation(HandleFromOtherBackend)",
        "NotFound(Execution)",
        "State(StaleLease)",
        "State(LeaseExpired)",
        "Contention(ExecutionNotActive)",
    ];
    check!(cx, "FF-EXE-088", refusals, equals(codes.map(str::to_owned).to_vec()));
    let zero = hand_over(&a, &current.handle, cx.worker("worker", ms(0))?).await;
    check!(cx, "FF-EXE-088", zero, refused("Validation(InvalidInput)"));
    let (large, worker) = (vec![0; Limits::PAYLOAD_BYTES + 1], cx.worker("worker", TTL)?);
    let large = a.complete_and_claim(&current.handle, Some(large), &CapabilitySet::default(), worker).await;
    check!(cx, "FF-EXE-088", large, refused("Validation(PayloadTooLarge)"));
    check!(cx, "FF-EXE-088", cx.dump().await?, equals(written));
    Ok(())
}

/// Hand-overs that are refused at the same time take nothing, and hide nothing from the next claim.
///
/// Covers FF-EXE-088, FF-CLM-001.
pub async fn hand_overs_refused_at_once_hide_no_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut ready: BTreeSet<_> = created_many(cx, &a, 12, |_, args| args).await?.into_iter().collect();
    // A backend that remembers where the work of a lane begins has reason to by now.
    cx.pass_time(ms(5_000)).await?;
    let mut ended = Vec::new();
    for _ in 0..8 {
        let claimed = cx.claimed(&a, "worker").await?;
        a.cancel(&claimed.handle, "no longer wanted").await?;
        ready.remove(&claimed.payload.execution_id);
        ended.push(claimed.handle);
    }

    let refusals = join_all(ended.iter().map(|handle| handed_over(cx, &a, handle))).await;

    check!(cx, "FF-EXE-088", refusals.iter().filter(|refusal| refusal.is_err()).count(), equals(8));
    check!(cx, "FF-CLM-001", claim_order(cx, &a, 12).await?, equals(ready.into_iter().collect()));
    Ok(())
}

/// A repeated hand-over changes nothing about the completed execution and takes the row behind the first.
///
/// Covers FF-EXE-089.
pub async fn a_repeated_complete_and_claim_takes_another_row(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let id = claimed.payload.execution_id;
    let first = cx.created(&a, cx.execution()?.priority(1)).await?;
    let second = cx.created_plain(&a).await?;
    let next = handed_over(cx, &a, &claimed.handle).await?;
    check!(cx, "FF-EXE-089", taken(&a, next.as_ref())?, equals(Some(first)));
    let info = cx.info(&a, &id).await?;
    cx.pass_time(ms(5)).await?;

    let (none, worker) = (CapabilitySet::default(), cx.worker("worker", TTL)?);
    let again = a.complete_and_claim(&claimed.handle, Some(b"other".to_vec()), &none, worker).await?;

    check!(cx, "FF-EXE-089", taken(&a, again.as_ref())?, equals(Some(second)));
    check!(cx, "FF-EXE-089", cx.info(&a, &id).await?, equals(info));
    check!(cx, "FF-EXE-089", a.get_execution_result(&id).await?, equals(Some(b"done".to_vec())));
    check!(cx, "FF-EXE-089", lease_log(&cx.dump().await?, &id), reads("acquired 1, released 1 completed"));
    Ok(())
}

/// A hand-over that may wait takes the work that comes, and answers no work when its wait is over.
///
/// Covers FF-EXE-087.
pub async fn complete_and_claim_waits_for_work(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let claimed = held(cx, &a).await?;
    let brief = cx.worker("worker", TTL)?.max_wait(ms(60));
    check!(cx, "FF-EXE-087", hand_over(&a, &claimed.handle, brief).await?, is_none());
    let claimed = held(cx, &a).await?;
    let create = async {
        for _ in 0..20 {
            b.ping().await?;
        }
        cx.created_plain(&b).await
    };

    let (next, created) = join(hand_over(&a, &claimed.handle, cx.worker("worker", TTL)?.max_wait(LONG)), create).await;

    check!(cx, "FF-EXE-087", taken(&a, next?.as_ref())?, equals(Some(created?)));
    Ok(())
}

/// Works a lane off by hand-overs alone.
async fn drain(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Vec<ExecutionId>, Stop> {
    let mut done = Vec::new();
    let mut next = client.claim(&cx.lane()?, &CapabilitySet::default(), cx.worker("worker", TTL)?).await?;
    while let Some(handle) = next {
        done.extend(taken(client, Some(&handle))?);
        next = handed_over(cx, client, &handle).await?;
    }
    Ok(done)
}

/// Workers that hand over at the same time work a lane off: each row goes to one of them, and all complete.
///
/// Covers FF-EXE-087, FF-CLM-004.
pub async fn complete_and_claim_at_once_works_a_lane_off(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    let created: BTreeSet<_> = created_many(cx, a, 60, |_, args| args).await?.into_iter().collect();
    let mut done = Vec::new();
    // A lost race is no work, so a worker may stop early.
    for _ in 0..20 {
        for own in join_all(clients.iter().map(|client| drain(cx, client))).await {
            done.extend(own?);
        }
        if done.len() >= created.len() {
            break;
        }
    }
    check!(cx, "FF-CLM-004", done.len(), equals(60));
    check!(cx, "FF-EXE-087", done.into_iter().collect::<BTreeSet<_>>(), equals(created));
    check!(cx, "FF-EXE-087", cx.dump().await?.completions.len(), equals(60));
    Ok(())
}
