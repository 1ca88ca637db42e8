//! What a store with a fault does with suspended work instead of what the contract says.

use ff_core::{
    ConditionLeaf, CountKind, DeliverSignalArgs, EngineError, ExecutionId, Keyring, Kid, LifecyclePhase,
    ListPendingWaitpointsArgs, ListPendingWaitpointsResult, MintedToken, SuspendedExecutionEntry, TimestampMs,
    ValidationKind, WaitpointId, WaitpointRecord, WaitpointState, WaitpointToken,
};

use super::Flaw;
use crate::{State, StoredExecution};

/// WP01: what `list_suspended` shows of a row that is not suspended.
pub(crate) fn listed_anyway(state: &State) -> Option<Vec<SuspendedExecutionEntry>> {
    if state.flaw != Some(Flaw::Wp01) {
        return None;
    }
    let entry = |row: &StoredExecution| {
        row.record.suspension.as_ref().map(|suspension| suspension.entry(row.record.execution_id))
    };
    let mut entries: Vec<_> = state.executions().filter_map(entry).collect();
    entries.sort_by_key(SuspendedExecutionEntry::cursor);
    Some(entries)
}

/// WP03: whether the key of a suspend is known.
pub(crate) fn known_key(state: &State, known: bool) -> bool {
    known && state.flaw != Some(Flaw::Wp03)
}

/// WP04: whether a signal is taken by a row as it is written.
pub(crate) fn overtakes(flaw: Option<Flaw>, row: &StoredExecution) -> bool {
    flaw == Some(Flaw::Wp04) && row.record.state.lifecycle_phase == LifecyclePhase::Suspended
}

/// WP05, WP12: the parts of a condition.
pub(crate) fn leaves_of(flaw: Option<Flaw>, mut leaves: Vec<ConditionLeaf>, keys: &[String]) -> Vec<ConditionLeaf> {
    for leaf in &mut leaves {
        if flaw == Some(Flaw::Wp05) {
            leaf.distinct = CountKind::DistinctSignals;
        }
        if flaw == Some(Flaw::Wp12) && leaf.keys.is_empty() {
            leaf.keys = keys.to_vec();
        }
    }
    leaves
}

/// M17: whether a signal at a pending waitpoint is dropped.
pub(crate) fn dropped(flaw: Option<Flaw>, standing: WaitpointState) -> bool {
    flaw == Some(Flaw::M17) && standing == WaitpointState::Pending
}

/// WP07, M18b: the key of a token that the store takes although it is not valid.
pub(crate) fn token_fits(state: &State, args: &DeliverSignalArgs, kid: Option<Kid>) -> Option<Kid> {
    let ring = &state.keyring;
    let fits = |id: &ExecutionId, waitpoint: &WaitpointId| ring.check(&args.waitpoint_token, id, waitpoint).ok();
    match state.flaw {
        Some(Flaw::Wp07) => {
            let owners = state.executions().filter(|row| row.mailbox.waitpoints.contains_key(&args.waitpoint_id));
            kid.or_else(|| owners.into_iter().find_map(|row| fits(&row.record.execution_id, &args.waitpoint_id)))
        }
        Some(Flaw::M18b) => kid.or_else(|| {
            let minted = ring.mint(&args.execution_id, &args.waitpoint_id).ok()?;
            let same = compared(&minted.token)? == compared(&args.waitpoint_token)?;
            same.then_some(minted.kid)
        }),
        _ => kid,
    }
}

/// All of a token but its last digit.
fn compared(token: &WaitpointToken) -> Option<&str> {
    token.expose().get(..token.expose().len().checked_sub(1)?)
}

/// WP07: whether a waitpoint of any execution will do.
pub(crate) fn unguarded(state: &State, args: &DeliverSignalArgs) -> bool {
    state.flaw == Some(Flaw::Wp07) && state.execution(&args.execution_id).is_some()
}

/// M18: whether a key counts.
pub(crate) fn token_counts(state: &State, counts: bool) -> bool {
    counts || state.flaw == Some(Flaw::M18)
}

/// WP18: the refusal of a token.
pub(crate) fn refusal(state: &State, args: &DeliverSignalArgs, refusal: EngineError) -> EngineError {
    if state.flaw == Some(Flaw::Wp18) {
        return EngineError::validation(ValidationKind::InvalidToken, args.waitpoint_token.expose());
    }
    refusal
}

/// WP08: whether a repeat is noticed.
pub(crate) fn repeat_is_noticed(flaw: Option<Flaw>, standing: Option<WaitpointState>) -> bool {
    flaw != Some(Flaw::Wp08) || standing != Some(WaitpointState::Closed)
}

/// WP09: whether a waitpoint that is not the primary one of the latest suspension stays open.
pub(crate) fn still_active(flaw: Option<Flaw>, row: &StoredExecution, waitpoint: &WaitpointRecord) -> bool {
    let latest = row.record.suspension.as_ref();
    flaw == Some(Flaw::Wp09)
        && latest.is_some_and(|latest| {
            waitpoint.suspension_number == Some(latest.number) && waitpoint.waitpoint_id != latest.waitpoint_id
        })
}

/// WP10: when a suspension times out.
pub(crate) fn timeout_at(state: &State, timeout_at: Option<TimestampMs>) -> Option<TimestampMs> {
    let late = i64::from(state.flaw == Some(Flaw::Wp10));
    timeout_at.map(|at| TimestampMs::from_ms(at.as_ms() + late))
}

/// WP11: how long a resume is delayed.
pub(crate) fn delay_of(flaw: Option<Flaw>, delay_ms: u64) -> u64 {
    if flaw == Some(Flaw::Wp11) { 0 } else { delay_ms }
}

/// WP13: whether a worker sees a signal.
pub(crate) fn shows(state: &State, counts: bool) -> bool {
    counts || state.flaw == Some(Flaw::Wp13)
}

/// WP16: the token of a repeated answer.
pub(crate) fn minted_again(
    state: &State,
    execution: &ExecutionId,
    waitpoint: &WaitpointId,
    minted: MintedToken,
) -> MintedToken {
    match state.flaw {
        Some(Flaw::Wp16) => state.keyring.mint(execution, waitpoint).unwrap_or(minted),
        _ => minted,
    }
}

impl State {
    /// WP17: forgets what other secrets the ids of keys that sign no more stand for.
    pub(crate) fn forget_key(&mut self, kid: &Kid) {
        if self.flaw == Some(Flaw::Wp17) && self.keyring.current.as_ref() != Some(kid) {
            let Keyring { keys, .. } = &mut *self.keyring;
            keys.remove(kid);
        }
    }
}

/// WP19: whether the execution takes one more signal.
pub(crate) fn limit_of(flaw: Option<Flaw>, row: &StoredExecution, args: &DeliverSignalArgs, taken: usize) -> usize {
    if flaw != Some(Flaw::Wp19) {
        return taken;
    }
    row.mailbox.signals.iter().filter(|record| record.waitpoint_id == args.waitpoint_id).count()
}

/// WP20: whether a waitpoint that is pending is returned again.
pub(crate) fn opened(state: &State) -> bool {
    state.flaw != Some(Flaw::Wp20)
}

/// WP21: whether the attempt index is compared.
pub(crate) fn compared_index(state: &State) -> bool {
    state.flaw != Some(Flaw::Wp21)
}

/// WP22: whether an entry stands behind a cursor.
pub(crate) fn cursor_behind(
    state: &State,
    cursor: Option<ff_core::SuspendedCursor>,
) -> Option<ff_core::SuspendedCursor> {
    match (state.flaw, cursor) {
        (Some(Flaw::Wp22), Some(cursor)) => {
            let current = state.execution(&cursor.execution_id).and_then(|row| row.place.suspended_at);
            current.map(|suspended_at| ff_core::SuspendedCursor { suspended_at, ..cursor })
        }
        _ => cursor,
    }
}

/// WP09, WP23: a page of waitpoints.
pub(crate) fn list_pending(
    state: &State,
    row: &StoredExecution,
    args: &ListPendingWaitpointsArgs,
    now: TimestampMs,
    mut page: ListPendingWaitpointsResult,
) -> ListPendingWaitpointsResult {
    if state.flaw == Some(Flaw::Wp23) {
        let behind = row.mailbox.waitpoints.values().filter(|waitpoint| Some(waitpoint.waitpoint_id) > args.after);
        let most = usize::from(args.limit.get());
        page.waitpoints = behind.take(most).filter_map(|waitpoint| waitpoint.info(&row.record, now)).collect();
        page.next_cursor = page.waitpoints.last().map(|waitpoint| waitpoint.waitpoint_id);
    }
    page
}

/// WP24: the time-out of a policy.
pub(crate) fn default_timeout(state: &State, timeout: Option<TimestampMs>) -> Option<TimestampMs> {
    timeout.filter(|_| state.flaw != Some(Flaw::Wp24))
}

/// WP25: whether a repeated resume is told again.
pub(crate) fn resumed_again(flaw: Option<Flaw>) -> bool {
    flaw == Some(Flaw::Wp25)
}

/// WP26: what is kept of a payload.
pub(crate) fn payload_of(flaw: Option<Flaw>, payload: Option<Vec<u8>>) -> Option<Vec<u8>> {
    payload.map(|bytes| match flaw {
        Some(Flaw::Wp26) => String::from_utf8_lossy(&bytes).into_owned().into_bytes(),
        _ => bytes,
    })
}

/// WP27: whether a repeat is told.
pub(crate) fn tells_repeat(flaw: Option<Flaw>) -> bool {
    flaw != Some(Flaw::Wp27)
}
