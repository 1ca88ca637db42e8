//! What a store with a fault makes of units of work.

use ff_core::{
    BlockingReason, CreateExecutionArgs, CreateExecutionResult, ExecutionId, LeaseSummary, LifecyclePhase, Limits,
    OwnershipState, TerminalOutcome, TimestampMs,
};

use super::{
    Flaw,
    step::{acquired, row},
};
use crate::{Answer, Op, Outcome, Place, State};

/// EX2, EX5, EX7, EX8, EX12: what was asked for, and what time has done before.
pub(super) fn heard(state: &mut State, flaw: Flaw, op: &mut Op, now: TimestampMs) {
    match op {
        Op::CreateExecution(args) => created(flaw, args),
        Op::Complete { payload: Some(bytes), .. } if flaw == Flaw::Ex2 => *bytes = as_text(bytes),
        _ => {}
    }
    if flaw == Flaw::Ex12 {
        let ended = |row: &&mut crate::state::Shared<crate::StoredExecution>| {
            row.record.state.lifecycle_phase == LifecyclePhase::Terminal
        };
        for row in state.executions.values_mut().filter(ended) {
            if row.record.execution_deadline_at.is_some_and(|deadline| deadline.has_come(now)) {
                row.record.state.terminal_outcome = TerminalOutcome::Expired;
            }
        }
    }
}

fn created(flaw: Flaw, args: &mut CreateExecutionArgs) {
    match flaw {
        Flaw::Ex2 => args.input_payload = as_text(&args.input_payload),
        Flaw::Ex5 => {
            let lane = args.lane_id.as_str().to_owned();
            args.idempotency_key = args.idempotency_key.take().map(|key| format!("{lane}:{key}"));
        }
        Flaw::Ex7 => args.priority = args.policy.priority.or(args.priority),
        Flaw::Ex8 => {
            let most = args.execution_kind.floor_char_boundary(Limits::NAME_BYTES);
            args.execution_kind.truncate(most);
        }
        _ => {}
    }
}

fn as_text(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(bytes).into_owned().into_bytes()
}

/// EX1, EX3, EX4, EX6, EX9, EX10, EX11, EX13, EX14: what a step tells and leaves.
pub(super) fn left(state: &mut State, flaw: Flaw, op: &Op, now: TimestampMs, outcome: &mut Outcome) {
    match (flaw, op, &mut *outcome) {
        (Flaw::Ex1, Op::Complete { handle, .. }, Ok(_)) => {
            if let Some(row) = row(state, handle) {
                row.record.created_at = now;
            }
        }
        (Flaw::Ex3, Op::DescribeExecution(id), _) => {
            if let Ok(row) = state.row_mut(id) {
                row.record.last_mutation_at = now;
            }
        }
        (Flaw::Ex4 | Flaw::Ex6 | Flaw::Ex13, Op::CreateExecution(args), Ok(Answer::CreateExecution(answer))) => {
            let created = matches!(answer, CreateExecutionResult::Created { .. });
            stored(state, flaw, args, created);
        }
        (Flaw::Ex9, _, outcome) => {
            for handle in acquired(outcome) {
                if let Some(row) = row(state, handle) {
                    row.record.started_at = Some(now);
                }
            }
        }
        (Flaw::Ex10, Op::Renew { handle }, Ok(_)) => {
            if let Some(row) = row(state, handle) {
                row.record.last_transition_at = now;
            }
        }
        (Flaw::Ex11, Op::ListExecutions { limit, .. }, Ok(Answer::ListExecutions(page))) => {
            let full = page.executions.len() == usize::from(limit.get());
            page.next_cursor = page.executions.last().filter(|_| full).copied();
        }
        (Flaw::Ex14, Op::DescribeExecution(id), Ok(Answer::DescribeExecution(Some(snapshot)))) => {
            snapshot.current_lease = written_lease(state, id);
        }
        _ => {}
    }
}

fn stored(state: &mut State, flaw: Flaw, args: &CreateExecutionArgs, created: bool) {
    let Ok((row, index, _)) = state.parts(&args.execution_id) else { return };
    match (flaw, args.priority) {
        (Flaw::Ex4, _) if !created => row.input_payload.clone_from(&args.input_payload),
        (Flaw::Ex6, Some(priority)) if created && priority < 0 => {
            let place = row.place;
            index.place(row, Place::default());
            row.record.priority = priority;
            index.place(row, place);
        }
        (Flaw::Ex13, _) if created && row.record.delay_until.is_some() => {
            row.record.state.blocking_reason = BlockingReason::WaitingForRetryBackoff;
        }
        _ => {}
    }
}

/// The lease as it was last written.
fn written_lease(state: &State, id: &ExecutionId) -> Option<LeaseSummary> {
    let record = &state.execution(id)?.record;
    let lease = record.lease.clone().filter(|_| record.state.ownership_state == OwnershipState::Leased)?;
    Some(LeaseSummary {
        lease_id: lease.lease_id,
        lease_epoch: record.lease_epoch,
        attempt_index: lease.attempt_index,
        worker_instance_id: lease.worker_instance_id,
        acquired_at: lease.acquired_at,
        expires_at: lease.expires_at,
        last_renewed_at: lease.last_renewed_at,
    })
}
