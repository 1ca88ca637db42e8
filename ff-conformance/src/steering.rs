//! Cases of faults and costs on the way of an operator's call: a repeat ends as one call, and a call is one round trip.

use std::fmt::Debug;

use ff_core::{
    CancelExecutionResult, ChangePriorityResult, EngineError, ExecutionId, ExecutionPolicy, Operation, PublicState,
    Repeat, RevokeLeaseResult, RevokeSkip,
};

use crate::{
    Claimed, Cx, Expect, Fault, Stop, Verdict,
    calls::{Call, cancel_held, change_priority, list_attempts, replay_execution, revoke_lease, set_execution_tag},
    check,
    round_trips::{Counted, counted, of_holder, of_reader, one_each},
    satisfies,
    trials::{Trial, all_answer, completed, delayed, held, meets},
};

/// What `call` answers when it meets `fault`: the answer of one call, and those of the repeats.
async fn told<T: Debug>(
    cx: &Cx,
    trial: Trial<Claimed>,
    (operation, fault): (Operation, Fault),
    call: Call<Claimed, T>,
) -> Result<(T, Vec<Result<T, EngineError>>), Stop> {
    let told = meets(cx, &trial, fault, Repeat::of(operation), call).await?;
    Ok((told.first, told.repeats))
}

const fn cancelled(execution_id: ExecutionId) -> CancelExecutionResult {
    CancelExecutionResult::Cancelled { execution_id, public_state: PublicState::Cancelled }
}

const fn changed(execution_id: ExecutionId) -> ChangePriorityResult {
    ChangePriorityResult::Changed { execution_id, priority: 7 }
}

/// A repeat finds the lease revoked, or revokes it if the first call did not arrive.
fn revoked_once(arrived: bool) -> impl Expect<Vec<Result<RevokeLeaseResult, EngineError>>> {
    let gone = RevokeLeaseResult::AlreadySatisfied { reason: RevokeSkip::AlreadyRevoked };
    satisfies(
        "one call revokes, every later one finds the lease revoked",
        move |got: &Vec<Result<RevokeLeaseResult, EngineError>>| {
            let later = got.iter().skip(usize::from(!arrived)).all(|answer| *answer == Ok(gone));
            let first = got.first().is_some_and(|answer| matches!(answer, Ok(RevokeLeaseResult::Revoked { .. })));
            !got.is_empty() && later && (arrived || first)
        },
    )
}

/// A cancel by an operator whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn cancel_execution_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = held(cx, ExecutionPolicy::new()).await?;
    let id = trial.struck();
    let (_, repeats) = told(cx, trial, (Operation::CancelExecution, Fault::DropReply), cancel_held).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(cancelled(id)));
    Ok(())
}

/// A cancel by an operator that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn cancel_execution_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = held(cx, ExecutionPolicy::new()).await?;
    let id = trial.struck();
    let (_, repeats) = told(cx, trial, (Operation::CancelExecution, Fault::Reset), cancel_held).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(cancelled(id)));
    Ok(())
}

/// A change of priority whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn change_priority_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = delayed(cx).await?;
    let id = trial.struck();
    let (_, repeats) = told(cx, trial, (Operation::ChangePriority, Fault::DropReply), change_priority).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(changed(id)));
    Ok(())
}

/// A change of priority that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn change_priority_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = delayed(cx).await?;
    let id = trial.struck();
    let (_, repeats) = told(cx, trial, (Operation::ChangePriority, Fault::Reset), change_priority).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(changed(id)));
    Ok(())
}

/// A replay whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn replay_execution_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = completed(cx).await?;
    let (first, repeats) = told(cx, trial, (Operation::ReplayExecution, Fault::DropReply), replay_execution).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A replay that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn replay_execution_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = completed(cx).await?;
    let (first, repeats) = told(cx, trial, (Operation::ReplayExecution, Fault::Reset), replay_execution).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A label whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn set_execution_tag_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = completed(cx).await?;
    let (first, repeats) = told(cx, trial, (Operation::SetExecutionTag, Fault::DropReply), set_execution_tag).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A label that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn set_execution_tag_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = completed(cx).await?;
    let (first, repeats) = told(cx, trial, (Operation::SetExecutionTag, Fault::Reset), set_execution_tag).await?;
    check!(cx, "FF-DUR-003", repeats, all_answer(first));
    Ok(())
}

/// A revocation whose reply was lost is repeated and ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn revoke_lease_repeated_after_a_lost_reply_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = held(cx, ExecutionPolicy::new()).await?;
    let (_, repeats) = told(cx, trial, (Operation::RevokeLease, Fault::DropReply), revoke_lease).await?;
    check!(cx, "FF-DUR-003", repeats, revoked_once(true));
    Ok(())
}

/// A revocation that a reset kept from the store applies nothing; repeated, it ends as one call.
///
/// Covers FF-DUR-002, FF-DUR-003, FF-DUR-004, FF-ERR-018. Needs address, clock, dump.
pub async fn revoke_lease_repeated_after_a_reset_ends_as_one_call(cx: &Cx) -> Verdict {
    let trial = held(cx, ExecutionPolicy::new()).await?;
    let (_, repeats) = told(cx, trial, (Operation::RevokeLease, Fault::Reset), revoke_lease).await?;
    check!(cx, "FF-DUR-003", repeats, revoked_once(false));
    Ok(())
}

/// A warm cancel by an operator is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn cancel_execution_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_holder(cx, Operation::CancelExecution, ExecutionPolicy::new(), cancel_held).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm revocation is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn revoke_lease_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_holder(cx, Operation::RevokeLease, ExecutionPolicy::new(), revoke_lease).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm label is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn set_execution_tag_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_holder(cx, Operation::SetExecutionTag, ExecutionPolicy::new(), set_execution_tag).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// Executions that their holders completed, and a client that is counted.
async fn ended(cx: &Cx) -> Result<(Counted, Vec<Claimed>), Stop> {
    let counted = counted(cx).await?;
    let held = counted.held(cx, ExecutionPolicy::new()).await?;
    for claimed in &held {
        counted.client.complete(&claimed.handle, None).await?;
    }
    Ok((counted, held))
}

/// A warm replay is one request and one reply, and so is the change of priority that follows.
///
/// Covers FF-CON-004. Needs address.
pub async fn replay_execution_and_change_priority_cost_one_round_trip(cx: &Cx) -> Verdict {
    let (counted, ended) = ended(cx).await?;
    let turns = counted.turns(cx, Operation::ReplayExecution, ended.clone(), replay_execution).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    let turns = counted.turns(cx, Operation::ChangePriority, ended, change_priority).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm page of attempts is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn list_attempts_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_reader(cx, Operation::ListAttempts, list_attempts).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}
