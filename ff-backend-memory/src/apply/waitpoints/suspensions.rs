//! How a suspension begins.

use std::time::Duration;

use ff_core::{
    AdditionalWaitpoint, AttemptPhase, BackendTag, ConditionLeaf, ConflictKind, EngineError, ExecutionId, Handle,
    HandleKind, HandlePayload, LeaseEventKind, LeaseFence, LifecyclePhase, Operation, ReleaseReason, StateKind,
    StateVector, SuspendArgs, SuspendOutcome, SuspendOutcomeDetails, SuspensionEnd, SuspensionRecord, TimeoutBehavior,
    TimestampMs, WaitpointBinding, WaitpointRecord,
};

#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{FirstSuspension, Place, State, StoredExecution};

pub(in crate::apply) fn suspend(
    state: &mut State,
    handle: &Handle,
    args: &SuspendArgs,
    now: TimestampMs,
) -> Result<SuspendOutcome, EngineError> {
    let held = handle.decode(state.label)?;
    if handle.kind() == HandleKind::Suspended {
        return Err(EngineError::State(StateKind::AlreadySuspended));
    }
    begin(state, &held.execution_id, held.fence, Some(&held), args, now)
}

pub(in crate::apply) fn suspend_by_triple(
    state: &mut State,
    id: &ExecutionId,
    fence: LeaseFence,
    args: &SuspendArgs,
    now: TimestampMs,
) -> Result<SuspendOutcome, EngineError> {
    begin(state, id, fence, None, args, now)
}

fn begin(
    state: &mut State,
    id: &ExecutionId,
    fence: LeaseFence,
    held: Option<&HandlePayload>,
    args: &SuspendArgs,
    now: TimestampMs,
) -> Result<SuspendOutcome, EngineError> {
    let expected = args.check()?;
    id.check_partition(state.limits.partitions)?;
    if state.keyring.current.is_none() {
        return Err(EngineError::State(StateKind::SigningKeyMissing));
    }
    if let Some(first) = first_by_key(state, id, args, now) {
        return answer(state, id, &first);
    }
    let row = state.row(id)?;
    if let Some(first) = first_by_id(row, fence, args, now) {
        return answer(state, id, &first);
    }
    row.record.check_fence(&fence, now)?;
    let lease = row.record.lease.as_ref().ok_or_else(|| EngineError::corrupt("leased without a lease"))?;
    let is_other = held.is_some_and(|held| held.attempt_index != lease.attempt_index);
    #[cfg(feature = "flaws")]
    let is_other = is_other && flaw::compared_index(state);
    if is_other {
        return Err(SuspendArgs::other_attempt_index());
    }
    let timeout = timeout_of(row, args, now)?;
    #[cfg(feature = "flaws")]
    let timeout = match args.timeout_at {
        Some(_) => (flaw::timeout_at(state, timeout.0), timeout.1),
        None => (flaw::default_timeout(state, timeout.0), timeout.1),
    };
    check_bindings(row, fence, args, expected.as_deref(), now)?;
    let receipt = receipt(row, fence, held)?;
    let first = take_up(state, id, fence, timeout, receipt, args, now)?;
    let mailbox = &mut state.row_mut(id)?.mailbox;
    mailbox.latest = Some(first.clone());
    if let Some(key) = &args.idempotency_key {
        let life = Duration::from_millis(SuspendArgs::key_life_ms(timeout.0, now));
        mailbox.keys.insert(key.clone(), (first.clone(), now.plus(life)));
    }
    answer(state, id, &first)
}

/// The first suspend under the same idempotency key, while that is remembered.
fn first_by_key(state: &State, id: &ExecutionId, args: &SuspendArgs, now: TimestampMs) -> Option<FirstSuspension> {
    let (first, end) = state.execution(id)?.mailbox.keys.get(args.idempotency_key.as_ref()?)?;
    let is_known = !end.has_come(now);
    #[cfg(feature = "flaws")]
    let is_known = flaw::known_key(state, is_known);
    is_known.then(|| first.clone())
}

/// The first suspend with the same suspension by the same lease, until the next acquisition or the end of the execution.
fn first_by_id(
    row: &StoredExecution,
    fence: LeaseFence,
    args: &SuspendArgs,
    now: TimestampMs,
) -> Option<FirstSuspension> {
    let record = &row.record;
    let suspension = record.suspension.as_ref().filter(|found| found.suspension_id == args.suspension_id)?;
    let is_same = suspension.lease_epoch == record.lease_epoch
        && record.fence() == Some(fence)
        && record.state_at(now).lifecycle_phase != LifecyclePhase::Terminal;
    row.mailbox.latest.clone().filter(|_| is_same)
}

/// The time-out that counts: that of the arguments, else that of the policy.
fn timeout_of(
    row: &StoredExecution,
    args: &SuspendArgs,
    now: TimestampMs,
) -> Result<(Option<TimestampMs>, TimeoutBehavior), EngineError> {
    SuspendArgs::check_timeout(args.timeout_at, now)?;
    let policy = row.mailbox.policy.unwrap_or_default();
    let by_policy = || policy.default_timeout_ms.map(|ms| now.plus(Duration::from_millis(ms)));
    Ok((args.timeout_at.or_else(by_policy), args.timeout_behavior.unwrap_or(policy.timeout_behavior)))
}

fn check_bindings(
    row: &StoredExecution,
    fence: LeaseFence,
    args: &SuspendArgs,
    expected: Option<&str>,
    now: TimestampMs,
) -> Result<(), EngineError> {
    for binding in &args.waitpoints {
        let known = row.mailbox.waitpoints.get(&binding.waitpoint_id());
        match (binding, known) {
            (WaitpointBinding::Fresh { .. }, Some(_)) => {
                return Err(EngineError::Conflict(ConflictKind::WaitpointAlreadyExists));
            }
            (WaitpointBinding::Fresh { .. }, None) => {}
            (WaitpointBinding::UsePending { .. }, None) => return Err(WaitpointRecord::not_found()),
            (WaitpointBinding::UsePending { .. }, Some(pending)) => {
                pending.check_pending(fence.attempt_id, expected, now)?;
            }
        }
    }
    Ok(())
}

/// The content of the receipt: that of the handle, or of the lease for a caller without one.
fn receipt(
    row: &StoredExecution,
    fence: LeaseFence,
    held: Option<&HandlePayload>,
) -> Result<HandlePayload, EngineError> {
    if let Some(held) = held {
        return Ok(held.clone());
    }
    let lease = row.record.lease.as_ref().ok_or_else(|| EngineError::corrupt("a suspension without a lease"))?;
    Ok(HandlePayload {
        execution_id: row.record.execution_id,
        attempt_index: lease.attempt_index,
        fence,
        lease_ttl: Duration::ZERO,
        lane_id: row.record.lane_id.clone(),
        worker_instance_id: lease.worker_instance_id.clone(),
    })
}

/// Writes the suspension and its waitpoints, and gives the lease back unless the condition holds already.
fn take_up(
    state: &mut State,
    id: &ExecutionId,
    fence: LeaseFence,
    (timeout_at, timeout_behavior): (Option<TimestampMs>, TimeoutBehavior),
    receipt: HandlePayload,
    args: &SuspendArgs,
    now: TimestampMs,
) -> Result<FirstSuspension, EngineError> {
    let mut minted = Vec::with_capacity(args.waitpoints.len());
    for binding in &args.waitpoints {
        minted.push(state.keyring.mint(id, &binding.waitpoint_id())?);
    }
    #[cfg(feature = "flaws")]
    let planted = state.flaw;
    let (row, index, events) = state.parts(id)?;
    let number = row.record.suspension.as_ref().map_or(0, |last| last.number) + 1;
    let mut waitpoints = Vec::with_capacity(args.waitpoints.len());
    for (binding, minted) in args.waitpoints.iter().zip(minted) {
        let waitpoint_id = binding.waitpoint_id();
        let waitpoint = row.mailbox.waitpoints.entry(waitpoint_id).or_insert_with(|| WaitpointRecord {
            waitpoint_id,
            waitpoint_key: binding.waitpoint_key().unwrap_or_default().to_owned(),
            attempt_id: fence.attempt_id,
            suspension_number: None,
            created_at: now,
            activated_at: None,
            expires_at: None,
            token_kid: minted.kid,
            token_fingerprint: minted.fingerprint,
        });
        waitpoint.suspension_number = Some(number);
        waitpoint.activated_at = Some(now);
        waitpoints.push((waitpoint_id, waitpoint.waitpoint_key.clone(), waitpoint.token_kid.clone()));
    }
    let leaves = args.leaves();
    #[cfg(feature = "flaws")]
    let leaves =
        flaw::leaves_of(planted, leaves, &waitpoints.iter().map(|(_, key, _)| key.clone()).collect::<Vec<_>>());
    let kept: Vec<_> = row.mailbox.signals_of(number).filter_map(|record| row.mailbox.seen(record)).collect();
    let already_satisfied = ConditionLeaf::all_hold(&leaves, &kept);
    row.record.suspension = Some(SuspensionRecord {
        number,
        suspension_id: args.suspension_id,
        waitpoint_id: args.waitpoints[0].waitpoint_id(),
        attempt_id: fence.attempt_id,
        lease_epoch: fence.lease_epoch,
        suspended_at: now,
        timeout_at,
        timeout_behavior,
        reason_code: args.reason_code,
        requested_by: args.requested_by,
        continuation_metadata_pointer: args.continuation_metadata_pointer.clone(),
        leaves,
        resume_delay_ms: args.resume_policy.resume_delay.and_then(|delay| u64::try_from(delay.as_millis()).ok()),
        already_satisfied,
        ended: already_satisfied.then_some((SuspensionEnd::Resumed, now)),
    });
    row.record.last_mutation_at = now;
    if !already_satisfied {
        events.lease(row, LeaseEventKind::Released, Some(ReleaseReason::Suspend), now);
        if let Some(attempt) = row.attempts.last_mut() {
            attempt.phase = AttemptPhase::Suspended;
        }
        row.record.state = StateVector::suspended(args.reason_code.blocking_reason());
        row.record.delay_until = None;
        row.record.last_transition_at = now;
        row.ended_by = Some(Operation::Suspend);
        let place = Place::of(row);
        index.place(row, place);
    }
    Ok(FirstSuspension { suspension_id: args.suspension_id, waitpoints, already_satisfied, receipt })
}

/// What a suspend answers, now and when it is repeated.
fn answer(state: &State, id: &ExecutionId, first: &FirstSuspension) -> Result<SuspendOutcome, EngineError> {
    let mut waitpoints = Vec::with_capacity(first.waitpoints.len());
    for (waitpoint_id, waitpoint_key, kid) in &first.waitpoints {
        let minted = state.keyring.mint_again(kid, id, waitpoint_id)?;
        #[cfg(feature = "flaws")]
        let minted = flaw::minted_again(state, id, waitpoint_id, minted);
        waitpoints.push(AdditionalWaitpoint {
            waitpoint_id: *waitpoint_id,
            waitpoint_key: waitpoint_key.clone(),
            waitpoint_token: minted.token,
        });
    }
    if waitpoints.is_empty() {
        return Err(EngineError::corrupt("a suspension without a waitpoint"));
    }
    let primary = waitpoints.remove(0);
    let details = SuspendOutcomeDetails {
        suspension_id: first.suspension_id,
        waitpoint_id: primary.waitpoint_id,
        waitpoint_key: primary.waitpoint_key,
        waitpoint_token: primary.waitpoint_token,
        additional_waitpoints: waitpoints,
    };
    if first.already_satisfied {
        return Ok(SuspendOutcome::AlreadySatisfied { details });
    }
    let handle = first.receipt.seal(BackendTag::try_new(state.label)?, HandleKind::Suspended);
    Ok(SuspendOutcome::Suspended { details, handle })
}
