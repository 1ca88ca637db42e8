//! What is suspended and what it waits for.

use ff_core::{
    ConditionLeaf, EngineError, ExecutionId, ListPendingWaitpointsArgs, ListPendingWaitpointsResult, ListSuspendedPage,
    PageLimit, PendingWaitpointInfo, SuspendedCursor, SuspendedExecutionEntry, SuspensionId, WaitpointId,
    WaitpointState,
};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    backend::PostgresBackend,
    error::PgError,
    executions::{cut, page},
    id::{StoredId, execution_id, stored},
    row::{instant, leaves, maybe_instant, word},
};

pub(super) async fn suspended(
    backend: &PostgresBackend,
    cursor: Option<SuspendedCursor>,
    limit: PageLimit,
) -> Result<ListSuspendedPage, PgError> {
    let (after_at, after_id) =
        cursor.map_or((i64::MIN, StoredId::default()), |at| (at.suspended_at.as_ms(), stored(&at.execution_id)));
    let sql = include_str!("list_suspended.sql");
    let rows = page(backend, limit, |most| sqlx::query(sql).bind(after_at).bind(after_id).bind(most)).await?;
    let mut entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let next_cursor = cut(&mut entries, limit).map(|last| last.cursor());
    Ok(ListSuspendedPage { entries, next_cursor })
}

fn entry(row: &PgRow) -> Result<SuspendedExecutionEntry, PgError> {
    Ok(SuspendedExecutionEntry {
        execution_id: execution_id(row, "id")?,
        suspension_id: SuspensionId::from_uuid(row.try_get("suspension_id")?),
        suspended_at: instant(row, "suspended_at")?,
        timeout_at: maybe_instant(row, "timeout_at")?,
        reason: word(row, "reason")?,
        requested_by: word(row, "requested_by")?,
        continuation_metadata_pointer: row.try_get("continuation_pointer")?,
    })
}

pub(super) async fn pending(
    backend: &PostgresBackend,
    args: &ListPendingWaitpointsArgs,
) -> Result<ListPendingWaitpointsResult, PgError> {
    args.check(backend.limits())?;
    let id = stored(&args.execution_id);
    let after = args.after.map(|after| after.as_uuid());
    let sql = include_str!("list_pending_waitpoints.sql");
    let rows = page(backend, args.limit, |most| sqlx::query(sql).bind(id).bind(after).bind(most)).await?;
    if rows.is_empty() {
        return Err(EngineError::execution_not_found().into());
    }
    let mut waitpoints = Vec::new();
    for row in &rows {
        waitpoints.extend(waitpoint(row, args.execution_id)?);
    }
    let next_cursor = cut(&mut waitpoints, args.limit).map(|last| last.waitpoint_id);
    Ok(ListPendingWaitpointsResult { waitpoints, next_cursor })
}

/// The waitpoint of a row, if it has one.
fn waitpoint(row: &PgRow, execution_id: ExecutionId) -> Result<Option<PendingWaitpointInfo>, PgError> {
    let Some(waitpoint_id) = row.try_get::<Option<Uuid>, _>("waitpoint_id")? else { return Ok(None) };
    let waitpoint_key: String = row.try_get("waitpoint_key")?;
    let (state, required_signal_names) = if row.try_get("active")? {
        (WaitpointState::Active, ConditionLeaf::required_names(&leaves(row)?, &waitpoint_key))
    } else {
        (WaitpointState::Pending, Vec::new())
    };
    Ok(Some(PendingWaitpointInfo {
        waitpoint_id: WaitpointId::from_uuid(waitpoint_id),
        waitpoint_key,
        state,
        required_signal_names,
        created_at: instant(row, "created_at")?,
        activated_at: maybe_instant(row, "activated_at")?,
        expires_at: maybe_instant(row, "expires_at")?,
        execution_id,
        token_kid: word(row, "token_kid")?,
        token_fingerprint: row.try_get("token_fingerprint")?,
    }))
}
