//! Suspended work: pending waitpoints, what a resumed worker sees, listings and signing keys.

mod signals;
mod suspensions;

use std::time::Duration;

use ff_core::{
    ConditionLeaf, EngineError, Handle, ListPendingWaitpointsArgs, ListPendingWaitpointsResult, ListSuspendedPage,
    Operation, PageLimit, PendingWaitpoint, PendingWaitpointInfo, ResumeSignal, RotateWaitpointHmacSecretAllArgs,
    RotateWaitpointHmacSecretAllResult, SeedOutcome, SeedWaitpointHmacSecretArgs, StateKind, SuspendedCursor,
    SuspensionEnd, TimestampMs, WaitpointRecord, WaitpointState,
};

pub(super) use signals::{deliver_signal, resume_execution};
pub(super) use suspensions::{suspend, suspend_by_triple};

use super::{Fenced, fence};
#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{Mint, State};

pub(super) fn create_waitpoint(
    state: &mut State,
    handle: &Handle,
    waitpoint_key: &str,
    expires_in: Duration,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<PendingWaitpoint, EngineError> {
    let life = PendingWaitpoint::check(waitpoint_key, expires_in)?;
    let Fenced::Held(held) = fence(state, handle, Operation::CreateWaitpoint, now)? else {
        return Err(EngineError::corrupt("no waitpoint ends a lease"));
    };
    if state.keyring.current.is_none() {
        return Err(EngineError::State(StateKind::SigningKeyMissing));
    }
    let (id, attempt_id) = (held.execution_id, held.fence.attempt_id);
    let row = state.row(&id)?;
    let mut known = row.mailbox.waitpoints.values();
    let is_same = |found: &&WaitpointRecord| {
        found.waitpoint_key == waitpoint_key
            && found.attempt_id == attempt_id
            && found.state(&row.record, now) == WaitpointState::Pending
    };
    let first = known.find(is_same);
    #[cfg(feature = "flaws")]
    let first = first.filter(|_| flaw::opened(state));
    if let Some(first) = first {
        let minted = state.keyring.mint_again(&first.token_kid, &id, &first.waitpoint_id)?;
        let expires_at = first.expires_at.ok_or_else(|| EngineError::corrupt("pending without an end"))?;
        return Ok(PendingWaitpoint { waitpoint_id: first.waitpoint_id, hmac_token: minted.token, expires_at });
    }
    let waitpoint_id = mint.waitpoint_id();
    let minted = state.keyring.mint(&id, &waitpoint_id)?;
    let expires_at = now.plus(Duration::from_millis(life));
    let row = state.row_mut(&id)?;
    let waitpoint = WaitpointRecord {
        waitpoint_id,
        waitpoint_key: waitpoint_key.to_owned(),
        attempt_id,
        suspension_number: None,
        created_at: now,
        activated_at: None,
        expires_at: Some(expires_at),
        token_kid: minted.kid,
        token_fingerprint: minted.fingerprint,
    };
    row.mailbox.waitpoints.insert(waitpoint_id, waitpoint);
    row.record.last_mutation_at = now;
    Ok(PendingWaitpoint { waitpoint_id, hmac_token: minted.token, expires_at })
}

pub(super) fn observe_signals(
    state: &State,
    handle: &Handle,
    now: TimestampMs,
) -> Result<Vec<ResumeSignal>, EngineError> {
    let held = handle.decode(state.label)?;
    held.execution_id.check_partition(state.limits.partitions)?;
    let row = state.row(&held.execution_id)?;
    let Some(suspension) = &row.record.suspension else { return Ok(Vec::new()) };
    match row.record.resumed_by(held.fence.attempt_id, now) {
        Some((SuspensionEnd::Resumed, _)) => {}
        Some((_, at)) => return Ok(vec![ResumeSignal::timeout(&suspension.suspension_id, at)]),
        None => return Ok(Vec::new()),
    }
    let (mut seen, mut counted) = (Vec::new(), Vec::new());
    for record in row.mailbox.signals_of(suspension.number) {
        let Some(signal) = row.mailbox.seen(record) else { continue };
        let counts = suspension.leaves.iter().any(|leaf| leaf.matches(&signal));
        #[cfg(feature = "flaws")]
        let counts = flaw::shows(state, counts);
        if counts {
            counted.push(record.signal.clone());
        }
        seen.push(signal);
        if ConditionLeaf::all_hold(&suspension.leaves, &seen) {
            break;
        }
    }
    Ok(counted)
}

pub(super) fn list_suspended(
    state: &State,
    cursor: Option<SuspendedCursor>,
    limit: PageLimit,
    now: TimestampMs,
) -> ListSuspendedPage {
    #[cfg(feature = "flaws")]
    if let Some(entries) = flaw::listed_anyway(state) {
        return ListSuspendedPage { entries, next_cursor: None };
    }
    #[cfg(feature = "flaws")]
    let cursor = flaw::cursor_behind(state, cursor);
    let behind = cursor.map(|cursor| (cursor.suspended_at, cursor.execution_id));
    let suspended = |id| state.execution(id).and_then(|row| row.record.suspended_entry(now));
    let mut found = state.index.suspended_behind(behind).filter_map(suspended);
    let entries: Vec<_> = found.by_ref().take(usize::from(limit.get())).collect();
    let next_cursor = entries.last().filter(|_| found.next().is_some()).map(ff_core::SuspendedExecutionEntry::cursor);
    ListSuspendedPage { entries, next_cursor }
}

pub(super) fn list_pending_waitpoints(
    state: &State,
    args: &ListPendingWaitpointsArgs,
    now: TimestampMs,
) -> Result<ListPendingWaitpointsResult, EngineError> {
    args.check(&state.limits)?;
    let row = state.row(&args.execution_id)?;
    let behind = row.mailbox.waitpoints.values().filter(|waitpoint| Some(waitpoint.waitpoint_id) > args.after);
    let mut open = behind.filter_map(|waitpoint| waitpoint.info(&row.record, now));
    let waitpoints: Vec<PendingWaitpointInfo> = open.by_ref().take(usize::from(args.limit.get())).collect();
    let next_cursor = waitpoints.last().filter(|_| open.next().is_some()).map(|waitpoint| waitpoint.waitpoint_id);
    let page = ListPendingWaitpointsResult { waitpoints, next_cursor };
    #[cfg(feature = "flaws")]
    let page = flaw::list_pending(state, row, args, now, page);
    Ok(page)
}

pub(super) fn seed_waitpoint_hmac_secret(
    state: &mut State,
    args: &SeedWaitpointHmacSecretArgs,
) -> Result<SeedOutcome, EngineError> {
    state.keyring.seed(&args.kid, &args.secret)
}

pub(super) fn rotate_waitpoint_hmac_secret_all(
    state: &mut State,
    args: &RotateWaitpointHmacSecretAllArgs,
    now: TimestampMs,
) -> Result<RotateWaitpointHmacSecretAllResult, EngineError> {
    let grace_ms = args.check()?;
    #[cfg(feature = "flaws")]
    state.forget_key(&args.new_kid);
    let outcome = state.keyring.rotate(&args.new_kid, &args.new_secret, grace_ms, now)?;
    Ok(RotateWaitpointHmacSecretAllResult::whole(outcome))
}
