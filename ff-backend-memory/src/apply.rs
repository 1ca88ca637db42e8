//! The contract as one function: an operation, one atomic step at one instant.

mod attempts;
pub(crate) mod claims;
mod executions;
mod leases;
mod scanners;
pub(crate) mod subscriptions;
#[cfg(test)]
mod tests;
mod waitpoints;
#[cfg(test)]
pub(crate) mod world;

use ff_core::{
    AttemptPhase, AttemptState, EngineError, ExecutionId, Handle, HandlePayload, LeaseEventKind, Operation,
    OwnershipState, ReleaseReason, StateVector, TerminalOutcome, TimestampMs,
};

use self::claims::grants;
#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{Answer, Each, Mint, Op, Outcome, Place, State, StoredExecution};

/// The contract: does `op` to `state` in one atomic step at store time `now`.
///
/// A refused operation writes nothing. What the contract leaves open comes from `mint`. Handles are those of the
/// backend called `memory`.
///
/// # Errors
/// The refusal that the contract's documentation names for the operation; `Validation(Corruption)` also for a state
/// that cannot be.
pub fn apply(state: &mut State, op: &Op, now: TimestampMs, mint: &mut dyn Mint) -> Outcome {
    #[cfg(feature = "flaws")]
    let (heard, now) = flaw::heard(state, op, now);
    #[cfg(feature = "flaws")]
    let op = &*heard;
    let outcome = dispatch(state, op, now, mint);
    #[cfg(feature = "flaws")]
    let outcome = flaw::told(state, op, now, outcome);
    outcome
}

#[expect(clippy::too_many_lines, reason = "one arm for each operation, and nothing else")]
fn dispatch(state: &mut State, op: &Op, now: TimestampMs, mint: &mut dyn Mint) -> Outcome {
    match op {
        Op::CreateExecution(args) => executions::create_execution(state, args, now).map(Answer::CreateExecution),
        Op::CreateExecutions(batch) => executions::create_executions(state, batch, now).map(Answer::CreateExecutions),
        Op::DescribeExecution(id) => {
            executions::describe_execution(state, id, now).map(|found| Answer::DescribeExecution(found.map(Box::new)))
        }
        Op::ReadExecutionState(id) => executions::read_execution_state(state, id, now).map(Answer::ReadExecutionState),
        Op::ReadExecutionInfo(id) => {
            executions::read_execution_info(state, id, now).map(|found| Answer::ReadExecutionInfo(found.map(Box::new)))
        }
        Op::GetExecutionResult(id) => executions::get_execution_result(state, id).map(Answer::GetExecutionResult),
        Op::ListExecutions { cursor, limit } => {
            Ok(Answer::ListExecutions(executions::list_executions(state, cursor.as_ref(), *limit)))
        }
        Op::ListLanes { cursor, limit } => {
            Ok(Answer::ListLanes(executions::list_lanes(state, cursor.as_ref(), *limit)))
        }
        Op::ListAttempts { id, cursor, limit } => {
            executions::list_attempts(state, id, *cursor, *limit, now).map(Answer::ListAttempts)
        }
        Op::CancelExecution(args) => executions::cancel_execution(state, args, now).map(Answer::CancelExecution),
        Op::ChangePriority(args) => executions::change_priority(state, args, now).map(Answer::ChangePriority),
        Op::ReplayExecution(args) => executions::replay_execution(state, args, now).map(Answer::ReplayExecution),
        Op::SetExecutionTag(args) => executions::set_execution_tag(state, args, now).map(|()| Answer::Done),
        Op::RevokeLease(args) => leases::revoke_lease(state, args, now).map(Answer::RevokeLease),
        Op::Progress { handle, percent, message } => {
            attempts::progress(state, handle, *percent, message.as_deref(), now).map(|()| Answer::Done)
        }
        Op::Complete { handle, payload } => {
            attempts::complete(state, handle, payload.as_deref(), now).map(|()| Answer::Done)
        }
        Op::CompleteMany(batch) => attempts::complete_many(state, batch, now).map(Answer::CompleteMany),
        Op::CompleteAndClaim { handle, payload, capabilities, policy } => {
            let ended = (handle, payload.as_deref());
            claims::complete_and_claim(state, ended, capabilities, policy, now, mint).map(Answer::Claim)
        }
        Op::Fail { handle, reason, classification } => {
            attempts::fail(state, handle, reason, *classification, now, mint).map(Answer::Fail)
        }
        Op::Cancel { handle, reason } => attempts::cancel(state, handle, reason, now).map(|()| Answer::Done),
        Op::Delay { handle, delay_until } => attempts::delay(state, handle, *delay_until, now).map(|()| Answer::Done),
        Op::WaitChildren { handle } => attempts::wait_children(state, handle, now).map(|()| Answer::Done),
        Op::ClaimMany { lane, capabilities, policy, limit } => {
            claims::claim_many(state, lane, capabilities, policy, *limit, now, mint).map(Answer::ClaimMany)
        }
        Op::Renew { handle } => leases::renew(state, handle, now).map(Answer::Renew),
        Op::RenewMany(handles) => leases::renew_many(state, handles, now).map(Answer::RenewMany),
        Op::Claim { lane, capabilities, policy } => {
            claims::claim(state, lane, capabilities, policy, now, mint).map(Answer::Claim)
        }
        Op::ClaimForWorker(args) => grants::claim_for_worker(state, args, now, mint).map(Answer::ClaimForWorker),
        Op::ClaimExecution(args) => grants::claim_execution(state, args, now, mint).map(Answer::ClaimExecution),
        Op::ClaimFromReclaim(token) => grants::claim_from_reclaim(state, token, now, mint).map(Answer::Claim),
        Op::ClaimResumedExecution(args) => {
            grants::claim_resumed_execution(state, args, now, mint).map(Answer::ClaimExecution)
        }
        Op::ExplainUnclaimed { id, capabilities } => {
            grants::explain_unclaimed(state, id, capabilities, now).map(Answer::ExplainUnclaimed)
        }
        Op::Suspend { handle, args } => {
            waitpoints::suspend(state, handle, args, now).map(|outcome| Answer::Suspend(Box::new(outcome)))
        }
        Op::SuspendByTriple { id, fence, args } => waitpoints::suspend_by_triple(state, id, *fence, args, now)
            .map(|outcome| Answer::Suspend(Box::new(outcome))),
        Op::CreateWaitpoint { handle, waitpoint_key, expires_in } => {
            waitpoints::create_waitpoint(state, handle, waitpoint_key, *expires_in, now, mint)
                .map(Answer::CreateWaitpoint)
        }
        Op::ObserveSignals(handle) => waitpoints::observe_signals(state, handle, now).map(Answer::ObserveSignals),
        Op::DeliverSignal(args) => waitpoints::deliver_signal(state, args, now).map(Answer::DeliverSignal),
        Op::ResumeExecution(args) => waitpoints::resume_execution(state, args, now).map(Answer::ResumeExecution),
        Op::ListSuspended { cursor, limit } => {
            Ok(Answer::ListSuspended(waitpoints::list_suspended(state, *cursor, *limit, now)))
        }
        Op::ListPendingWaitpoints(args) => {
            waitpoints::list_pending_waitpoints(state, args, now).map(Answer::ListPendingWaitpoints)
        }
        Op::SeedWaitpointHmacSecret(args) => {
            waitpoints::seed_waitpoint_hmac_secret(state, args).map(Answer::SeedWaitpointHmacSecret)
        }
        Op::RotateWaitpointHmacSecretAll(args) => {
            waitpoints::rotate_waitpoint_hmac_secret_all(state, args, now).map(Answer::RotateWaitpointHmacSecretAll)
        }
        Op::Scan { args, retention } => scanners::scan(state, args, retention, now, mint).map(Answer::Scan),
    }
}

/// Does `one` with each item of a batch and answers for each in its place.
fn each<I, T>(
    state: &mut State,
    batch: &[I],
    mut one: impl FnMut(&mut State, &I) -> Result<T, EngineError>,
) -> Each<T> {
    let mut answers: Each<T> = Vec::with_capacity(batch.len());
    for item in batch {
        let answer = one(state, item);
        #[cfg(feature = "flaws")]
        if flaw::spoils(state, &answer) {
            answers.resize_with(batch.len(), || Err(EngineError::contention()));
            return answers;
        }
        answers.push(answer);
    }
    answers
}

/// What the fence says about a holder's call.
enum Fenced {
    /// The handle holds the live lease.
    Held(HandlePayload),
    /// The call repeats one that ended the lease and succeeded.
    Repeated(ExecutionId),
}

/// The fence of every holder operation: the handle decodes, its row exists, the call is no repeat, the lease is live
/// and the handle's.
fn fence(state: &mut State, handle: &Handle, operation: Operation, now: TimestampMs) -> Result<Fenced, EngineError> {
    let held = handle.decode(state.label)?;
    held.execution_id.check_partition(state.limits.partitions)?;
    let row = state.row(&held.execution_id)?;
    let repeats = row.ended_by == Some(operation) && owns_latest_lease(row, &held, now);
    #[cfg(feature = "flaws")]
    let repeats = flaw::repeated(state, repeats);
    if repeats {
        #[cfg(feature = "flaws")]
        flaw::ended(state, &held.execution_id, true, now);
        return Ok(Fenced::Repeated(held.execution_id));
    }
    let verdict = row.record.check_fence(&held.fence, now);
    #[cfg(feature = "flaws")]
    let verdict = flaw::verdict(state, row, &held, operation, now, verdict);
    #[cfg(feature = "flaws")]
    let verdict = flaw::fenced(state, (row, handle, &held), operation, now, verdict);
    verdict.map(|()| Fenced::Held(held))
}

/// True if the handle is that of the latest lease and the deadline has not come since.
fn owns_latest_lease(row: &StoredExecution, held: &HandlePayload, now: TimestampMs) -> bool {
    row.record.fence() == Some(held.fence)
        && row.record.lease.as_ref().is_some_and(|lease| lease.attempt_index == held.attempt_index)
        && !row.record.is_past_deadline(now)
}

/// How an execution ends.
struct Ending<'a> {
    outcome: TerminalOutcome,
    /// What becomes of the open attempt.
    phase: AttemptPhase,
    /// The reason and category of the attempt's failure.
    failure: Option<(&'a str, &'a str)>,
    /// What is told of a lease that was not given back.
    lease_event: (LeaseEventKind, Option<ReleaseReason>),
    /// The holder operation that does it.
    ended_by: Option<Operation>,
    completed_at: TimestampMs,
}

/// Ends an execution for good: attempt, lease event, completion event and indexes in one step.
fn end(state: &mut State, id: &ExecutionId, ending: &Ending<'_>, now: TimestampMs) -> Result<(), EngineError> {
    let (row, index, events) = state.parts(id)?;
    row.close_suspension(ending.outcome, ending.completed_at, now);
    row.close_attempt(ending.phase, ending.failure, ending.completed_at);
    if row.record.state.ownership_state == OwnershipState::Leased {
        let (kind, reason) = ending.lease_event;
        events.lease(row, kind, reason, now);
    }
    let attempt = if row.record.total_attempt_count == 0 { AttemptState::None } else { AttemptState::AttemptTerminal };
    row.record.state = StateVector::terminal(ending.outcome, attempt);
    row.record.completed_at = Some(ending.completed_at);
    row.record.last_transition_at = now;
    row.record.last_mutation_at = now;
    row.ended_by = ending.ended_by;
    events.completion(row, ending.outcome, now);
    let place = Place::of(row);
    index.place(row, place);
    #[cfg(feature = "flaws")]
    flaw::half_ended(state, ending.outcome);
    #[cfg(feature = "flaws")]
    flaw::ended(state, id, false, now);
    Ok(())
}
