//! What the holder of a lease does: tells progress, and ends the attempt.

use std::time::Duration;

use ff_core::{
    AttemptPhase, AttemptState, BlockingReason, CompleteArgs, EngineError, ExecutionId, FailOutcome, FailureClass,
    FailureReason, Handle, Jitter, LeaseEventKind, LifecyclePhase, Limits, Operation, Progress, ReleaseReason,
    RetryDecision, StateVector, TerminalOutcome, TimestampMs,
};

use super::{Ending, Fenced, each, end, fence};
#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{Each, Mint, Place, State, StoredExecution};

pub(super) fn progress(
    state: &mut State,
    handle: &Handle,
    percent: Option<u8>,
    message: Option<&str>,
    now: TimestampMs,
) -> Result<(), EngineError> {
    Progress::check(percent, message)?;
    let Fenced::Held(held) = fence(state, handle, Operation::Progress, now)? else { return Ok(()) };
    let row = state.row_mut(&held.execution_id)?;
    let (old_percent, old_message) = row.record.progress.take().map_or((None, None), |old| (old.percent, old.message));
    row.record.progress = Some(Progress {
        percent: percent.or(old_percent),
        message: message.map(str::to_owned).or(old_message),
        updated_at: now,
    });
    row.record.last_mutation_at = now;
    #[cfg(feature = "flaws")]
    flaw::progress(state, &held.execution_id, percent, message);
    Ok(())
}

pub(super) fn complete(
    state: &mut State,
    handle: &Handle,
    payload: Option<&[u8]>,
    now: TimestampMs,
) -> Result<(), EngineError> {
    state.limits.check_result(payload)?;
    let Fenced::Held(held) = fence(state, handle, Operation::Complete, now)? else { return Ok(()) };
    let result = payload.map(<[u8]>::to_vec);
    #[cfg(feature = "flaws")]
    let result = flaw::result(state, result);
    state.row_mut(&held.execution_id)?.result = result;
    let ending = Ending {
        outcome: TerminalOutcome::Success,
        phase: AttemptPhase::EndedSuccess,
        failure: None,
        lease_event: (LeaseEventKind::Released, Some(ReleaseReason::Completed)),
        ended_by: Some(Operation::Complete),
        completed_at: now,
    };
    end(state, &held.execution_id, &ending, now)
}

pub(super) fn complete_many(
    state: &mut State,
    batch: &[CompleteArgs],
    now: TimestampMs,
) -> Result<Each<()>, EngineError> {
    let bytes = batch.iter().filter_map(|args| args.payload.as_ref()).map(Vec::len).sum();
    Limits::check_batch(batch.len(), bytes)?;
    Ok(each(state, batch, |state, args| complete(state, &args.handle, args.payload.as_deref(), now)))
}

pub(super) fn fail(
    state: &mut State,
    handle: &Handle,
    reason: &FailureReason,
    classification: FailureClass,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<FailOutcome, EngineError> {
    reason.check()?;
    let id = match fence(state, handle, Operation::Fail, now)? {
        Fenced::Held(held) => held.execution_id,
        Fenced::Repeated(id) => return first_answer(state.row(&id)?),
    };
    let category = reason.effective_category(classification);
    let decision = retry_decision(state, &id, classification, category, mint)?;
    let row = state.row_mut(&id)?;
    row.record.failure_reason = Some(reason.message.clone());
    row.record.failure_category = Some(category.to_owned());
    let failure = (reason.message.as_str(), category);
    match decision {
        RetryDecision::RetryAfter(delay_ms) => {
            let told = (failure, ReleaseReason::FailedRetryScheduled);
            let delay_until = schedule_retry(state, &id, told, Some(Operation::Fail), delay_ms, now)?;
            Ok(FailOutcome::RetryScheduled { delay_until })
        }
        RetryDecision::Terminal => {
            let ending = Ending {
                outcome: TerminalOutcome::Failed,
                phase: AttemptPhase::EndedFailure,
                failure: Some(failure),
                lease_event: (LeaseEventKind::Released, Some(ReleaseReason::FailedTerminal)),
                ended_by: Some(Operation::Fail),
                completed_at: now,
            };
            end(state, &id, &ending, now).map(|()| FailOutcome::TerminalFailed)
        }
    }
}

/// Whether a failure of the running attempt is retried.
pub(super) fn retry_decision(
    state: &State,
    id: &ExecutionId,
    class: FailureClass,
    category: &str,
    mint: &mut dyn Mint,
) -> Result<RetryDecision, EngineError> {
    let row = state.row(id)?;
    let rule = row.retry_rule.as_ref();
    let jitter = if rule.is_some_and(|rule| rule.jitter) { mint.jitter() } else { Jitter::NONE };
    let retries = row.record.retry_count;
    #[cfg(feature = "flaws")]
    let (retries, class) = flaw::retry(state, retries, class);
    Ok(RetryDecision::of(rule, retries, class, category, jitter))
}

/// What the call answered that a repeat repeats.
fn first_answer(row: &StoredExecution) -> Result<FailOutcome, EngineError> {
    if row.record.state.lifecycle_phase == LifecyclePhase::Terminal {
        return Ok(FailOutcome::TerminalFailed);
    }
    let delay_until = row.record.delay_until.ok_or_else(|| EngineError::corrupt("a retry without a due instant"))?;
    Ok(FailOutcome::RetryScheduled { delay_until })
}

/// Ends the attempt with a failure and lets another one start after `delay_ms`; the instant of that.
pub(super) fn schedule_retry(
    state: &mut State,
    id: &ExecutionId,
    (failure, told): ((&str, &str), ReleaseReason),
    ended_by: Option<Operation>,
    delay_ms: u64,
    now: TimestampMs,
) -> Result<TimestampMs, EngineError> {
    let (row, _, events) = state.parts(id)?;
    row.close_attempt(AttemptPhase::EndedFailure, Some(failure), now);
    events.lease(row, LeaseEventKind::Released, Some(told), now);
    row.record.retry_count += 1;
    let wait = (BlockingReason::WaitingForRetryBackoff, AttemptState::PendingRetryAttempt);
    let delay_until = now.plus(Duration::from_millis(delay_ms));
    park(state, id, wait, delay_until, ended_by, now)?;
    #[cfg(feature = "flaws")]
    flaw::retry_scheduled(state, id);
    Ok(delay_until)
}

/// Lets an execution whose lease was given back wait until an instant.
fn park(
    state: &mut State,
    id: &ExecutionId,
    (reason, next): (BlockingReason, AttemptState),
    until: TimestampMs,
    ended_by: Option<Operation>,
    now: TimestampMs,
) -> Result<(), EngineError> {
    #[cfg(feature = "flaws")]
    let until = flaw::given_back(state, ended_by, until);
    let (row, index, _) = state.parts(id)?;
    row.record.state =
        if until.has_come(now) { StateVector::eligible(next) } else { StateVector::delayed(reason, next) };
    row.record.delay_until = Some(until);
    row.record.last_transition_at = now;
    row.record.last_mutation_at = now;
    row.ended_by = ended_by;
    let place = Place::of(row);
    index.place(row, place);
    Ok(())
}

pub(super) fn delay(
    state: &mut State,
    handle: &Handle,
    delay_until: TimestampMs,
    now: TimestampMs,
) -> Result<(), EngineError> {
    delay_until.check("delay_until")?;
    let Fenced::Held(held) = fence(state, handle, Operation::Delay, now)? else { return Ok(()) };
    give_back(state, &held.execution_id, ReleaseReason::WorkerDelay, now)?;
    let wait = (BlockingReason::WaitingForDelay, AttemptState::AttemptInterrupted);
    park(state, &held.execution_id, wait, delay_until, Some(Operation::Delay), now)
}

pub(super) fn wait_children(state: &mut State, handle: &Handle, now: TimestampMs) -> Result<(), EngineError> {
    let Fenced::Held(held) = fence(state, handle, Operation::WaitChildren, now)? else { return Ok(()) };
    give_back(state, &held.execution_id, ReleaseReason::WaitingChildren, now)?;
    // No execution has an inbound edge, so nothing is open.
    let wait = (BlockingReason::WaitingForChildren, AttemptState::AttemptInterrupted);
    park(state, &held.execution_id, wait, now, Some(Operation::WaitChildren), now)
}

/// Gives a lease back and keeps its attempt for the next holder.
fn give_back(state: &mut State, id: &ExecutionId, told: ReleaseReason, now: TimestampMs) -> Result<(), EngineError> {
    let (row, _, events) = state.parts(id)?;
    events.lease(row, LeaseEventKind::Released, Some(told), now);
    if let Some(attempt) = row.attempts.last_mut() {
        attempt.phase = AttemptPhase::Suspended;
    }
    Ok(())
}

pub(super) fn cancel(state: &mut State, handle: &Handle, reason: &str, now: TimestampMs) -> Result<(), EngineError> {
    Limits::check_reason(reason)?;
    let Fenced::Held(held) = fence(state, handle, Operation::Cancel, now)? else { return Ok(()) };
    let row = state.row_mut(&held.execution_id)?;
    row.record.cancellation_reason = Some(reason.to_owned());
    row.record.cancelled_by = Some("worker".to_owned());
    let ending = Ending {
        outcome: TerminalOutcome::Cancelled,
        phase: AttemptPhase::EndedCancelled,
        failure: None,
        lease_event: (LeaseEventKind::Released, Some(ReleaseReason::Cancelled)),
        ended_by: Some(Operation::Cancel),
        completed_at: now,
    };
    end(state, &held.execution_id, &ending, now)
}
