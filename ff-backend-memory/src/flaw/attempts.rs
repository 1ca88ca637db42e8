//! What a store with a fault makes of what holders do.

use ff_core::{Backoff, ExecutionPolicy, FailOutcome, HandleKind};

use super::{
    Flaw,
    step::{acquired, row},
};
use crate::{Answer, Op, Outcome, State};

/// AT3, AT4, AT5: when a failure is retried.
pub(super) fn heard(flaw: Flaw, op: &mut Op) {
    let Op::CreateExecution(args) = op else { return };
    let ExecutionPolicy { retry_policy: Some(retry), .. } = &mut args.policy else { return };
    match (flaw, &mut retry.backoff) {
        (Flaw::At3, Backoff::Exponential { multiplier, .. }) => *multiplier = multiplier.floor(),
        (Flaw::At4, Backoff::Exponential { jitter, .. }) => *jitter = false,
        (Flaw::At5, _) => retry.retryable_categories.clear(),
        _ => {}
    }
}

/// AT1, AT2, AT6, AT7, AT8, AT9: what becomes of an attempt.
pub(super) fn left(state: &mut State, flaw: Flaw, op: &Op, outcome: &Outcome) {
    if flaw == Flaw::At1 {
        for handle in acquired(outcome).into_iter().filter(|handle| handle.kind() == HandleKind::Reclaimed) {
            if let Some(row) = row(state, handle) {
                row.record.total_attempt_count -= 1;
            }
        }
    }
    let (Op::Complete { handle, .. } | Op::Fail { handle, .. } | Op::Cancel { handle, .. }, Ok(answer)) = (op, outcome)
    else {
        return;
    };
    let Some(row) = row(state, handle) else { return };
    match (flaw, op, answer) {
        (Flaw::At2, Op::Complete { .. }, _) => row.result = None,
        (Flaw::At6, _, Answer::Fail(FailOutcome::RetryScheduled { .. })) => {
            row.record.failure_reason = None;
            row.record.failure_category = None;
        }
        (Flaw::At7, _, Answer::Fail(FailOutcome::TerminalFailed)) => row.record.failure_category = None,
        (Flaw::At8, Op::Cancel { .. }, _) => row.record.cancelled_by = Some("operator".to_owned()),
        (Flaw::At9, Op::Complete { .. }, _) => {
            row.record.failure_reason = None;
            row.record.failure_category = None;
        }
        _ => {}
    }
}
