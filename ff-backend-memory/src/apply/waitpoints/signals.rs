//! What is delivered to a waitpoint, and how a suspension ends from outside.

use std::time::Duration;

use ff_core::{
    AttemptState, BlockingReason, ConditionLeaf, DeliverSignalArgs, DeliverSignalResult, EngineError, LifecyclePhase,
    OperatorEventKind, ResumeExecutionArgs, ResumeExecutionResult, ResumeSignal, SignalDeliveryEffect,
    SignalDeliveryEvent, SignalEffect, SignalId, StateKind, StateVector, SuspensionEnd, TimestampMs, WaitpointState,
};

use crate::{
    Place, SignalRecord, State, StoredExecution,
    state::{Events, Index},
};

pub(in crate::apply) fn deliver_signal(
    state: &mut State,
    args: &DeliverSignalArgs,
    now: TimestampMs,
) -> Result<DeliverSignalResult, EngineError> {
    args.check()?;
    args.execution_id.check_partition(state.limits.partitions)?;
    if !is_valid(state, args, now) {
        return Err(EngineError::invalid_token());
    }
    let (row, index, events) = state.parts(&args.execution_id)?;
    if let Some(first) = first_delivery(row, args, now) {
        tell(events, row, args, first, SignalDeliveryEffect::Deduped, now);
        return Ok(DeliverSignalResult::Duplicate { existing_signal_id: first });
    }
    let standing = standing(row, args, now)?;
    if row.mailbox.signals_max.is_some_and(|most| row.mailbox.signals.len() >= most as usize) {
        return Err(DeliverSignalArgs::too_many());
    }
    row.mailbox.signals.push(record_of(args, now));
    row.record.last_mutation_at = now;
    let effect = match standing {
        WaitpointState::Active => count(row, index, args, now),
        WaitpointState::Pending | WaitpointState::Closed => SignalEffect::BufferedForPendingWaitpoint,
    };
    let told = match effect {
        SignalEffect::ResumeConditionSatisfied => SignalDeliveryEffect::Satisfied,
        SignalEffect::AppendedToWaitpoint
        | SignalEffect::AppendedToWaitpointDuplicate
        | SignalEffect::BufferedForPendingWaitpoint => SignalDeliveryEffect::Buffered,
        SignalEffect::SignalIgnoredNotInCondition | SignalEffect::SignalIgnoredMatcherFailed => {
            SignalDeliveryEffect::Ignored
        }
    };
    tell(events, row, args, args.signal_id, told, now);
    Ok(DeliverSignalResult::Accepted { signal_id: args.signal_id, effect })
}

/// True if the token was signed for this waitpoint by a key that counts, and the waitpoint exists.
fn is_valid(state: &State, args: &DeliverSignalArgs, now: TimestampMs) -> bool {
    let (execution, waitpoint) = (&args.execution_id, &args.waitpoint_id);
    let kid = state.keyring.check(&args.waitpoint_token, execution, waitpoint);
    let counts = kid.is_ok_and(|kid| state.keyring.keys.get(&kid).is_some_and(|key| key.counts(now)));
    counts && state.execution(execution).is_some_and(|row| row.mailbox.waitpoints.contains_key(waitpoint))
}

/// The signal that a delivery repeats.
fn first_delivery(row: &StoredExecution, args: &DeliverSignalArgs, now: TimestampMs) -> Option<SignalId> {
    let key = args.dedup().map(|(key, _)| key);
    let repeats = |record: &&SignalRecord| {
        let known = record.dedup.as_ref().filter(|(_, end)| !end.has_come(now)).map(|(key, _)| key.as_str());
        record.signal.signal_id == args.signal_id || (key.is_some() && known == key)
    };
    let here = row.mailbox.signals.iter().filter(|record| record.waitpoint_id == args.waitpoint_id);
    here.into_iter().find(repeats).map(|record| record.signal.signal_id)
}

/// Where the waitpoint stands, if it takes signals.
fn standing(row: &StoredExecution, args: &DeliverSignalArgs, now: TimestampMs) -> Result<WaitpointState, EngineError> {
    if row.record.state_at(now).lifecycle_phase == LifecyclePhase::Terminal {
        return Err(EngineError::State(StateKind::TargetNotSignalable));
    }
    let waitpoint = row.mailbox.waitpoints.get(&args.waitpoint_id);
    match waitpoint.map(|waitpoint| waitpoint.state(&row.record, now)) {
        Some(standing @ (WaitpointState::Active | WaitpointState::Pending)) => Ok(standing),
        Some(WaitpointState::Closed) | None => Err(EngineError::State(StateKind::WaitpointClosed)),
    }
}

fn record_of(args: &DeliverSignalArgs, now: TimestampMs) -> SignalRecord {
    SignalRecord {
        waitpoint_id: args.waitpoint_id,
        dedup: args.dedup().map(|(key, life)| (key.to_owned(), now.plus(Duration::from_millis(life)))),
        signal: ResumeSignal {
            signal_id: args.signal_id,
            signal_name: args.signal_name.clone(),
            signal_category: args.signal_category.clone(),
            source_type: args.source_type.clone(),
            source_identity: args.source_identity.clone(),
            correlation_id: args.correlation_id.clone(),
            accepted_at: now,
            payload: args.payload.clone(),
            payload_encoding: args.payload_encoding.clone(),
        },
    }
}

/// What the signal that was accepted last did to the open suspension; it ends if its condition holds.
fn count(row: &mut StoredExecution, index: &mut Index, args: &DeliverSignalArgs, now: TimestampMs) -> SignalEffect {
    // An escalation that nobody has written down stands before the end.
    row.record.settle_suspension(now);
    let Some(suspension) = &row.record.suspension else { return SignalEffect::SignalIgnoredNotInCondition };
    let accepted: Vec<_> =
        row.mailbox.signals_of(suspension.number).filter_map(|record| row.mailbox.seen(record)).collect();
    let effect = ConditionLeaf::effect(&suspension.leaves, &accepted);
    let policy = suspension.resume_delay_ms.unwrap_or_default();
    if effect == SignalEffect::ResumeConditionSatisfied {
        let asked = args.resume_delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        resume(row, index, SuspensionEnd::Resumed, asked.unwrap_or(policy), now);
    } else {
        let place = Place::of(row);
        index.place(row, place);
    }
    effect
}

/// Ends the open suspension: a claim takes the execution at once or after a delay.
fn resume(row: &mut StoredExecution, index: &mut Index, end: SuspensionEnd, delay_ms: u64, now: TimestampMs) {
    let interrupted = AttemptState::AttemptInterrupted;
    let delay = (delay_ms > 0).then(|| now.plus(Duration::from_millis(delay_ms)));
    row.record.state = match delay {
        Some(_) => StateVector::delayed(BlockingReason::WaitingForResumeDelay, interrupted),
        None => StateVector::eligible(interrupted),
    };
    row.record.delay_until = delay;
    if let Some(suspension) = &mut row.record.suspension {
        suspension.ended = Some((end, now));
    }
    row.record.last_transition_at = now;
    row.record.last_mutation_at = now;
    let place = Place::of(row);
    index.place(row, place);
}

fn tell(
    events: &mut Events,
    row: &StoredExecution,
    args: &DeliverSignalArgs,
    signal_id: SignalId,
    effect: SignalDeliveryEffect,
    now: TimestampMs,
) {
    events.signal.push(SignalDeliveryEvent {
        execution_id: args.execution_id,
        namespace: row.record.namespace.clone(),
        waitpoint_id: args.waitpoint_id,
        signal_id,
        source_identity: args.source_identity.clone(),
        effect,
        at: now,
    });
}

pub(in crate::apply) fn resume_execution(
    state: &mut State,
    args: &ResumeExecutionArgs,
    now: TimestampMs,
) -> Result<ResumeExecutionResult, EngineError> {
    let delay_ms = args.check(&state.limits)?;
    let (row, index, events) = state.parts(&args.execution_id)?;
    let current = row.record.state_at(now);
    if current.lifecycle_phase == LifecyclePhase::Runnable && row.record.was_resumed_by_operator() {
        return Ok(ResumeExecutionResult::Resumed { public_state: current.public_state() });
    }
    if current.lifecycle_phase != LifecyclePhase::Suspended {
        return Err(EngineError::State(StateKind::ExecutionNotSuspended));
    }
    row.record.settle_suspension(now);
    resume(row, index, SuspensionEnd::OperatorResumed, delay_ms, now);
    events.operator(row, OperatorEventKind::Resumed, args.reason.clone(), now);
    Ok(ResumeExecutionResult::Resumed { public_state: row.record.state.public_state() })
}
