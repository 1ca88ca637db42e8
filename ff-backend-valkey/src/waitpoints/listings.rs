//! What is suspended, what it waits for, and what resumed it.

use ff_core::{
    ConditionLeaf, EngineError, ExecutionId, HandlePayload, ListPendingWaitpointsArgs, ListPendingWaitpointsResult,
    ListSuspendedPage, PageLimit, PendingWaitpointInfo, ResumeSignal, SuspendedCursor, SuspendedExecutionEntry,
    TimestampMs, WaitpointState,
};

use crate::{
    backend::ValkeyBackend,
    error::ValkeyError,
    executions::execution_id,
    fcall::Call,
    reply::{Items, unknown},
};

pub(super) async fn observe_signals(
    backend: &ValkeyBackend,
    held: &HandlePayload,
) -> Result<Vec<ResumeSignal>, ValkeyError> {
    let (keys, id) = (&backend.keys, &held.execution_id);
    let names = [keys.root(), keys.core(id), keys.suspension(id), keys.observed(id), keys.signals(id)];
    let call = Call::read("ff_observe_signals", &names).arg(held.fence.attempt_id.to_string());
    let mut reply = backend.items(call).await?;
    match reply.text()?.as_str() {
        "none" => Ok(Vec::new()),
        "timeout" => Ok(vec![ResumeSignal::timeout(&reply.parsed()?, reply.instant()?)]),
        "signals" => {
            let mut signals = Vec::new();
            while let Some(mut stored) = reply.next_items()? {
                signals.push(signal(&mut stored)?);
            }
            Ok(signals)
        }
        other => Err(unknown(other)),
    }
}

fn signal(stored: &mut Items) -> Result<ResumeSignal, ValkeyError> {
    let (signal_id, signal_name, signal_category) = (stored.parsed()?, stored.text()?, stored.text()?);
    let (source_type, source_identity) = (stored.text()?, stored.text()?);
    let (correlation_id, payload_encoding) = (marked(&stored.text()?), marked(&stored.text()?));
    let accepted_at = TimestampMs::from_ms(stored.parsed()?);
    Ok(ResumeSignal {
        signal_id,
        signal_name,
        signal_category,
        source_type,
        source_identity,
        correlation_id,
        accepted_at,
        payload: stored.bytes()?,
        payload_encoding,
    })
}

/// Text that may be lacking: what is there begins with `=`.
fn marked(text: &str) -> Option<String> {
    text.strip_prefix('=').map(str::to_owned)
}

pub(super) async fn list_suspended(
    backend: &ValkeyBackend,
    cursor: Option<SuspendedCursor>,
    limit: PageLimit,
) -> Result<ListSuspendedPage, ValkeyError> {
    let most = usize::from(limit.get());
    if most == 0 {
        return Ok(ListSuspendedPage::default());
    }
    let behind = cursor.map(|cursor| (cursor.suspended_at.as_ms().to_string(), place(&cursor.execution_id)));
    let (suspended_at, id) = behind.unwrap_or_default();
    let call = Call::read("ff_list_suspended", &[backend.keys.root(), backend.keys.suspended()]);
    let mut reply = backend.items(call.arg(suspended_at).arg(id).arg(most + 1)).await?;
    let mut entries = Vec::new();
    while let Some(mut told) = reply.next_items()? {
        entries.push(entry(&mut told)?);
    }
    let more = entries.len() > most;
    entries.truncate(most);
    let next_cursor = entries.last().filter(|_| more).map(SuspendedExecutionEntry::cursor);
    Ok(ListSuspendedPage { entries, next_cursor })
}

/// Where an id stands among those of one instant; one of a later partition stands behind all ids of this store.
fn place(id: &ExecutionId) -> String {
    if id.partition() == 0 { id.as_uuid().to_string() } else { "~".to_owned() }
}

fn entry(told: &mut Items) -> Result<SuspendedExecutionEntry, ValkeyError> {
    Ok(SuspendedExecutionEntry {
        execution_id: execution_id(&told.text()?)?,
        suspension_id: told.parsed()?,
        suspended_at: TimestampMs::from_ms(told.parsed()?),
        timeout_at: told.optional()?.map(TimestampMs::from_ms),
        reason: told.parsed()?,
        requested_by: told.parsed()?,
        continuation_metadata_pointer: marked(&told.text()?),
    })
}

pub(super) async fn list_pending_waitpoints(
    backend: &ValkeyBackend,
    args: &ListPendingWaitpointsArgs,
) -> Result<ListPendingWaitpointsResult, ValkeyError> {
    let (keys, id, most) = (&backend.keys, &args.execution_id, usize::from(args.limit.get()));
    let names = [keys.root(), keys.core(id), keys.waitpoints(id), keys.suspension(id)];
    let call = Call::read("ff_list_pending_waitpoints", &names);
    let call = call.arg(args.after.map(|after| after.to_string()).unwrap_or_default()).arg(most + 1);
    let mut reply = backend.items(call).await?;
    let leaves = leaves(&reply.text()?)?;
    let mut waitpoints = Vec::new();
    while let Some(mut told) = reply.next_items()? {
        waitpoints.push(waitpoint(&mut told, *id, &leaves)?);
    }
    let more = waitpoints.len() > most && most > 0;
    waitpoints.truncate(most);
    let next_cursor = waitpoints.last().filter(|_| more).map(|last| last.waitpoint_id);
    Ok(ListPendingWaitpointsResult { waitpoints, next_cursor })
}

fn leaves(json: &str) -> Result<Vec<ConditionLeaf>, ValkeyError> {
    if json.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(json).map_err(|error| EngineError::corrupt(format!("condition: {error}")).into())
}

fn waitpoint(
    told: &mut Items,
    execution_id: ExecutionId,
    leaves: &[ConditionLeaf],
) -> Result<PendingWaitpointInfo, ValkeyError> {
    let (waitpoint_id, state, waitpoint_key) = (told.parsed()?, told.parsed()?, told.text()?);
    let required_signal_names = match state {
        WaitpointState::Active => ConditionLeaf::required_names(leaves, &waitpoint_key),
        WaitpointState::Pending | WaitpointState::Closed => Vec::new(),
    };
    Ok(PendingWaitpointInfo {
        waitpoint_id,
        waitpoint_key,
        state,
        required_signal_names,
        created_at: TimestampMs::from_ms(told.parsed()?),
        activated_at: told.optional()?.map(TimestampMs::from_ms),
        expires_at: told.optional()?.map(TimestampMs::from_ms),
        execution_id,
        token_kid: told.parsed()?,
        token_fingerprint: told.text()?,
    })
}
