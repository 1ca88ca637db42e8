//! The ids that an answer shows and a store minted, in a fixed order.

use ff_core::{
    AttemptInfo, AttemptSummary, ClaimExecutionResult, ClaimForWorkerOutcome, ContentionKind, EngineError, Handle,
    ListPendingWaitpointsResult, RevokeLeaseResult,
};
use uuid::Uuid;

use crate::{Answer, Outcome};

/// The minted ids of an outcome of the backend called `label`; two outcomes that differ in nothing else show as many.
pub(super) fn shown(outcome: &Outcome, label: &str) -> Vec<Uuid> {
    match outcome {
        Ok(answer) => of_answer(answer, label),
        Err(error) => of_error(error).into_iter().collect(),
    }
}

fn of_answer(answer: &Answer, label: &str) -> Vec<Uuid> {
    match answer {
        Answer::Done
        | Answer::ReadExecutionState(_)
        | Answer::GetExecutionResult(_)
        | Answer::ListExecutions(_)
        | Answer::ListLanes(_)
        | Answer::CreateExecution(_)
        | Answer::CancelExecution(_)
        | Answer::ChangePriority(_)
        | Answer::ReplayExecution(_)
        | Answer::Fail(_)
        | Answer::Renew(_)
        | Answer::ExplainUnclaimed(_)
        | Answer::Suspend(_)
        | Answer::ObserveSignals(_)
        | Answer::DeliverSignal(_)
        | Answer::ResumeExecution(_)
        | Answer::ListSuspended(_)
        | Answer::SeedWaitpointHmacSecret(_)
        | Answer::RotateWaitpointHmacSecretAll(_)
        | Answer::Scan(_) => Vec::new(),
        Answer::ListPendingWaitpoints(page) => of_waitpoints(page),
        Answer::CreateWaitpoint(pending) => vec![pending.waitpoint_id.as_uuid()],
        Answer::CreateExecutions(each) => of_each(each),
        Answer::CompleteMany(each) => of_each(each),
        Answer::RenewMany(each) => of_each(each),
        Answer::DescribeExecution(found) => {
            let lease = found.iter().flat_map(|found| &found.current_lease).map(|lease| lease.lease_id.as_uuid());
            found.iter().flat_map(|found| of_attempt(found.current_attempt)).chain(lease).collect()
        }
        Answer::ReadExecutionInfo(found) => found.iter().flat_map(|found| of_attempt(found.current_attempt)).collect(),
        Answer::ListAttempts(page) => {
            let ids = |attempt: &AttemptInfo| [attempt.attempt_id.as_uuid(), attempt.lease_id.as_uuid()];
            page.attempts.iter().flat_map(ids).collect()
        }
        Answer::RevokeLease(RevokeLeaseResult::Revoked { lease_id, .. }) => vec![lease_id.as_uuid()],
        Answer::RevokeLease(RevokeLeaseResult::AlreadySatisfied { .. }) => Vec::new(),
        Answer::Claim(handle) => handle.iter().flat_map(|handle| of_handle(handle, label)).collect(),
        Answer::ClaimMany(handles) => handles.iter().flat_map(|handle| of_handle(handle, label)).collect(),
        Answer::ClaimForWorker(ClaimForWorkerOutcome::Granted(grant)) => vec![grant.grant_key.as_uuid()],
        Answer::ClaimForWorker(ClaimForWorkerOutcome::NoWork) => Vec::new(),
        Answer::ClaimExecution(ClaimExecutionResult::Claimed(handle)) => of_handle(handle, label),
    }
}

/// The order of a page is that of ids, which are what is not known yet; nothing else of two open ones is equal.
fn of_waitpoints(page: &ListPendingWaitpointsResult) -> Vec<Uuid> {
    let mut shown: Vec<_> = page.waitpoints.iter().collect();
    shown.sort_by_key(|info| (info.waitpoint_key.as_str(), info.state.as_str(), info.created_at));
    shown.into_iter().map(|info| info.waitpoint_id.as_uuid()).collect()
}

fn of_attempt(attempt: Option<AttemptSummary>) -> Option<Uuid> {
    attempt.map(|attempt| attempt.attempt_id.as_uuid())
}

fn of_handle(handle: &Handle, label: &str) -> Vec<Uuid> {
    let held = handle.decode(label).ok();
    held.map(|held| vec![held.fence.lease_id.as_uuid(), held.fence.attempt_id.as_uuid()]).unwrap_or_default()
}

fn of_each<T>(each: &[Result<T, EngineError>]) -> Vec<Uuid> {
    each.iter().filter_map(|answer| answer.as_ref().err()).filter_map(of_error).collect()
}

fn of_error(error: &EngineError) -> Option<Uuid> {
    match error {
        EngineError::Contention(ContentionKind::ExecutionNotActive { attempt_id, .. }) => {
            attempt_id.map(|attempt_id| attempt_id.as_uuid())
        }
        _ => None,
    }
}
