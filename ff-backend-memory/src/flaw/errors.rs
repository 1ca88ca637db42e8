//! What a store with a fault says instead of the refusal that belongs to a bad case.

use ff_core::{
    Applied, ContentionKind, EngineError, Entity, StateKind, TerminalOutcome, TransportKind, ValidationKind,
};

use super::Flaw;
use crate::{Answer, Op, Outcome, capabilities::LABEL};

/// LE4, ER1 to ER7.
pub(super) fn told(flaw: Flaw, op: &Op, outcome: Outcome) -> Outcome {
    match outcome {
        Err(refusal) => refused(flaw, op, refusal),
        Ok(Answer::DescribeExecution(None)) if flaw == Flaw::Er2 => Err(EngineError::execution_not_found()),
        Ok(answer) => Ok(answer),
    }
}

fn refused(flaw: Flaw, op: &Op, refusal: EngineError) -> Outcome {
    Err(match (flaw, refusal) {
        (Flaw::Er1, EngineError::NotFound { entity: Entity::Execution }) => EngineError::State(StateKind::StaleLease),
        (Flaw::Er3, EngineError::Validation { kind: ValidationKind::HandleFromOtherBackend, detail }) => {
            EngineError::corrupt(detail)
        }
        (Flaw::Er5, EngineError::State(StateKind::LeaseExpired)) => EngineError::State(StateKind::StaleLease),
        (Flaw::Er6, EngineError::Validation { kind: ValidationKind::InvalidInput, .. })
            if matches!(op, Op::DescribeExecution(_)) =>
        {
            return Ok(Answer::DescribeExecution(None));
        }
        (Flaw::Er7, refusal @ EngineError::NotFound { .. }) => {
            EngineError::transport(LABEL, TransportKind::Other, Applied::No, refusal.to_string())
        }
        (flaw, EngineError::Contention(kind)) => EngineError::Contention(not_active(flaw, kind)),
        (_, refusal) => refusal,
    })
}

/// What is told of work that is not active.
fn not_active(flaw: Flaw, kind: ContentionKind) -> ContentionKind {
    match (flaw, kind) {
        (Flaw::Le4, ContentionKind::ExecutionNotActive { lease_epoch, lifecycle_phase, attempt_id, .. }) => {
            let terminal_outcome = TerminalOutcome::None;
            ContentionKind::ExecutionNotActive { terminal_outcome, lease_epoch, lifecycle_phase, attempt_id }
        }
        (Flaw::Er4, ContentionKind::ExecutionNotActive { terminal_outcome, lease_epoch, lifecycle_phase, .. }) => {
            ContentionKind::ExecutionNotActive { terminal_outcome, lease_epoch, lifecycle_phase, attempt_id: None }
        }
        (_, kind) => kind,
    }
}
