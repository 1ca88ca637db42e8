//! An operation as a value, done through the contract.

use ff_backend_memory::{Answer, Op, Outcome};
use ff_core::EngineBackend;

/// Does `op` on `client`; the answer is that of the method.
#[expect(clippy::too_many_lines, reason = "one arm an operation")]
pub(crate) async fn perform(client: &dyn EngineBackend, op: Op) -> Outcome {
    match op {
        Op::CreateExecution(args) => client.create_execution(*args).await.map(Answer::CreateExecution),
        Op::CreateExecutions(batch) => client.create_executions(batch).await.map(Answer::CreateExecutions),
        Op::DescribeExecution(id) => {
            client.describe_execution(&id).await.map(|found| Answer::DescribeExecution(found.map(Box::new)))
        }
        Op::ReadExecutionState(id) => client.read_execution_state(&id).await.map(Answer::ReadExecutionState),
        Op::ReadExecutionInfo(id) => {
            client.read_execution_info(&id).await.map(|found| Answer::ReadExecutionInfo(found.map(Box::new)))
        }
        Op::GetExecutionResult(id) => client.get_execution_result(&id).await.map(Answer::GetExecutionResult),
        Op::ListExecutions { cursor, limit } => client.list_executions(cursor, limit).await.map(Answer::ListExecutions),
        Op::ListLanes { cursor, limit } => client.list_lanes(cursor, limit).await.map(Answer::ListLanes),
        Op::ListAttempts { id, cursor, limit } => {
            client.list_attempts(&id, cursor, limit).await.map(Answer::ListAttempts)
        }
        Op::CancelExecution(args) => client.cancel_execution(args).await.map(Answer::CancelExecution),
        Op::ChangePriority(args) => client.change_priority(args).await.map(Answer::ChangePriority),
        Op::ReplayExecution(args) => client.replay_execution(args).await.map(Answer::ReplayExecution),
        Op::SetExecutionTag(args) => client.set_execution_tag(args).await.map(|()| Answer::Done),
        Op::RevokeLease(args) => client.revoke_lease(args).await.map(Answer::RevokeLease),
        Op::Progress { handle, percent, message } => {
            client.progress(&handle, percent, message).await.map(|()| Answer::Done)
        }
        Op::Complete { handle, payload } => client.complete(&handle, payload).await.map(|()| Answer::Done),
        Op::CompleteMany(batch) => client.complete_many(batch).await.map(Answer::CompleteMany),
        Op::CompleteAndClaim { handle, payload, capabilities, policy } => {
            client.complete_and_claim(&handle, payload, &capabilities, policy).await.map(Answer::Claim)
        }
        Op::Fail { handle, reason, classification } => {
            client.fail(&handle, reason, classification).await.map(Answer::Fail)
        }
        Op::Cancel { handle, reason } => client.cancel(&handle, &reason).await.map(|()| Answer::Done),
        Op::Delay { handle, delay_until } => client.delay(&handle, delay_until).await.map(|()| Answer::Done),
        Op::WaitChildren { handle } => client.wait_children(&handle).await.map(|()| Answer::Done),
        Op::Renew { handle } => client.renew(&handle).await.map(Answer::Renew),
        Op::RenewMany(handles) => client.renew_many(&handles).await.map(Answer::RenewMany),
        Op::Claim { lane, capabilities, policy } => client.claim(&lane, &capabilities, policy).await.map(Answer::Claim),
        Op::ClaimMany { lane, capabilities, policy, limit } => {
            client.claim_many(&lane, &capabilities, policy, limit).await.map(Answer::ClaimMany)
        }
        Op::ClaimForWorker(args) => client.claim_for_worker(*args).await.map(Answer::ClaimForWorker),
        Op::ClaimExecution(args) => client.claim_execution(*args).await.map(Answer::ClaimExecution),
        Op::ClaimFromReclaim(token) => client.claim_from_reclaim(*token).await.map(Answer::Claim),
        Op::ClaimResumedExecution(args) => client.claim_resumed_execution(*args).await.map(Answer::ClaimExecution),
        Op::ExplainUnclaimed { id, capabilities } => {
            client.explain_unclaimed(&id, &capabilities).await.map(Answer::ExplainUnclaimed)
        }
        Op::Suspend { handle, args } => {
            client.suspend(&handle, *args).await.map(|outcome| Answer::Suspend(Box::new(outcome)))
        }
        Op::SuspendByTriple { id, fence, args } => {
            client.suspend_by_triple(id, fence, *args).await.map(|outcome| Answer::Suspend(Box::new(outcome)))
        }
        Op::CreateWaitpoint { handle, waitpoint_key, expires_in } => {
            client.create_waitpoint(&handle, &waitpoint_key, expires_in).await.map(Answer::CreateWaitpoint)
        }
        Op::ObserveSignals(handle) => client.observe_signals(&handle).await.map(Answer::ObserveSignals),
        Op::DeliverSignal(args) => client.deliver_signal(*args).await.map(Answer::DeliverSignal),
        Op::ResumeExecution(args) => client.resume_execution(args).await.map(Answer::ResumeExecution),
        Op::ListSuspended { cursor, limit } => client.list_suspended(cursor, limit).await.map(Answer::ListSuspended),
        Op::ListPendingWaitpoints(args) => {
            client.list_pending_waitpoints(args).await.map(Answer::ListPendingWaitpoints)
        }
        Op::SeedWaitpointHmacSecret(args) => {
            client.seed_waitpoint_hmac_secret(args).await.map(Answer::SeedWaitpointHmacSecret)
        }
        Op::RotateWaitpointHmacSecretAll(args) => {
            client.rotate_waitpoint_hmac_secret_all(args).await.map(Answer::RotateWaitpointHmacSecretAll)
        }
        Op::Scan { args, .. } => client.scan(args).await.map(Answer::Scan),
    }
}
