//! What operators ask of an execution.

use ff_core::{
    CancelExecutionArgs, CancelExecutionResult, ChangePriorityArgs, ChangePriorityResult, Limits, PublicState,
    ReplayExecutionArgs, ReplayExecutionResult, SetExecutionTagArgs,
};

use crate::{backend::PostgresBackend, error::PgError, id::stored, row::outcome};

pub(super) async fn cancel(
    backend: &PostgresBackend,
    args: &CancelExecutionArgs,
) -> Result<CancelExecutionResult, PgError> {
    args.check(backend.limits())?;
    let id = stored(&args.execution_id);
    let fence = args.fence.as_ref().filter(|_| args.source.is_fenced());
    let epoch = fence.map(|fence| fence.lease_epoch.0).unwrap_or_default();
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            sqlx::query(include_str!("cancel_execution.sql"))
                .bind(id)
                .bind(args.source.as_str())
                .bind(&args.reason)
                .bind(fence.is_some())
                .bind(fence.map(|fence| fence.lease_id.as_uuid()))
                .bind(i64::try_from(epoch).unwrap_or(i64::MAX))
                .bind(fence.map(|fence| fence.attempt_id.as_uuid()))
        })
        .await?;
    outcome(&verdict, &row)?;
    backend.wake_subscribers(&row)?;
    Ok(CancelExecutionResult::Cancelled { execution_id: args.execution_id, public_state: PublicState::Cancelled })
}

pub(super) async fn change_priority(
    backend: &PostgresBackend,
    args: &ChangePriorityArgs,
) -> Result<ChangePriorityResult, PgError> {
    args.execution_id.check_partition(backend.limits().partitions)?;
    let (id, priority) = (stored(&args.execution_id), args.effective_priority());
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| sqlx::query(include_str!("change_priority.sql")).bind(id).bind(priority))
        .await?;
    outcome(&verdict, &row)?;
    Ok(ChangePriorityResult::Changed { execution_id: args.execution_id, priority })
}

pub(super) async fn replay(
    backend: &PostgresBackend,
    args: &ReplayExecutionArgs,
) -> Result<ReplayExecutionResult, PgError> {
    args.execution_id.check_partition(backend.limits().partitions)?;
    let id = stored(&args.execution_id);
    let store = backend.store().await?;
    let (verdict, row) = store.decide(|| sqlx::query(include_str!("replay_execution.sql")).bind(id)).await?;
    outcome(&verdict, &row)?;
    backend.wake(&row)?;
    Ok(ReplayExecutionResult::Replayed { public_state: PublicState::Waiting })
}

pub(super) async fn set_tag(backend: &PostgresBackend, args: &SetExecutionTagArgs) -> Result<(), PgError> {
    args.check(backend.limits())?;
    let id = stored(&args.execution_id);
    let most = i64::try_from(Limits::TAGS).unwrap_or(i64::MAX);
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            sqlx::query(include_str!("set_execution_tag.sql"))
                .bind(id)
                .bind(&args.key)
                .bind(args.value.as_deref())
                .bind(most)
        })
        .await?;
    outcome(&verdict, &row).map(drop)
}
