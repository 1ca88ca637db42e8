//! What is delivered to a waitpoint, and how a suspension ends from outside.

use std::time::Duration;

use ff_core::{
    AttemptState, BlockingReason, ConditionLeaf, DeliverSignalArgs, DeliverSignalResult, EngineError, LifecyclePhase,
    OperatorEventKind, ResumeExecutionArgs, ResumeExecutionResult, ResumeSignal, SignalDeliveryEffect,
    SignalDeliveryEvent, SignalEffect, SignalId, StateKind, StateVector, SuspensionEnd, TimestampMs, WaitpointState,
};

#[cfg(feature = "flaws")]
use crate::flaw;
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
        let refusal = EngineError::invalid_token();
        #[cfg(feature = "flaws")]
        let refusal = flaw::refusal(state, args, refusal);
        return Err(refusal);
    }
    #[cfg(feature = "flaws")]
    let planted = state.flaw;
    let (row, index, events) = state.parts(&args.execution_id)?;
    let first = first_delivery(row, args, now);
    #[cfg(feature = "flaws")]
    let first = first.filter(|_| flaw::repeat_is_noticed(planted, stands(row, args, now)));
    if let Some(first) = first {
        #[cfg(feature = "flaws")]
        if !flaw::tells_repeat(planted) {
            return Ok(DeliverSignalResult::Duplicate { existing_signal_id: first });
        }
        tell(events, row, args, first, SignalDeliveryEffect::Deduped, now);
        return Ok(DeliverSignalResult::Duplicate { existing_signal_id: first });
    }
    let standing = standing(row, args, now);
    #[cfg(feature = "flaws")]
    let standing = if flaw::overtakes(planted, row) { Ok(WaitpointState::Active) } else { standing };
    #[cfg(feature = "flaws")]
    let standing = match row.mailbox.waitpoints.get(&args.waitpoint_id) {
        Some(waitpoint) if flaw::still_active(planted, row, waitpoint) => Ok(WaitpointState::Active),
        _ => standing,
    };
    let standing = standing?;
    let taken = row.mailbox.signals.len();
    #[cfg(feature = "flaws")]
    let taken = flaw::limit_of(planted, row, args, taken);
    if row.mailbox.signals_max.is_some_and(|most| taken >= most as usize) {
        return Err(DeliverSignalArgs::too_many());
    }
    let record = record_of(args, now);
    #[cfg(feature = "flaws")]
    let record = {
        let payload = flaw::payload_of(planted, record.signal.payload);
        SignalRecord { signal: ResumeSignal { payload, ..record.signal }, ..record }
    };
    row.mailbox.signals.push(record);
    #[cfg(feature = "flaws")]
    if flaw::dropped(planted, standing) {
        row.mailbox.signals.pop();
    }
    row.record.last_mutation_at = now;
    let effect = match standing {
        WaitpointState::Active => {
            let (effect, delay_ms) = count(row, args, now);
            #[cfg(feature = "flaws")]
            let delay_ms = flaw::delay_of(planted, delay_ms);
            if effect == SignalEffect::ResumeConditionSatisfied {
                resume(row, index, SuspensionEnd::Resumed, delay_ms, now);
            } else {
                // An escalation was written down with it.
                let place = Place::of(row);
                index.place(row, place);
            }
            effect
        }
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
    let kid = state.keyring.check(&args.waitpoint_token, execution, waitpoint).ok();
    #[cfg(feature = "flaws")]
    let kid = flaw::token_fits(state, args, kid);
    let key = kid.and_then(|kid| state.keyring.keys.get(&kid));
    let counts = key.is_some_and(|key| key.counts(now));
    #[cfg(feature = "flaws")]
    let counts = key.is_some() && flaw::token_counts(state, counts);
    #[cfg(feature = "flaws")]
    if counts && flaw::unguarded(state, args) {
        return true;
    }
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
    match stands(row, args, now) {
        Some(standing @ (WaitpointState::Active | WaitpointState::Pending)) => Ok(standing),
        Some(WaitpointState::Closed) | None => Err(EngineError::State(StateKind::WaitpointClosed)),
    }
}

/// Where the waitpoint stands, if there is one.
fn stands(row: &StoredExecution, args: &DeliverSignalArgs, now: TimestampMs) -> Option<WaitpointState> {
    row.mailbox.waitpoints.get(&args.waitpoint_id).map(|waitpoint| waitpoint.state(&row.record, now))
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

/// What the signal that was accepted last did to the open suspension, and how long a resume by it is delayed.
fn count(row: &mut StoredExecution, args: &DeliverSignalArgs, now: TimestampMs) -> (SignalEffect, u64) {
    // An escalation that nobody has written down stands before the end.
    row.record.settle_suspension(now);
    let Some(suspension) = &row.record.suspension else { return (SignalEffect::SignalIgnoredNotInCondition, 0) };
    let accepted: Vec<_> =
        row.mailbox.signals_of(suspension.number).filter_map(|record| row.mailbox.seen(record)).collect();
    let asked = args.resume_delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    let delay_ms = asked.or(suspension.resume_delay_ms).unwrap_or_default();
    (ConditionLeaf::effect(&suspension.leaves, &accepted), delay_ms)
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
    #[cfg(feature = "flaws")]
    let planted = state.flaw;
    let (row, index, events) = state.parts(&args.execution_id)?;
    let current = row.record.state_at(now);
    if current.lifecycle_phase == LifecyclePhase::Runnable && row.record.was_resumed_by_operator() {
        #[cfg(feature = "flaws")]
        if flaw::resumed_again(planted) {
            events.operator(row, OperatorEventKind::Resumed, args.reason.clone(), now);
        }
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
