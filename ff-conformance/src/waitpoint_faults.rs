//! Cases of suspended work that meets faults, other writers and the count of its round trips.

use std::{sync::Arc, time::Duration};

use ff_core::{
    CancelExecutionArgs, CapabilitySet, ClaimPolicy, DeliverSignalResult, EngineBackend, EngineError, ExecutionPolicy,
    LaneId, ListPendingWaitpointsArgs, Operation, PageLimit, Repeat, ResumeExecutionArgs, ResumeExecutionResult,
    RotateWaitpointHmacSecretAllArgs, SuspendArgs, SuspendOutcome, SuspensionId, SuspensionReasonCode, TimeoutBehavior,
    TimestampMs, WaitpointBinding, WaitpointId, WorkerId, WorkerInstanceId,
};
use futures::future::join_all;

use crate::{
    Claimed, Cx, Fault, Stop, TTL, Verdict,
    calls::Answer,
    check, equals,
    instants::{after, ms},
    is_ok, is_true,
    round_trips::{CALLS, counted, one_each},
    satisfies,
    suspensions::{Door, Suspended, any_at, first_key, kid, secret, seeded, suspended, suspended_with, times_out},
    trials::{self, FAULTS, all_answer, meets, struck},
    words::{completion_log, lease_log, reads, signal_log},
};

/// A suspension whose ids follow from the lease, so that a repeat brings the same.
fn suspension(held: &Claimed) -> SuspendArgs {
    let fence = held.payload.fence;
    let waitpoint_id = WaitpointId::from_uuid(fence.lease_id.as_uuid());
    let binding = WaitpointBinding::Fresh { waitpoint_id, waitpoint_key: "a".to_owned() };
    let suspension_id = SuspensionId::from_uuid(fence.attempt_id.as_uuid());
    SuspendArgs::new(suspension_id, vec![binding], any_at("a"), SuspensionReasonCode::WaitingForSignal)
}

fn suspend(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<bool> {
    Box::pin(async move {
        let outcome = client.suspend(&held.handle, suspension(&held)).await?;
        Ok(matches!(outcome, SuspendOutcome::Suspended { .. }))
    })
}

fn suspend_by_triple(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<bool> {
    Box::pin(async move {
        let (id, fence) = (held.payload.execution_id, held.payload.fence);
        let outcome = client.suspend_by_triple(id, fence, suspension(&held)).await?;
        Ok(matches!(outcome, SuspendOutcome::Suspended { .. }))
    })
}

fn create_waitpoint(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<TimestampMs> {
    Box::pin(async move {
        let pending = client.create_waitpoint(&held.handle, "p", Duration::from_secs(60)).await?;
        Ok(pending.expires_at)
    })
}

fn resume(client: Arc<dyn EngineBackend>, old: Suspended) -> Answer<ResumeExecutionResult> {
    Box::pin(async move { client.resume_execution(ResumeExecutionArgs::new(old.id(), "reviewed")).await })
}

/// A suspend that meets any fault on its way is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, waitpoints.
pub async fn suspend_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in FAULTS {
        let trial = trials::held(cx, ExecutionPolicy::new()).await?;
        seeded(cx, &cx.client("direct").await?).await?;
        let told = meets(cx, &trial, fault, Repeat::of(Operation::Suspend), suspend).await?;
        check!(cx, "FF-DUR-003", told.repeats, all_answer(told.first));
    }
    Ok(())
}

/// A suspend by the fence of a lease that meets any fault on its way is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, waitpoints.
pub async fn suspend_by_triple_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in FAULTS {
        let trial = trials::held(cx, ExecutionPolicy::new()).await?;
        seeded(cx, &cx.client("direct").await?).await?;
        let told = meets(cx, &trial, fault, Repeat::of(Operation::SuspendByTriple), suspend_by_triple).await?;
        check!(cx, "FF-DUR-003", told.repeats, all_answer(told.first));
    }
    Ok(())
}

/// A waitpoint whose opening meets any fault on its way is opened once.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, waitpoints.
pub async fn create_waitpoint_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in FAULTS {
        let trial = trials::held(cx, ExecutionPolicy::new()).await?;
        seeded(cx, &cx.client("direct").await?).await?;
        let told = meets(cx, &trial, fault, Repeat::of(Operation::CreateWaitpoint), create_waitpoint).await?;
        check!(cx, "FF-DUR-003", told.repeats, all_answer(told.first));
    }
    Ok(())
}

/// An operator's resume that meets any fault on its way is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, waitpoints.
pub async fn resume_execution_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in FAULTS {
        let trial = trials::suspended(cx).await?;
        let told = meets(cx, &trial, fault, Repeat::of(Operation::ResumeExecution), resume).await?;
        check!(cx, "FF-DUR-003", told.repeats, all_answer(told.first));
    }
    Ok(())
}

/// Completes the execution that was resumed.
async fn completed(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<(), Stop> {
    let claimed = cx.claimed(client, "next").await?;
    Ok(client.complete(&claimed.handle, None).await?)
}

/// A delivery that meets any fault on its way is repeated: the signal is there once, and a repeat of one that arrived is
/// told as a repeat.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-WPT-008. Needs address, clock, dump, waitpoints.
pub async fn deliver_signal_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in FAULTS {
        let (faulty, proxy) = cx.proxied("faulty").await?;
        let direct = cx.client("direct").await?;
        // Statement, connection and keys are warm when the fault strikes.
        faulty.deliver_signal(suspended(cx, &direct).await?.signal()?).await?;
        completed(cx, &direct).await?;
        let old = suspended(cx, &direct).await?;
        let signal = old.signal()?;
        let broken = struck(&proxy, fault, faulty.deliver_signal(signal.clone())).await;
        check!(cx, "FF-DUR-002", broken.is_none_or(|answer| answer.is_err()), is_true());
        let arrived = matches!(fault, Fault::DropReply | Fault::SwallowReply);
        let log = if arrived { "satisfied" } else { "" };
        check!(cx, "FF-DUR-004", signal_log(&cx.dump().await?, &old.id()), reads(log));
        let repeated = direct.deliver_signal(signal.clone()).await?;
        let duplicate = DeliverSignalResult::Duplicate { existing_signal_id: signal.signal_id };
        check!(cx, "FF-DUR-003", repeated == duplicate, equals(arrived));
        let log = if arrived { "satisfied, deduped" } else { "satisfied" };
        check!(cx, "FF-DUR-003", signal_log(&cx.dump().await?, &old.id()), reads(log));
        check!(cx, "FF-WPT-008", direct.observe_signals(&old.receipt).await?.len(), equals(1));
        completed(cx, &direct).await?;
    }
    Ok(())
}

/// Seeding and rotating meet any fault on their way and, repeated, leave one key each.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-WPT-017. Needs address, clock, dump, waitpoints.
pub async fn keys_changed_again_after_a_fault_are_changed_once(cx: &Cx) -> Verdict {
    let direct = cx.client("direct").await?;
    direct.seed_waitpoint_hmac_secret(first_key(cx)?).await?;
    for (number, fault) in FAULTS.into_iter().enumerate() {
        let (faulty, proxy) = cx.proxied("faulty").await?;
        let name = kid(&format!("warm{number}"))?;
        let warm = RotateWaitpointHmacSecretAllArgs::new(name, secret(cx, 0xa0)?, ms(0));
        faulty.rotate_waitpoint_hmac_secret_all(warm).await?;
        let byte = 0xb0 + u8::try_from(number).unwrap_or_default();
        let rotation = || -> Result<_, Stop> {
            let name = kid(&format!("k{number}"))?;
            Ok(RotateWaitpointHmacSecretAllArgs::new(name, secret(cx, byte)?, ms(1000)))
        };
        let (lost, again) = (rotation()?, rotation()?);
        let broken = struck(&proxy, fault, faulty.rotate_waitpoint_hmac_secret_all(lost)).await;
        check!(cx, "FF-DUR-002", broken.is_none_or(|answer| answer.is_err()), is_true());
        check!(cx, "FF-DUR-003", direct.rotate_waitpoint_hmac_secret_all(again).await, is_ok());
        let written = cx.dump().await?;
        check!(cx, "FF-DUR-003", direct.rotate_waitpoint_hmac_secret_all(rotation()?).await, is_ok());
        check!(cx, "FF-WPT-017", cx.dump().await?, equals(written));
    }
    Ok(())
}

/// What ends a suspension, by whom.
async fn ends(client: Arc<dyn EngineBackend>, old: Suspended, how: usize) -> Result<&'static str, EngineError> {
    let id = old.id();
    match how {
        0 => {
            let args = old.signal().map_err(|_| EngineError::corrupt("no waitpoint"))?;
            client.deliver_signal(args).await.map(|_| "signal")
        }
        1 => client.resume_execution(ResumeExecutionArgs::new(id, "reviewed")).await.map(|_| "operator"),
        2 => client.cancel_execution(CancelExecutionArgs::new(id, "unwanted")).await.map(|_| "cancel"),
        _ => {
            let scan = ff_core::ScanArgs::new(ff_core::ScannerKind::SuspensionTimeout);
            client.scan(scan).await.map(|_| "scan")
        }
    }
}

/// What was told of one execution fits one end of its suspension.
async fn one_end(cx: &Cx, old: &Suspended, answers: &[Result<&'static str, EngineError>]) -> Verdict {
    let (id, dump) = (old.id(), cx.dump().await?);
    let (told, log) = (signal_log(&dump, &id), completion_log(&dump, &id));
    let ended: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).copied().collect();
    // An operator's resume may be repeated; signals are all different.
    let signals = ended.iter().filter(|how| **how == "signal").count();
    let resumed = signals + usize::from(ended.contains(&"operator"));
    check!(cx, "FF-WPT-004", (&ended, resumed), satisfies("one resume at most", |got: &(&Vec<_>, usize)| got.1 <= 1));
    let satisfied = told.matches("satisfied").count();
    check!(
        cx,
        "FF-WPT-004",
        (satisfied, ended.contains(&"signal")),
        satisfies("a signal that ended it", |got: &(usize, bool)| { got.0 == usize::from(got.1) })
    );
    check!(cx, "FF-WPT-004", log.matches(", ").count(), equals(0));
    check!(cx, "FF-WPT-004", lease_log(&dump, &id), reads("acquired 1, released 1 suspend"));
    check!(
        cx,
        "FF-WPT-009",
        crate::suspensions::open_at(&cx.client("direct").await?, &id).await?,
        equals(String::new())
    );
    Ok(())
}

/// Signals, an operator, a cancel and a scan that meet at one suspension have one winner; the others learn that it is
/// over.
///
/// Covers FF-WPT-004, FF-WPT-009. Needs clock, dump, operator_control, scanners, waitpoints.
pub async fn a_suspension_that_many_end_at_once_ends_once(cx: &Cx) -> Verdict {
    let direct = cx.client("direct").await?;
    let clients = crate::crowds::clients(cx, 4).await?;
    for round in 0..6 {
        let end = after(cx.now().await?, 1000);
        let behavior = TimeoutBehavior::ALL[round % TimeoutBehavior::ALL.len()];
        let behavior = if behavior == TimeoutBehavior::Escalate { TimeoutBehavior::Fail } else { behavior };
        let old = suspended_with(cx, &direct, times_out(end, behavior)).await?;
        if round % 2 == 1 {
            cx.set_time(end).await?;
        }
        let calls = clients.iter().enumerate().flat_map(|(number, client)| {
            let (old, client) = (&old, client);
            (0..3).map(move |step| ends(Arc::clone(client), old.clone(), (number + step) % 4))
        });
        let answers = join_all(calls.collect::<Vec<_>>()).await;
        one_end(cx, &old, &answers).await?;
        if !cx.info(&direct, &old.id()).await?.state.lifecycle_phase.as_str().starts_with("terminal") {
            direct.cancel_execution(CancelExecutionArgs::new(old.id(), "done")).await?;
        }
    }
    Ok(())
}

/// What waited behind another writer at a suspension decides by what that one left.
///
/// Covers FF-WPT-004, FF-CON-001. Needs hold, clock, dump, operator_control, waitpoints.
pub async fn who_waited_at_a_suspension_meets_what_was_left(cx: &Cx) -> Verdict {
    cx.hold()?;
    let direct = cx.client("direct").await?;
    let clients = crate::crowds::clients(cx, 3).await?;
    for first in 0..3 {
        let old = suspended(cx, &direct).await?;
        let hold = cx.hold()?.hold(&old.id()).await?;
        let mut waiting = Vec::new();
        for (number, client) in clients.iter().enumerate() {
            let how = (first + number) % 3;
            waiting.push(tokio::spawn(ends(Arc::clone(client), old.clone(), how)));
            let count = u64::try_from(number + 1).unwrap_or_default();
            let all = || async { Ok(hold.waiting().await? >= count) };
            cx.eventually("a write waits behind the hold", Duration::from_secs(30), all).await?;
        }
        hold.release().await?;
        let mut answers = Vec::new();
        for task in waiting {
            answers.push(task.await.map_err(|error| Stop::Errored(format!("a call of the case: {error}")))?);
        }
        one_end(cx, &old, &answers).await?;
        check!(cx, "FF-CON-001", answers.iter().any(Result::is_ok), is_true());
        direct.cancel_execution(CancelExecutionArgs::new(old.id(), "done")).await?;
    }
    Ok(())
}

/// As many suspended executions as there are calls.
async fn made(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Vec<Suspended>, Stop> {
    let mut made = Vec::new();
    for _ in 0..CALLS {
        made.push(suspended(cx, client).await?);
    }
    Ok(made)
}

/// A suspend, a delivery and the claim that goes on: three round trips.
fn cycle(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<bool> {
    Box::pin(async move {
        let outcome = client.suspend(&held.handle, suspension(&held)).await?;
        let SuspendOutcome::Suspended { details, .. } = outcome else { return Ok(false) };
        let door = Door {
            execution_id: held.payload.execution_id,
            waitpoint_id: details.waitpoint_id,
            token: details.waitpoint_token,
        };
        client.deliver_signal(door.signal("go")).await?;
        let (worker, lane): (WorkerId, LaneId) = (WorkerId::try_new("next")?, held.payload.lane_id);
        let policy = ClaimPolicy::new(worker, WorkerInstanceId::try_new("next-1")?, TTL);
        Ok(client.claim(&lane, &CapabilitySet::default(), policy).await?.is_some())
    })
}

/// Each operation on a suspension is one request and one reply once it is warm; to suspend, signal and claim again
/// takes three.
///
/// Covers FF-CON-004. Needs address, waitpoints.
pub async fn operations_on_a_suspension_cost_one_round_trip(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    let client = Arc::clone(&counted.client);
    seeded(cx, &client).await?;
    let held = counted.held(cx, ExecutionPolicy::new()).await?;
    check!(
        cx,
        "FF-CON-004",
        counted.turns(cx, Operation::CreateWaitpoint, held.clone(), create_waitpoint).await?,
        one_each()
    );
    check!(cx, "FF-CON-004", counted.turns(cx, Operation::Suspend, held, suspend).await?, one_each());
    let held = counted.held(cx, ExecutionPolicy::new()).await?;
    let turns = counted.turns(cx, Operation::SuspendByTriple, held, suspend_by_triple).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    let turns = counted.turns(cx, Operation::DeliverSignal, made(cx, &client).await?, |client, old: Suspended| {
        Box::pin(async move {
            let signal = old.signal().map_err(|_| EngineError::corrupt("no waitpoint"))?;
            client.deliver_signal(signal).await
        })
    });
    check!(cx, "FF-CON-004", turns.await?, one_each());
    let turns = counted.turns(cx, Operation::ResumeExecution, made(cx, &client).await?, resume).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    let old = made(cx, &client).await?;
    let turns = counted.turns(cx, Operation::ObserveSignals, old.clone(), |client, old: Suspended| {
        Box::pin(async move { client.observe_signals(&old.receipt).await })
    });
    check!(cx, "FF-CON-004", turns.await?, one_each());
    let turns = counted.turns(cx, Operation::ListSuspended, old.clone(), |client, _: Suspended| {
        Box::pin(async move { client.list_suspended(None, PageLimit::MAX).await })
    });
    check!(cx, "FF-CON-004", turns.await?, one_each());
    let turns = counted.turns(cx, Operation::ListPendingWaitpoints, old, |client, old: Suspended| {
        Box::pin(async move { client.list_pending_waitpoints(ListPendingWaitpointsArgs::new(old.id())).await })
    });
    check!(cx, "FF-CON-004", turns.await?, one_each());
    Ok(())
}

/// To suspend, to signal and to claim again takes three round trips.
///
/// Covers FF-CON-004. Needs address, waitpoints.
pub async fn suspend_signal_and_claim_cost_three_round_trips(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    seeded(cx, &counted.client).await?;
    let held = counted.held(cx, ExecutionPolicy::new()).await?;
    let turns = counted.cost(held, cycle).await?;
    cx.measure("round_trips.suspend_signal_claim", turns.iter().copied().max().unwrap_or_default());
    check!(cx, "FF-CON-004", turns, equals(vec![3; CALLS - 1]));
    Ok(())
}
