//! Operations as values: one call by a client on a subject.

use std::sync::Arc;

use ff_core::{
    CancelExecutionArgs, CancelExecutionResult, CapabilitySet, ChangePriorityArgs, ChangePriorityResult,
    ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs, ClaimForWorkerOutcome, CompleteArgs,
    CreateExecutionArgs, CreateExecutionResult, EngineBackend, EngineError, ExecutionId, ExecutionInfo,
    ExecutionSnapshot, FailOutcome, FailureClass, FailureReason, Handle, LeaseRenewal, ListAttemptsPage,
    ListExecutionsPage, ListLanesPage, PageLimit, PublicState, ReplayExecutionArgs, ReplayExecutionResult,
    RevokeLeaseArgs, RevokeLeaseResult, SetExecutionTagArgs, TimestampMs, UnclaimedReason,
};
use futures::future::BoxFuture;

use crate::Claimed;

/// A call by a client on a subject.
pub(crate) type Call<S, T> = fn(Arc<dyn EngineBackend>, S) -> Answer<T>;

/// What a call will answer.
pub(crate) type Answer<T> = BoxFuture<'static, Result<T, EngineError>>;

pub(crate) fn create(client: Arc<dyn EngineBackend>, args: CreateExecutionArgs) -> Answer<CreateExecutionResult> {
    Box::pin(async move { client.create_execution(args).await })
}

pub(crate) fn progress(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<()> {
    Box::pin(async move { client.progress(&held.handle, Some(40), Some("two of five".to_owned())).await })
}

pub(crate) fn renew(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<LeaseRenewal> {
    Box::pin(async move { client.renew(&held.handle).await })
}

pub(crate) fn complete(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<()> {
    Box::pin(async move { client.complete(&held.handle, Some(vec![0, 0xff, b'!'])).await })
}

pub(crate) fn fail(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<FailOutcome> {
    Box::pin(async move { client.fail(&held.handle, FailureReason::new("broken"), FailureClass::Transient).await })
}

pub(crate) fn cancel(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<()> {
    Box::pin(async move { client.cancel(&held.handle, "no longer wanted").await })
}

/// What a batch answers.
pub(crate) type Each<T> = Vec<Result<T, EngineError>>;

pub(crate) fn create_many(
    client: Arc<dyn EngineBackend>,
    batch: Vec<CreateExecutionArgs>,
) -> Answer<Each<CreateExecutionResult>> {
    Box::pin(async move { client.create_executions(batch).await })
}

pub(crate) fn complete_many(client: Arc<dyn EngineBackend>, held: Vec<Claimed>) -> Answer<Each<()>> {
    let batch = held.into_iter().map(|held| CompleteArgs::new(held.handle, Some(vec![0, 0xff, b'!']))).collect();
    Box::pin(async move { client.complete_many(batch).await })
}

pub(crate) fn renew_many(client: Arc<dyn EngineBackend>, held: Vec<Claimed>) -> Answer<Each<LeaseRenewal>> {
    let handles: Vec<_> = held.into_iter().map(|held| held.handle).collect();
    Box::pin(async move { client.renew_many(&handles).await })
}

pub(crate) fn describe(client: Arc<dyn EngineBackend>, id: ExecutionId) -> Answer<Option<ExecutionSnapshot>> {
    Box::pin(async move { client.describe_execution(&id).await })
}

pub(crate) fn read_state(client: Arc<dyn EngineBackend>, id: ExecutionId) -> Answer<Option<PublicState>> {
    Box::pin(async move { client.read_execution_state(&id).await })
}

pub(crate) fn read_info(client: Arc<dyn EngineBackend>, id: ExecutionId) -> Answer<Option<ExecutionInfo>> {
    Box::pin(async move { client.read_execution_info(&id).await })
}

pub(crate) fn result(client: Arc<dyn EngineBackend>, id: ExecutionId) -> Answer<Option<Vec<u8>>> {
    Box::pin(async move { client.get_execution_result(&id).await })
}

pub(crate) fn list_executions(client: Arc<dyn EngineBackend>, _: ExecutionId) -> Answer<ListExecutionsPage> {
    Box::pin(async move { client.list_executions(None, PageLimit::MAX).await })
}

pub(crate) fn list_lanes(client: Arc<dyn EngineBackend>, _: ExecutionId) -> Answer<ListLanesPage> {
    Box::pin(async move { client.list_lanes(None, PageLimit::MAX).await })
}

pub(crate) fn ping(client: Arc<dyn EngineBackend>, _: ExecutionId) -> Answer<()> {
    Box::pin(async move { client.ping().await })
}

pub(crate) fn delay(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<()> {
    Box::pin(async move { client.delay(&held.handle, TimestampMs::MAX).await })
}

pub(crate) fn wait_children(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<()> {
    Box::pin(async move { client.wait_children(&held.handle).await })
}

pub(crate) fn claim_for_worker(
    client: Arc<dyn EngineBackend>,
    args: ClaimForWorkerArgs,
) -> Answer<ClaimForWorkerOutcome> {
    Box::pin(async move { client.claim_for_worker(args).await })
}

pub(crate) fn claim_execution(
    client: Arc<dyn EngineBackend>,
    args: ClaimExecutionArgs,
) -> Answer<ClaimExecutionResult> {
    Box::pin(async move { client.claim_execution(args).await })
}

pub(crate) fn claim_from_reclaim(client: Arc<dyn EngineBackend>, args: ClaimExecutionArgs) -> Answer<Option<Handle>> {
    Box::pin(async move { client.claim_from_reclaim(args).await })
}

pub(crate) fn claim_resumed_execution(
    client: Arc<dyn EngineBackend>,
    args: ClaimExecutionArgs,
) -> Answer<ClaimExecutionResult> {
    Box::pin(async move { client.claim_resumed_execution(args).await })
}

pub(crate) fn explain_unclaimed(client: Arc<dyn EngineBackend>, id: ExecutionId) -> Answer<Option<UnclaimedReason>> {
    Box::pin(async move { client.explain_unclaimed(&id, &CapabilitySet::default()).await })
}

pub(crate) fn list_attempts(client: Arc<dyn EngineBackend>, id: ExecutionId) -> Answer<ListAttemptsPage> {
    Box::pin(async move { client.list_attempts(&id, None, PageLimit::MAX).await })
}

pub(crate) fn cancel_execution(
    client: Arc<dyn EngineBackend>,
    args: CancelExecutionArgs,
) -> Answer<CancelExecutionResult> {
    Box::pin(async move { client.cancel_execution(args).await })
}

pub(crate) fn cancel_held(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<CancelExecutionResult> {
    cancel_execution(client, CancelExecutionArgs::new(held.payload.execution_id, "no longer wanted"))
}

pub(crate) fn change_priority(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<ChangePriorityResult> {
    Box::pin(async move { client.change_priority(ChangePriorityArgs::new(held.payload.execution_id, 7)).await })
}

pub(crate) fn replay_execution(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<ReplayExecutionResult> {
    Box::pin(async move { client.replay_execution(ReplayExecutionArgs::new(held.payload.execution_id)).await })
}

pub(crate) fn set_execution_tag(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<()> {
    let args = SetExecutionTagArgs::new(held.payload.execution_id, "team.name", "blue");
    Box::pin(async move { client.set_execution_tag(args).await })
}

pub(crate) fn revoke_lease(client: Arc<dyn EngineBackend>, held: Claimed) -> Answer<RevokeLeaseResult> {
    Box::pin(async move { client.revoke_lease(RevokeLeaseArgs::new(held.payload.execution_id, "drain")).await })
}
