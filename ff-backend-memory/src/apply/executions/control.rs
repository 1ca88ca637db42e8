//! What operators ask of an execution.

use ff_core::{
    AttemptPhase, AttemptState, CancelExecutionArgs, CancelExecutionResult, ChangePriorityArgs, ChangePriorityResult,
    ContentionKind, EngineError, LeaseEventKind, LifecyclePhase, Limits, OperatorEventKind, PublicState, ReleaseReason,
    ReplayExecutionArgs, ReplayExecutionResult, SetExecutionTagArgs, StateKind, StateVector, TerminalOutcome,
    TimestampMs,
};

use super::after;
#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{
    Place, State, StoredExecution,
    apply::{Ending, claims, end},
};

pub(in crate::apply) fn cancel_execution(
    state: &mut State,
    args: &CancelExecutionArgs,
    now: TimestampMs,
) -> Result<CancelExecutionResult, EngineError> {
    args.check(&state.limits)?;
    let id = args.execution_id;
    let answer = CancelExecutionResult::Cancelled { execution_id: id, public_state: PublicState::Cancelled };
    let record = &state.row(&id)?.record;
    match record.state_at(now).terminal_outcome {
        TerminalOutcome::None => {}
        TerminalOutcome::Cancelled => return Ok(answer),
        #[cfg(feature = "flaws")]
        _ => return Err(flaw::too_late(state)),
        #[cfg(not(feature = "flaws"))]
        _ => return Err(EngineError::State(StateKind::Terminal)),
    }
    if let Some(fence) = args.fence.filter(|_| args.source.is_fenced()) {
        record.check_fence(&fence, now)?;
    }
    let lease_event = if record.has_lapsed_lease(now) {
        (LeaseEventKind::Expired, None)
    } else {
        (LeaseEventKind::Revoked, Some(ReleaseReason::Cancelled))
    };
    let row = state.row_mut(&id)?;
    row.record.cancellation_reason = Some(args.reason.clone());
    row.record.cancelled_by = Some(args.source.as_str().to_owned());
    row.record.grant = None;
    let ending = Ending {
        outcome: TerminalOutcome::Cancelled,
        phase: AttemptPhase::EndedCancelled,
        failure: None,
        lease_event,
        ended_by: None,
        completed_at: now,
    };
    end(state, &id, &ending, now)?;
    let (row, _, events) = state.parts(&id)?;
    events.operator(row, OperatorEventKind::Cancelled, format!("{}: {}", args.source.as_str(), args.reason), now);
    Ok(answer)
}

pub(in crate::apply) fn change_priority(
    state: &mut State,
    args: &ChangePriorityArgs,
    now: TimestampMs,
) -> Result<ChangePriorityResult, EngineError> {
    args.execution_id.check_partition(state.limits.partitions)?;
    #[cfg(feature = "flaws")]
    let moves = flaw::moves(state);
    #[cfg(not(feature = "flaws"))]
    let moves = true;
    let (row, index, events) = state.parts(&args.execution_id)?;
    if matches!(row.record.state_at(now).lifecycle_phase, LifecyclePhase::Active | LifecyclePhase::Terminal) {
        return Err(EngineError::Contention(ContentionKind::ExecutionNotEligible));
    }
    let priority = args.effective_priority();
    if row.record.priority != priority {
        // It stands in the order of its lane by its priority.
        let place = row.place;
        if moves {
            index.place(row, Place::default());
        }
        row.record.priority = priority;
        row.record.last_mutation_at = now;
        index.place(row, place);
        events.operator(row, OperatorEventKind::PriorityChanged, priority.to_string(), now);
    }
    Ok(ChangePriorityResult::Changed { execution_id: args.execution_id, priority })
}

pub(in crate::apply) fn replay_execution(
    state: &mut State,
    args: &ReplayExecutionArgs,
    now: TimestampMs,
) -> Result<ReplayExecutionResult, EngineError> {
    let id = args.execution_id;
    id.check_partition(state.limits.partitions)?;
    let answer = ReplayExecutionResult::Replayed { public_state: PublicState::Waiting };
    let row = state.row(&id)?;
    let current = row.record.state_at(now);
    if current.attempt_state == AttemptState::PendingReplayAttempt {
        return Ok(answer);
    }
    if current.lifecycle_phase != LifecyclePhase::Terminal {
        return Err(EngineError::State(StateKind::ExecutionNotTerminal));
    }
    if row.record.replay_count >= row.max_replays {
        return Err(EngineError::State(StateKind::MaxReplaysExhausted));
    }
    let has_come = row.record.execution_deadline_at.is_some_and(|deadline| deadline.has_come(now));
    if has_come && row.deadline_after_ms.is_none() {
        return Err(ReplayExecutionArgs::past_deadline());
    }
    if row.record.is_past_deadline(now) {
        claims::expire(state, &id, now)?;
    } else if row.record.state.lifecycle_phase != LifecyclePhase::Terminal {
        claims::time_out_suspension(state, &id, now)?;
    }
    #[cfg(feature = "flaws")]
    let retries = flaw::replayed_retries(state, &id);
    let (row, index, events) = state.parts(&id)?;
    begin_again(row, now);
    #[cfg(feature = "flaws")]
    {
        row.record.retry_count = retries;
    }
    let place = Place::of(row);
    index.place(row, place);
    events.operator(row, OperatorEventKind::Replayed, row.record.replay_count.to_string(), now);
    Ok(answer)
}

/// Forgets how the last run ended and what it used up.
fn begin_again(row: &mut StoredExecution, now: TimestampMs) {
    row.result = None;
    row.ended_by = None;
    let deadline = after(row.deadline_after_ms, now);
    let record = &mut row.record;
    record.state = StateVector::eligible(AttemptState::PendingReplayAttempt);
    record.execution_deadline_at = deadline.or(record.execution_deadline_at);
    record.delay_until = None;
    record.grant = None;
    record.retry_count = 0;
    record.lease_reclaim_count = 0;
    record.replay_count += 1;
    record.completed_at = None;
    record.failure_reason = None;
    record.failure_category = None;
    record.cancellation_reason = None;
    record.cancelled_by = None;
    record.progress = None;
    record.last_transition_at = now;
    record.last_mutation_at = now;
}

pub(in crate::apply) fn set_execution_tag(
    state: &mut State,
    args: &SetExecutionTagArgs,
    now: TimestampMs,
) -> Result<(), EngineError> {
    args.check(&state.limits)?;
    let row = state.row_mut(&args.execution_id)?;
    match &args.value {
        Some(_) if !row.tags.contains_key(&args.key) && row.tags.len() >= Limits::TAGS => {
            return Err(SetExecutionTagArgs::too_many());
        }
        Some(value) => drop(row.tags.insert(args.key.clone(), value.clone())),
        None => drop(row.tags.remove(&args.key)),
    }
    row.record.last_mutation_at = now;
    Ok(())
}
