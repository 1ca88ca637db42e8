//! One execution at each stage of its life.

use std::sync::Arc;

use ff_core::{
    Backoff, ContentionKind, CreateExecutionArgs, EngineBackend, EngineError, ExecutionPolicy, FailOutcome,
    FailureClass, FailureReason, LeaseEpoch, LifecyclePhase, RetryPolicy, TerminalOutcome,
};

use crate::{Claimed, Cx, Stop, TTL};

/// A policy that retries `max_retries` times after `delay_ms`.
pub(crate) fn retrying(max_retries: u32, delay_ms: u64) -> ExecutionPolicy {
    let backoff = Backoff::Fixed { delay_ms };
    ExecutionPolicy::new().retry(RetryPolicy { max_retries, backoff, ..RetryPolicy::default() })
}

/// An execution under a live lease of the worker `worker`.
pub(crate) async fn held(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Claimed, Stop> {
    held_as(cx, client, cx.execution()?).await
}

/// The execution of `args` under a live lease of the worker `worker`.
pub(crate) async fn held_as(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    args: CreateExecutionArgs,
) -> Result<Claimed, Stop> {
    cx.created(client, args).await?;
    cx.claimed(client, "worker").await
}

/// An execution that its holder completed with the result `done`.
pub(crate) async fn completed(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Claimed, Stop> {
    let claimed = held(cx, client).await?;
    client.complete(&claimed.handle, Some(b"done".to_vec())).await?;
    Ok(claimed)
}

/// An execution that its holder failed for good.
pub(crate) async fn failed(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Claimed, Stop> {
    let claimed = held(cx, client).await?;
    client.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Permanent).await?;
    Ok(claimed)
}

/// An execution that its holder cancelled.
pub(crate) async fn cancelled(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Claimed, Stop> {
    let claimed = held(cx, client).await?;
    client.cancel(&claimed.handle, "no longer wanted").await?;
    Ok(claimed)
}

/// An execution whose first attempt failed and whose retry is due after `delay_ms`.
pub(crate) async fn backing_off(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    delay_ms: u64,
) -> Result<(Claimed, FailOutcome), Stop> {
    let claimed = held_as(cx, client, cx.execution()?.policy(retrying(3, delay_ms))).await?;
    let outcome = client.fail(&claimed.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
    Ok((claimed, outcome))
}

/// An execution whose lease has just run out.
pub(crate) async fn lapsed(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Claimed, Stop> {
    let claimed = held(cx, client).await?;
    cx.pass_time(TTL).await?;
    Ok(claimed)
}

/// What a holder operation answers when the execution of `latest` is not active any more.
pub(crate) fn not_active(latest: &Claimed, outcome: TerminalOutcome, phase: LifecyclePhase) -> EngineError {
    EngineError::Contention(ContentionKind::ExecutionNotActive {
        terminal_outcome: outcome,
        lease_epoch: LeaseEpoch(latest.payload.fence.lease_epoch.0),
        lifecycle_phase: phase,
        attempt_id: Some(latest.payload.fence.attempt_id),
    })
}
