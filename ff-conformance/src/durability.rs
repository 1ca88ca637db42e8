//! Cases of lost replies: a call that meets a fault on its way and is repeated ends as one call.

use std::{fmt::Debug, sync::Arc, time::Duration};

use ff_core::{
    Backoff, CapabilitySet, CreateExecutionResult, EngineBackend, EngineError, ExecutionId, ExecutionPolicy, Handle,
    HandleKind, LeaseEpoch, LeaseEventKind, Operation, PrepareOutcome, PublicState, Repeat, RetryPolicy,
};

use crate::{
    Claimed, Cx, Expect, Fault, Stop, TTL, Verdict, answers,
    calls::{
        Answer, Call, cancel, complete, complete_many, create, create_many, delay, fail, progress, renew, renew_many,
        wait_children,
    },
    check, equals, is_none, is_ok, refused, satisfies,
    trials::{AFTER, BEFORE, FAULTS, all_answer, held, is_lost, meets, planned, struck},
};

fn plain() -> ExecutionPolicy {
    ExecutionPolicy::new()
}

/// Three retries, each a minute after its failure.
fn retrying() -> ExecutionPolicy {
    let backoff = Backoff::Fixed { delay_ms: 60_000 };
    ExecutionPolicy::new().retry(RetryPolicy { backoff, ..RetryPolicy::default() })
}

/// What `call` of a holder answers when it meets `fault`: the answer of one call, and those of the repeats.
async fn told<T: Debug>(
    cx: &Cx,
    operation: Operation,
    policy: ExecutionPolicy,
    fault: Fault,
    call: Call<Claimed, T>,
) -> Result<(T, Vec<Result<T, EngineError>>), Stop> {
    let trial = held(cx, policy).await?;
    let told = meets(cx, &trial, fault, Repeat::of(operation), call).await?;
    Ok((told.first, told.repeats))
}

/// A `progress` whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, progress.
pub async fn progress_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Progress, plain(), Fault::DropReply, progress).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `progress` that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, progress.
pub async fn progress_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Progress, plain(), Fault::Reset, progress).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `progress` whose caller was killed after its request left, before or after it arrived, is repeated by another
/// client and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004. Needs address, clock, dump, progress.
pub async fn progress_repeated_after_its_caller_was_killed_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in [Fault::Swallow, Fault::SwallowReply] {
        let (first, repeats) = told(cx, Operation::Progress, plain(), fault, progress).await?;
        check!(cx, "FF-DUR-003", repeats, all_answer(first));
    }
    Ok(())
}

/// A `renew` whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn renew_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Renew, plain(), Fault::DropReply, renew).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `renew` that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn renew_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Renew, plain(), Fault::Reset, renew).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `renew` whose caller was killed after its request left, before or after it arrived, is repeated by another
/// client and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004. Needs address, clock, dump.
pub async fn renew_repeated_after_its_caller_was_killed_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in [Fault::Swallow, Fault::SwallowReply] {
        let (first, repeats) = told(cx, Operation::Renew, plain(), fault, renew).await?;
        check!(cx, "FF-DUR-003", repeats, all_answer(first));
    }
    Ok(())
}

/// A `complete` whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn complete_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Complete, plain(), Fault::DropReply, complete).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `complete` that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn complete_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Complete, plain(), Fault::Reset, complete).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `complete` whose caller was killed after its request left, before or after it arrived, is repeated by another
/// client and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004. Needs address, clock, dump.
pub async fn complete_repeated_after_its_caller_was_killed_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in [Fault::Swallow, Fault::SwallowReply] {
        let (first, repeats) = told(cx, Operation::Complete, plain(), fault, complete).await?;
        check!(cx, "FF-DUR-003", repeats, all_answer(first));
    }
    Ok(())
}

/// A `fail` that schedules a retry whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn fail_with_a_retry_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Fail, retrying(), Fault::DropReply, fail).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `fail` that schedules a retry that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn fail_with_a_retry_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Fail, retrying(), Fault::Reset, fail).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `fail` that schedules a retry whose caller was killed after its request left, before or after it arrived, is repeated by another
/// client and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004. Needs address, clock, dump.
pub async fn fail_with_a_retry_repeated_after_its_caller_was_killed_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in [Fault::Swallow, Fault::SwallowReply] {
        let (first, repeats) = told(cx, Operation::Fail, retrying(), fault, fail).await?;
        check!(cx, "FF-DUR-003", repeats, all_answer(first));
    }
    Ok(())
}

/// A `fail` without a retry whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn fail_for_good_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Fail, plain(), Fault::DropReply, fail).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `fail` without a retry that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn fail_for_good_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Fail, plain(), Fault::Reset, fail).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `fail` without a retry whose caller was killed after its request left, before or after it arrived, is repeated by another
/// client and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004. Needs address, clock, dump.
pub async fn fail_for_good_repeated_after_its_caller_was_killed_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in [Fault::Swallow, Fault::SwallowReply] {
        let (first, repeats) = told(cx, Operation::Fail, plain(), fault, fail).await?;
        check!(cx, "FF-DUR-003", repeats, all_answer(first));
    }
    Ok(())
}

/// A `cancel` whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn cancel_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Cancel, plain(), Fault::DropReply, cancel).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `cancel` that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn cancel_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Cancel, plain(), Fault::Reset, cancel).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A `cancel` whose caller was killed after its request left, before or after it arrived, is repeated by another
/// client and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004. Needs address, clock, dump.
pub async fn cancel_repeated_after_its_caller_was_killed_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in [Fault::Swallow, Fault::SwallowReply] {
        let (first, repeats) = told(cx, Operation::Cancel, plain(), fault, cancel).await?;
        check!(cx, "FF-DUR-003", repeats, all_answer(first));
    }
    Ok(())
}

/// A `delay` that meets any fault on its way is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn delay_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in FAULTS {
        let (first, repeats) = told(cx, Operation::Delay, plain(), fault, delay).await?;
        check!(cx, "FF-DUR-003", repeats, all_answer(first));
    }
    Ok(())
}

/// A batch of completions whose reply was lost, that a reset kept from the store, or whose caller was killed, is
/// repeated and ends as one.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, batches.
pub async fn complete_many_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in [Fault::DropReply, Fault::Reset, Fault::Swallow, Fault::SwallowReply] {
        let call = |client, held| complete_many(client, vec![held]);
        let (first, repeats) = told(cx, Operation::CompleteMany, plain(), fault, call).await?;
        check!(cx, "FF-DUR-003", repeats, all_answer(first));
    }
    Ok(())
}

/// A `wait_children` that meets any fault on its way is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn wait_children_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in FAULTS {
        let (first, repeats) = told(cx, Operation::WaitChildren, plain(), fault, wait_children).await?;
        check!(cx, "FF-DUR-003", repeats, all_answer(first));
    }
    Ok(())
}

/// A batch of renewals whose reply was lost, that a reset kept from the store, or whose caller was killed, is repeated
/// and ends as one.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, batches.
pub async fn renew_many_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in [Fault::DropReply, Fault::Reset, Fault::Swallow, Fault::SwallowReply] {
        let call = |client, held| renew_many(client, vec![held]);
        let (first, repeats) = told(cx, Operation::RenewMany, plain(), fault, call).await?;
        check!(cx, "FF-DUR-003", repeats, all_answer(first));
    }
    Ok(())
}

/// A batch of creates that met a fault is repeated: the repeats name the first, and there is one execution.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump, batches.
pub async fn create_executions_repeated_after_a_fault_ends_as_one_call(cx: &Cx) -> Verdict {
    for fault in [Fault::DropReply, Fault::Reset, Fault::Swallow, Fault::SwallowReply] {
        let trial = planned(cx).await?;
        let call = |client, args| create_many(client, vec![args]);
        let told = meets(cx, &trial, fault, Repeat::of(Operation::CreateExecutions), call).await?;
        let nothing = || Err(EngineError::corrupt("an item without an answer"));
        let repeats = told.repeats.into_iter().map(|answer| answer?.pop().unwrap_or_else(nothing));
        let (repeats, id): (Vec<_>, _) = (repeats.collect(), trial.struck());
        match fault {
            Fault::Reset | Fault::Swallow => check!(cx, "FF-DUR-003", repeats, create_then_duplicate(id)),
            _ => {
                let duplicate = CreateExecutionResult::Duplicate { execution_id: id };
                check!(cx, "FF-DUR-003", repeats, all_answer(duplicate));
            }
        }
    }
    Ok(())
}

/// A create whose reply was lost is repeated: the repeat names the first, and there is one execution.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn create_execution_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = planned(cx).await?;
    let told = meets(cx, &trial, Fault::DropReply, Repeat::of(Operation::CreateExecution), create).await?;
    check!(
        cx,
        "FF-DUR-003",
        told.repeats,
        all_answer(CreateExecutionResult::Duplicate { execution_id: trial.struck() })
    );
    Ok(())
}

/// A create that a reset kept from the store makes nothing; repeated, it makes one execution.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn create_execution_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = planned(cx).await?;
    let told = meets(cx, &trial, Fault::Reset, Repeat::of(Operation::CreateExecution), create).await?;
    check!(cx, "FF-DUR-003", told.repeats, create_then_duplicate(trial.struck()));
    Ok(())
}

/// A create whose caller was killed after its request left is repeated by another client: there is one execution.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004. Needs address, clock, dump.
pub async fn create_execution_repeated_after_its_caller_was_killed_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = planned(cx).await?;
    let told = meets(cx, &trial, Fault::SwallowReply, Repeat::of(Operation::CreateExecution), create).await?;
    check!(
        cx,
        "FF-DUR-003",
        told.repeats,
        all_answer(CreateExecutionResult::Duplicate { execution_id: trial.struck() })
    );
    let trial = planned(cx).await?;
    let told = meets(cx, &trial, Fault::Swallow, Repeat::of(Operation::CreateExecution), create).await?;
    check!(cx, "FF-DUR-003", told.repeats, create_then_duplicate(trial.struck()));
    Ok(())
}

/// The first repeat creates, the others name what it created.
fn create_then_duplicate(execution_id: ExecutionId) -> impl Expect<Vec<Result<CreateExecutionResult, EngineError>>> {
    let created = CreateExecutionResult::Created { execution_id, public_state: PublicState::Waiting };
    let duplicate = CreateExecutionResult::Duplicate { execution_id };
    satisfies(
        format!("answer {created:?}, then {duplicate:?}"),
        move |got: &Vec<Result<CreateExecutionResult, EngineError>>| {
            let wanted = std::iter::once(&created).chain(std::iter::repeat(&duplicate));
            !got.is_empty() && got.iter().zip(wanted).all(|(got, wanted)| got.as_ref().is_ok_and(|got| got == wanted))
        },
    )
}

/// A caller that lost the reply to its create, and the id with it, creates again under the same idempotency key and
/// is told of the first.
///
/// Covers FF-DUR-003, FF-ERR-018, FF-EXE-012. Needs address, dump.
pub async fn create_execution_repeated_under_its_key_with_another_id_names_the_first(cx: &Cx) -> Verdict {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    cx.created(&faulty, cx.execution()?.idempotency_key("warm")).await?;
    let lost = cx.execution()?.idempotency_key("order-17");
    let execution_id = lost.execution_id;
    let broken = struck(&proxy, Fault::DropReply, faulty.create_execution(lost)).await;
    check!(cx, "FF-ERR-018", broken, is_lost(AFTER));
    let written = cx.dump().await?.lines;

    let answer = faulty.create_execution(cx.execution()?.idempotency_key("order-17")).await;

    check!(cx, "FF-EXE-012", answer, answers(CreateExecutionResult::Duplicate { execution_id }));
    check!(cx, "FF-DUR-003", cx.dump().await?.lines, equals(written));
    Ok(())
}

/// A prepare whose reply was lost is repeated and finds the store as one prepare left it.
///
/// Covers FF-DUR-003, FF-ERR-018. Needs address, dump.
pub async fn prepare_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    faulty.prepare().await?;
    let written = cx.dump().await?.lines;
    let broken = struck(&proxy, Fault::DropReply, faulty.prepare()).await;

    let repeat = faulty.prepare().await;

    check!(cx, "FF-ERR-018", broken, is_lost(BEFORE));
    check!(cx, "FF-DUR-003", repeat, answers(PrepareOutcome::NoOp));
    check!(cx, "FF-DUR-003", cx.dump().await?.lines, equals(written));
    Ok(())
}

/// A shutdown succeeds while the store is out of reach, again when it is repeated, and writes nothing.
///
/// Covers FF-DUR-003. Needs address, dump.
pub async fn shutdown_prepare_succeeds_and_repeats_while_the_store_is_out_of_reach(cx: &Cx) -> Verdict {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    faulty.ping().await?;
    let written = cx.dump().await?.lines;
    proxy.refuse().await;
    proxy.sever();
    let grace = Duration::from_secs(1);

    check!(cx, "FF-DUR-003", faulty.shutdown_prepare(grace).await, is_ok());
    check!(cx, "FF-DUR-003", faulty.shutdown_prepare(grace).await, is_ok());
    check!(cx, "FF-DUR-003", faulty.ping().await, refused("Transport(Closed, No)"));
    check!(cx, "FF-DUR-003", cx.dump().await?.lines, equals(written));
    Ok(())
}

/// What a claim that met a fault left behind.
struct LostClaim {
    /// What its caller was told; `None` if it was killed.
    broken: Option<Result<Option<Handle>, EngineError>>,
    /// What the next claim of another client got at once.
    at_once: Option<Claimed>,
    /// What it got after the life of the lease.
    later: Option<Claimed>,
    /// What the lease history told right after the fault, and at the end.
    told: (Vec<LeaseEventKind>, Vec<LeaseEventKind>),
}

/// One execution whose first claim meets `fault`.
async fn lost_claim(cx: &Cx, fault: Fault) -> Result<LostClaim, Stop> {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    let direct = cx.client("direct").await?;
    cx.created_plain(&direct).await?;
    let (nobody, lane) = (CapabilitySet::default(), cx.lane()?);
    faulty.claim(&cx.lane_called("warm")?, &nobody, cx.worker("lost", TTL)?).await?;

    let broken = struck(&proxy, fault, faulty.claim(&lane, &nobody, cx.worker("lost", TTL)?)).await;
    let first = cx.dump().await?.lease_history.iter().map(|event| event.kind).collect();
    let at_once = cx.try_claim(&direct, "next", TTL).await?;
    cx.pass_time(TTL).await?;
    let later = cx.try_claim(&direct, "next", TTL).await?;
    let last = cx.dump().await?.lease_history.iter().map(|event| event.kind).collect();
    Ok(LostClaim { broken, at_once, later, told: (first, last) })
}

/// A claim whose reply was lost leaves exactly one lease, which lapses by itself; the work comes back then.
///
/// Covers FF-DUR-002, FF-DUR-004, FF-LSE-001, FF-ERR-018. Needs address, clock, dump.
pub async fn claim_whose_reply_was_lost_leaves_one_lease_that_lapses_by_itself(cx: &Cx) -> Verdict {
    let lost = lost_claim(cx, Fault::DropReply).await?;
    check!(cx, "FF-ERR-018", lost.broken, is_lost(AFTER));
    check!(cx, "FF-DUR-004", lost.told.0, equals(vec![LeaseEventKind::Acquired]));
    check!(cx, "FF-LSE-001", lost.at_once, is_none());
    check!(cx, "FF-DUR-002", lost.later, is_taken(HandleKind::Reclaimed, 2));
    let history = [LeaseEventKind::Acquired, LeaseEventKind::Expired, LeaseEventKind::Reclaimed];
    check!(cx, "FF-DUR-004", lost.told.1, equals(history.to_vec()));
    Ok(())
}

/// A claim whose worker was killed after the store had answered leaves exactly one lease, which lapses by itself.
///
/// Covers FF-DUR-002, FF-DUR-004, FF-LSE-001. Needs address, clock, dump.
pub async fn claim_whose_worker_was_killed_leaves_one_lease_that_lapses_by_itself(cx: &Cx) -> Verdict {
    let lost = lost_claim(cx, Fault::SwallowReply).await?;
    check!(cx, "FF-DUR-002", lost.broken, is_none());
    check!(cx, "FF-DUR-004", lost.told.0, equals(vec![LeaseEventKind::Acquired]));
    check!(cx, "FF-LSE-001", lost.at_once, is_none());
    check!(cx, "FF-DUR-002", lost.later, is_taken(HandleKind::Reclaimed, 2));
    Ok(())
}

/// A claim that a reset kept from the store takes nothing: the next claim gets the work at once.
///
/// Covers FF-DUR-002, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn claim_that_a_reset_kept_from_the_store_takes_nothing(cx: &Cx) -> Verdict {
    let lost = lost_claim(cx, Fault::Reset).await?;
    check!(cx, "FF-ERR-018", lost.broken, is_lost(BEFORE));
    check!(cx, "FF-DUR-004", lost.told.0, equals(Vec::new()));
    check!(cx, "FF-DUR-002", lost.at_once, is_taken(HandleKind::Fresh, 1));
    Ok(())
}

/// The claim took the execution like this, under this epoch.
fn is_taken(kind: HandleKind, epoch: u64) -> impl Expect<Option<Claimed>> {
    satisfies(format!("is {kind:?} under epoch {epoch}"), move |got: &Option<Claimed>| {
        got.as_ref().is_some_and(|got| got.handle.kind() == kind && got.payload.fence.lease_epoch == LeaseEpoch(epoch))
    })
}

/// A request that is cut half-way applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn complete_whose_request_was_cut_half_way_applies_nothing(cx: &Cx) -> Verdict {
    let (first, repeats) = told(cx, Operation::Complete, plain(), Fault::CutRequest(LARGE / 2), complete_large).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// Bytes of a payload that no single packet carries.
const LARGE: usize = 100_000;

fn complete_large(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<()> {
    Box::pin(async move { client.complete(&held.handle, Some(vec![b'x'; LARGE])).await })
}

/// A read whose reply is cut half-way answers nothing rather than a part, and everything when it is repeated.
///
/// Covers FF-ERR-018, FF-EXE-007. Needs address.
pub async fn get_execution_result_whose_reply_was_cut_half_way_answers_nothing(cx: &Cx) -> Verdict {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    let id = cx.created_plain(&faulty).await?;
    let held = cx.claimed(&faulty, "worker").await?;
    faulty.complete(&held.handle, Some(vec![b'x'; LARGE])).await?;
    faulty.get_execution_result(&id).await?;

    let broken = struck(&proxy, Fault::CutReply(LARGE / 10), faulty.get_execution_result(&id)).await;

    check!(cx, "FF-ERR-018", broken, is_lost(BEFORE));
    check!(cx, "FF-EXE-007", faulty.get_execution_result(&id).await, answers(Some(vec![b'x'; LARGE])));
    Ok(())
}

/// A call while the store is out of reach applies nothing, and the same client works again once it is back.
///
/// Covers FF-DUR-002, FF-ERR-018. Needs address, dump.
pub async fn complete_while_the_store_is_out_of_reach_applies_nothing(cx: &Cx) -> Verdict {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    cx.created_plain(&faulty).await?;
    let held = cx.claimed(&faulty, "worker").await?;
    let written = cx.dump().await?.lines;
    proxy.refuse().await;
    proxy.sever();

    let broken = Some(faulty.complete(&held.handle, None).await);

    check!(cx, "FF-ERR-018", broken, is_lost(BEFORE));
    check!(cx, "FF-DUR-002", cx.dump().await?.lines, equals(written));
    proxy.accept().map_err(|error| Stop::Errored(format!("proxy: {error}")))?;
    let back = || async { Ok(faulty.complete(&held.handle, None).await.is_ok()) };
    cx.eventually("the client is back", Duration::from_secs(30), back).await?;
    Ok(())
}
