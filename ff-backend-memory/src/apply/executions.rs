//! Units of work: how one is created and what readers see.

mod control;

use std::{sync::Arc, time::Duration};

pub(super) use control::{cancel_execution, change_priority, replay_execution, set_execution_tag};
use ff_core::{
    AttemptIndex, AttemptState, BlockingReason, CreateExecutionArgs, CreateExecutionResult, EngineError, ExecutionId,
    ExecutionInfo, ExecutionRecord, ExecutionSnapshot, LaneId, LeaseEpoch, Limits, ListAttemptsPage,
    ListExecutionsPage, ListLanesPage, PageLimit, PublicState, RetryRule, StateVector, TimestampMs,
};

use super::each;
#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{Each, KeyRecord, Mailbox, Place, State, StoredExecution, state::Shared};

pub(super) fn create_execution(
    state: &mut State,
    args: &CreateExecutionArgs,
    now: TimestampMs,
) -> Result<CreateExecutionResult, EngineError> {
    let checked = args.check(&state.limits);
    #[cfg(feature = "flaws")]
    let checked = flaw::checked(state, checked);
    checked?;
    let first = duplicate_of(state, args, now);
    #[cfg(feature = "flaws")]
    let first = match flaw::duplicate(state, args.execution_id, first) {
        Some(Some(answer)) => return Ok(answer),
        Some(None) => None,
        None => first,
    };
    if let Some(first) = first {
        return Ok(CreateExecutionResult::Duplicate { execution_id: first });
    }
    let execution_id = args.execution_id;
    let mut row = Shared::new(row_of(args, now));
    #[cfg(feature = "flaws")]
    flaw::created(state, &mut row);
    let public_state = row.record.state.public_state();
    let place = Place::of(&row);
    #[cfg(feature = "flaws")]
    let place = flaw::row(state, args.effective_delay_until().is_some(), place);
    state.index.register(&row.record);
    state.index.place(&mut row, place);
    state.executions.insert(execution_id, row);
    if let Some(key) = &args.idempotency_key {
        let window = args.policy.dedup_window_ms.unwrap_or(Limits::DEDUP_WINDOW_MS);
        let expires_at = now.plus(Duration::from_millis(window));
        let keys = state.keys.entry(args.namespace.clone()).or_default();
        keys.insert(key.clone(), KeyRecord { execution_id, expires_at });
    }
    Ok(CreateExecutionResult::Created { execution_id, public_state })
}

pub(super) fn create_executions(
    state: &mut State,
    batch: &[CreateExecutionArgs],
    now: TimestampMs,
) -> Result<Each<CreateExecutionResult>, EngineError> {
    Limits::check_batch(batch.len(), batch.iter().map(|args| args.input_payload.len()).sum())?;
    Ok(each(state, batch, |state, args| create_execution(state, args, now)))
}

/// The execution that a create repeats, by id or by a key that has not lapsed.
fn duplicate_of(state: &State, args: &CreateExecutionArgs, now: TimestampMs) -> Option<ExecutionId> {
    if state.executions.contains_key(&args.execution_id) {
        return Some(args.execution_id);
    }
    let first = state.keys.get(&args.namespace)?.get(args.idempotency_key.as_ref()?)?;
    (!first.expires_at.has_come(now)).then_some(first.execution_id)
}

fn row_of(args: &CreateExecutionArgs, now: TimestampMs) -> StoredExecution {
    let delay_until = args.effective_delay_until().filter(|due| !due.has_come(now));
    let first = AttemptState::PendingFirstAttempt;
    let state = match delay_until {
        Some(_) => StateVector::delayed(BlockingReason::WaitingForDelay, first),
        None => StateVector::eligible(first),
    };
    let record = ExecutionRecord {
        execution_id: args.execution_id,
        namespace: args.namespace.clone(),
        lane_id: args.lane_id.clone(),
        execution_kind: args.execution_kind.clone(),
        creator_identity: args.creator_identity.clone(),
        priority: args.effective_priority(),
        state,
        delay_until,
        execution_deadline_at: args.execution_deadline_at.or_else(|| after(args.policy.execution_deadline_ms(), now)),
        lease: None,
        grant: None,
        suspension: None,
        lease_epoch: LeaseEpoch::default(),
        total_attempt_count: 0,
        retry_count: 0,
        lease_reclaim_count: 0,
        replay_count: 0,
        created_at: now,
        started_at: None,
        completed_at: None,
        last_transition_at: now,
        last_mutation_at: now,
        failure_reason: None,
        failure_category: None,
        cancellation_reason: None,
        cancelled_by: None,
        progress: None,
    };
    StoredExecution {
        record,
        namespace: Arc::new(args.namespace.clone()),
        input_payload: args.input_payload.clone(),
        payload_encoding: args.payload_encoding.clone(),
        tags: args.tags.clone(),
        result: None,
        required: args.required_capabilities(),
        retry_rule: RetryRule::of(args.policy.retry_policy.as_ref()),
        max_reclaims: args.policy.reclaims_max(),
        max_replays: args.policy.replays_max(),
        attempt_timeout_ms: args.policy.attempt_timeout_ms(),
        attempt_timeout_at: None,
        deadline_after_ms: args.policy.execution_deadline_ms().filter(|_| args.execution_deadline_at.is_none()),
        ended_by: None,
        idempotency_key: args.idempotency_key.clone(),
        place: Place::default(),
        attempts: Vec::new(),
        mailbox: Mailbox::new(&args.policy),
    }
}

/// The instant `ms` after `now`.
pub(super) fn after(ms: Option<u64>, now: TimestampMs) -> Option<TimestampMs> {
    ms.map(|ms| now.plus(Duration::from_millis(ms)))
}

/// The row of an execution that a read names, if there is one.
fn found<'a>(state: &'a State, id: &ExecutionId) -> Result<Option<&'a StoredExecution>, EngineError> {
    id.check_partition(state.limits.partitions)?;
    Ok(state.execution(id))
}

pub(super) fn describe_execution(
    state: &State,
    id: &ExecutionId,
    now: TimestampMs,
) -> Result<Option<ExecutionSnapshot>, EngineError> {
    Ok(found(state, id)?.map(|row| row.record.clone().snapshot(row.tags.clone(), now)))
}

pub(super) fn read_execution_state(
    state: &State,
    id: &ExecutionId,
    now: TimestampMs,
) -> Result<Option<PublicState>, EngineError> {
    Ok(found(state, id)?.map(|row| row.record.public_state(now)))
}

pub(super) fn read_execution_info(
    state: &State,
    id: &ExecutionId,
    now: TimestampMs,
) -> Result<Option<ExecutionInfo>, EngineError> {
    let info =
        |row: &StoredExecution| row.record.clone().info(row.input_payload.clone(), row.payload_encoding.clone(), now);
    Ok(found(state, id)?.map(info))
}

pub(super) fn get_execution_result(state: &State, id: &ExecutionId) -> Result<Option<Vec<u8>>, EngineError> {
    Ok(found(state, id)?.and_then(|row| row.result.clone()))
}

pub(super) fn list_executions(state: &State, cursor: Option<&ExecutionId>, limit: PageLimit) -> ListExecutionsPage {
    #[cfg(feature = "flaws")]
    if let Some(page) = flaw::list_executions(state, cursor, limit) {
        return page;
    }
    let (executions, next_cursor) = page(state.index.ids_behind(cursor), limit);
    ListExecutionsPage { executions, next_cursor }
}

pub(super) fn list_lanes(state: &State, cursor: Option<&LaneId>, limit: PageLimit) -> ListLanesPage {
    let (lanes, next_cursor) = page(state.index.lanes_behind(cursor), limit);
    ListLanesPage { lanes, next_cursor }
}

pub(super) fn list_attempts(
    state: &State,
    id: &ExecutionId,
    cursor: Option<AttemptIndex>,
    limit: PageLimit,
    now: TimestampMs,
) -> Result<ListAttemptsPage, EngineError> {
    let Some(row) = found(state, id)? else { return Ok(ListAttemptsPage::default()) };
    let behind = row.attempts.iter().filter(|attempt| Some(attempt.attempt_index) > cursor);
    let (attempts, last) = page(behind, limit);
    Ok(ListAttemptsPage {
        attempts: attempts.into_iter().map(|attempt| row.record.attempt_at(attempt.into(), now)).collect(),
        next_cursor: last.map(|attempt| attempt.attempt_index),
    })
}

/// The first items, and the last of them if more follow.
pub(super) fn page<'a, T: Clone + 'a>(mut items: impl Iterator<Item = &'a T>, limit: PageLimit) -> (Vec<T>, Option<T>) {
    let taken: Vec<T> = items.by_ref().take(usize::from(limit.get())).cloned().collect();
    let next = taken.last().filter(|_| items.next().is_some()).cloned();
    (taken, next)
}
