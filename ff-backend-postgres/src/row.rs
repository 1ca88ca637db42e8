//! Rows as the contract's types; a word or number that cannot be is `Corruption`.

use ff_core::{
    AttemptId, AttemptIndex, AttemptInfo, ConditionLeaf, ContentionKind, EngineError, ExecutionRecord, GrantKey,
    GrantRecord, LeaseEpoch, LeaseId, LeaseRecord, LifecyclePhase, Progress, ReplayExecutionArgs, SetExecutionTagArgs,
    StateKind, StateVector, SuspensionId, SuspensionRecord, TerminalOutcome, TimeoutBehavior, TimestampMs, WaitpointId,
};
use sqlx::{Row, postgres::PgRow};
use std::{fmt, str::FromStr};
use uuid::Uuid;

use crate::{error::PgError, id::execution_id};

/// What became of an operation on one execution that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It took effect.
    Applied,
    /// The same call had taken effect before.
    Replayed,
}

/// The outcome of an operation on one execution, or its refusal.
pub(crate) fn outcome(verdict: &str, row: &PgRow) -> Result<Outcome, PgError> {
    let (outcome, phase) = match verdict {
        "ok" => return Ok(Outcome::Applied),
        "replay" => return Ok(Outcome::Replayed),
        "missing" => return Err(EngineError::execution_not_found().into()),
        "lease_revoked" => return Err(EngineError::State(StateKind::LeaseRevoked).into()),
        "lease_expired" => return Err(EngineError::State(StateKind::LeaseExpired).into()),
        "stale_lease" => return Err(EngineError::State(StateKind::StaleLease).into()),
        "terminal" => return Err(EngineError::State(StateKind::Terminal).into()),
        "not_terminal" => return Err(EngineError::State(StateKind::ExecutionNotTerminal).into()),
        "replays_exhausted" => return Err(EngineError::State(StateKind::MaxReplaysExhausted).into()),
        "not_eligible" => return Err(EngineError::Contention(ContentionKind::ExecutionNotEligible).into()),
        "past_deadline" => return Err(ReplayExecutionArgs::past_deadline().into()),
        "too_many_tags" => return Err(SetExecutionTagArgs::too_many().into()),
        // What time has done counts from its instant, not from the write that tells of it.
        "deadline" | "not_active" => match timed_out(row)? {
            Some(TimeoutBehavior::Fail) => (TerminalOutcome::Failed, LifecyclePhase::Terminal),
            Some(TimeoutBehavior::Cancel) => (TerminalOutcome::Cancelled, LifecyclePhase::Terminal),
            Some(TimeoutBehavior::Expire) => (TerminalOutcome::Expired, LifecyclePhase::Terminal),
            _ if verdict == "deadline" => (TerminalOutcome::Expired, LifecyclePhase::Terminal),
            Some(TimeoutBehavior::AutoResumeWithTimeoutSignal) => (TerminalOutcome::None, LifecyclePhase::Runnable),
            Some(TimeoutBehavior::Escalate) | None => (word(row, "terminal_outcome")?, word(row, "lifecycle_phase")?),
        },
        other => return Err(EngineError::corrupt(format!("unknown verdict {other:?}")).into()),
    };
    Err(EngineError::Contention(ContentionKind::ExecutionNotActive {
        terminal_outcome: outcome,
        lease_epoch: LeaseEpoch(number(row, "lease_epoch")?),
        lifecycle_phase: phase,
        attempt_id: row.try_get::<Option<Uuid>, _>("attempt_id")?.map(AttemptId::from_uuid),
    })
    .into())
}

/// The stored facts of an execution.
pub(crate) fn execution(row: &PgRow) -> Result<ExecutionRecord, PgError> {
    Ok(ExecutionRecord {
        execution_id: execution_id(row, "id")?,
        namespace: word(row, "namespace")?,
        lane_id: word(row, "lane_id")?,
        execution_kind: row.try_get("execution_kind")?,
        creator_identity: row.try_get("creator_identity")?,
        priority: row.try_get("priority")?,
        state: StateVector {
            lifecycle_phase: word(row, "lifecycle_phase")?,
            ownership_state: word(row, "ownership_state")?,
            eligibility_state: word(row, "eligibility_state")?,
            blocking_reason: word(row, "blocking_reason")?,
            terminal_outcome: word(row, "terminal_outcome")?,
            attempt_state: word(row, "attempt_state")?,
        },
        delay_until: maybe_instant(row, "delay_until")?,
        execution_deadline_at: maybe_instant(row, "execution_deadline_at")?,
        lease: lease(row)?,
        grant: grant(row)?,
        suspension: suspension(row)?,
        lease_epoch: LeaseEpoch(number(row, "lease_epoch")?),
        total_attempt_count: number(row, "total_attempt_count")?,
        retry_count: number(row, "retry_count")?,
        lease_reclaim_count: number(row, "lease_reclaim_count")?,
        replay_count: number(row, "replay_count")?,
        created_at: instant(row, "created_at")?,
        started_at: maybe_instant(row, "started_at")?,
        completed_at: maybe_instant(row, "completed_at")?,
        last_transition_at: instant(row, "last_transition_at")?,
        last_mutation_at: instant(row, "last_mutation_at")?,
        failure_reason: row.try_get("failure_reason")?,
        failure_category: row.try_get("failure_category")?,
        cancellation_reason: row.try_get("cancellation_reason")?,
        cancelled_by: row.try_get("cancelled_by")?,
        progress: progress(row)?,
    })
}

/// What the time-out of the suspension has done, if it has come and nobody has written that down.
fn timed_out(row: &PgRow) -> Result<Option<TimeoutBehavior>, PgError> {
    row.try_get::<Option<&str>, _>("timed_out")?.map(|_| word(row, "timed_out")).transpose()
}

/// One attempt at the instant of the statement.
pub(crate) fn attempt(row: &PgRow) -> Result<AttemptInfo, PgError> {
    let stored = AttemptInfo {
        attempt_id: AttemptId::from_uuid(row.try_get("attempt_id")?),
        attempt_index: AttemptIndex(number(row, "attempt_index")?),
        attempt_type: word(row, "attempt_type")?,
        phase: word(row, "phase")?,
        lease_id: LeaseId::from_uuid(row.try_get("lease_id")?),
        lease_epoch: LeaseEpoch(number(row, "lease_epoch")?),
        worker_id: word(row, "worker_id")?,
        worker_instance_id: word(row, "worker_instance_id")?,
        started_at: instant(row, "started_at")?,
        resumed_at: maybe_instant(row, "resumed_at")?,
        ended_at: maybe_instant(row, "ended_at")?,
        failure_reason: row.try_get("failure_reason")?,
        failure_category: row.try_get("failure_category")?,
    };
    Ok(stored.ended_by_deadline(maybe_instant(row, "expired_at")?))
}

/// The instant of the statement.
pub(crate) fn now(row: &PgRow) -> Result<TimestampMs, PgError> {
    instant(row, "now")
}

/// An instant that is there.
pub(crate) fn instant(row: &PgRow, column: &str) -> Result<TimestampMs, PgError> {
    Ok(TimestampMs::from_ms(row.try_get(column)?))
}

/// A number that the contract counts without a sign.
pub(crate) fn number<T: TryFrom<i64>>(row: &PgRow, column: &str) -> Result<T, PgError> {
    let stored: i64 = row.try_get(column)?;
    T::try_from(stored).map_err(|_| EngineError::corrupt(format!("{column}: {stored}")).into())
}

fn maybe_number<T: TryFrom<i64>>(row: &PgRow, column: &str) -> Result<Option<T>, PgError> {
    row.try_get::<Option<i64>, _>(column)?.map(|_| number(row, column)).transpose()
}

/// A text that parses.
pub(crate) fn word<T: FromStr<Err: fmt::Display>>(row: &PgRow, column: &str) -> Result<T, PgError> {
    let stored: &str = row.try_get(column)?;
    stored.parse().map_err(|error| EngineError::corrupt(format!("{column} {stored:?}: {error}")).into())
}

pub(crate) fn maybe_instant(row: &PgRow, column: &str) -> Result<Option<TimestampMs>, PgError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(TimestampMs::from_ms))
}

fn lease(row: &PgRow) -> Result<Option<LeaseRecord>, PgError> {
    let Some(lease_id) = row.try_get::<Option<Uuid>, _>("lease_id")? else { return Ok(None) };
    Ok(Some(LeaseRecord {
        lease_id: LeaseId::from_uuid(lease_id),
        attempt_id: AttemptId::from_uuid(row.try_get("attempt_id")?),
        attempt_index: AttemptIndex(number(row, "attempt_index")?),
        worker_instance_id: word(row, "worker_instance_id")?,
        acquired_at: instant(row, "lease_acquired_at")?,
        expires_at: instant(row, "lease_expires_at")?,
        last_renewed_at: maybe_instant(row, "lease_last_renewed_at")?,
    }))
}

fn grant(row: &PgRow) -> Result<Option<GrantRecord>, PgError> {
    let Some(grant_key) = row.try_get::<Option<Uuid>, _>("grant_key")? else { return Ok(None) };
    Ok(Some(GrantRecord {
        grant_key: GrantKey::from_uuid(grant_key),
        worker_id: word(row, "grant_worker_id")?,
        worker_instance_id: word(row, "grant_worker_instance_id")?,
        expires_at: instant(row, "grant_expires_at")?,
        redeemed: row.try_get("grant_redeemed")?,
    }))
}

fn suspension(row: &PgRow) -> Result<Option<SuspensionRecord>, PgError> {
    let Some(suspension_id) = row.try_get::<Option<Uuid>, _>("suspension_id")? else { return Ok(None) };
    let ended = row.try_get::<Option<&str>, _>("close_reason")?;
    Ok(Some(SuspensionRecord {
        number: number(row, "suspension_number")?,
        already_satisfied: row.try_get("satisfied")?,
        suspension_id: SuspensionId::from_uuid(suspension_id),
        waitpoint_id: WaitpointId::from_uuid(row.try_get("suspension_waitpoint_id")?),
        attempt_id: AttemptId::from_uuid(row.try_get("suspension_attempt_id")?),
        lease_epoch: LeaseEpoch(number(row, "suspension_epoch")?),
        suspended_at: instant(row, "suspended_at")?,
        timeout_at: maybe_instant(row, "suspension_timeout_at")?,
        timeout_behavior: word(row, "timeout_behavior")?,
        reason_code: word(row, "suspension_reason")?,
        requested_by: word(row, "requested_by")?,
        continuation_metadata_pointer: row.try_get("continuation_pointer")?,
        leaves: leaves(row)?,
        resume_delay_ms: maybe_number(row, "suspension_delay_ms")?,
        ended: ended
            .map(|_| Ok::<_, PgError>((word(row, "close_reason")?, instant(row, "suspension_closed_at")?)))
            .transpose()?,
    }))
}

/// The parts of the condition of a suspension.
pub(crate) fn leaves(row: &PgRow) -> Result<Vec<ConditionLeaf>, PgError> {
    let stored = row.try_get("leaves")?;
    serde_json::from_str(stored).map_err(|error| EngineError::corrupt(format!("leaves: {error}")).into())
}

fn progress(row: &PgRow) -> Result<Option<Progress>, PgError> {
    let Some(updated_at) = maybe_instant(row, "progress_updated_at")? else { return Ok(None) };
    let percent = row
        .try_get::<Option<i16>, _>("progress_percent")?
        .map(|stored| u8::try_from(stored).map_err(|_| EngineError::corrupt(format!("progress_percent: {stored}"))))
        .transpose()?;
    Ok(Some(Progress { percent, message: row.try_get("progress_message")?, updated_at }))
}
