//! The periodic work: what time has done is written down, and what is old is removed.

use ff_core::{
    EngineError, ExecutionId, LeaseEventKind, OwnershipState, RetentionConfig, ScanArgs, ScanPlace, ScanReport,
    ScannerFilter, ScannerKind, StateVector, TimestampMs,
};

use super::claims::{Due, decide_due, settle};
#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{Mint, State, StoredExecution};

pub(super) fn scan(
    state: &mut State,
    args: &ScanArgs,
    retention: &RetentionConfig,
    now: TimestampMs,
    mint: &mut dyn Mint,
) -> Result<ScanReport, EngineError> {
    args.filter.check()?;
    let place = args.cursor.as_ref().map(|cursor| ScanPlace::open(cursor, state.label, args.scanner)).transpose()?;
    #[cfg(feature = "flaws")]
    let place = flaw::scan_place(state, place);
    let most = usize::from(args.limit.get());
    if most == 0 {
        return Ok(ScanReport { examined: 0, changed: 0, next_cursor: None });
    }
    let mut pass = Pass { filter: &args.filter, most, now, examined: 0, changed: 0, last: None };
    match args.scanner {
        ScannerKind::Retention => {
            if !matches!(place, Some(ScanPlace::Key { .. })) {
                pass.remove_ended(state, place.as_ref(), retention)?;
            }
            pass.remove_keys(state, place.as_ref());
        }
        ScannerKind::EventRetention => pass.remove_events(state, retention),
        scanner => pass.settle(state, scanner, place.as_ref(), mint)?,
    }
    pass.report(state.label, args.scanner)
}

/// One pass under way.
struct Pass<'a> {
    filter: &'a ScannerFilter,
    most: usize,
    now: TimestampMs,
    examined: usize,
    changed: usize,
    /// What was looked at last.
    last: Option<ScanPlace>,
}

impl Pass<'_> {
    const fn left(&self) -> usize {
        self.most - self.examined
    }

    fn report(self, label: &str, scanner: ScannerKind) -> Result<ScanReport, EngineError> {
        let last = if self.left() == 0 { self.last } else { None };
        Ok(ScanReport {
            examined: u32::try_from(self.examined).unwrap_or(u32::MAX),
            changed: u32::try_from(self.changed).unwrap_or(u32::MAX),
            next_cursor: last.map(|place| place.seal(label, scanner)).transpose()?,
        })
    }

    /// Writes down what time has done to rows, as far as it is the work of `scanner`.
    fn settle(
        &mut self,
        state: &mut State,
        scanner: ScannerKind,
        behind: Option<&ScanPlace>,
        mint: &mut dyn Mint,
    ) -> Result<(), EngineError> {
        for place in state.index.due_behind(behind, self.now, self.left()) {
            if let ScanPlace::Due { execution_id, .. } = &place {
                let row = state.row(execution_id)?;
                let due = decide_due(row, self.now);
                let is_work = is_work_of(scanner, due);
                #[cfg(feature = "flaws")]
                let is_work = flaw::is_work(state.flaw, row, due, is_work);
                if matches(self.filter, row) && is_work {
                    if due == Due::Lapsed {
                        write_down_lapse(state, execution_id, self.now)?;
                    }
                    settle(state, execution_id, due, self.now, mint)?;
                    self.changed += 1;
                }
            }
            self.examined += 1;
            self.last = Some(place);
        }
        Ok(())
    }

    /// Removes executions that ended long enough ago, with everything that belongs to them but their events.
    fn remove_ended(
        &mut self,
        state: &mut State,
        behind: Option<&ScanPlace>,
        retention: &RetentionConfig,
    ) -> Result<(), EngineError> {
        let is_old = |completed_at: TimestampMs| completed_at.plus(retention.executions).has_come(self.now);
        for place in state.index.ended_behind(behind, is_old, self.left()) {
            if let ScanPlace::Ended { execution_id, .. } = &place
                && matches(self.filter, state.row(execution_id)?)
            {
                #[cfg(feature = "flaws")]
                flaw::remove(state, execution_id);
                #[cfg(not(feature = "flaws"))]
                state.remove(execution_id);
                self.changed += 1;
            }
            self.examined += 1;
            self.last = Some(place);
        }
        Ok(())
    }

    /// Removes idempotency keys that have lapsed. They have no label.
    fn remove_keys(&mut self, state: &mut State, behind: Option<&ScanPlace>) {
        if self.filter.instance_tag.is_some() {
            return;
        }
        for place in state.lapsed_keys_behind(behind, self.now, self.left()) {
            if let ScanPlace::Key { namespace, key, .. } = &place
                && self.filter.namespace.as_ref().is_none_or(|only| only == namespace)
            {
                state.remove_key(namespace, key);
                self.changed += 1;
            }
            self.examined += 1;
            self.last = Some(place);
        }
    }

    fn remove_events(&mut self, state: &mut State, retention: &RetentionConfig) {
        let is_old = |at: TimestampMs| at.plus(retention.events).has_come(self.now);
        let removed = state.events.remove_old(is_old, self.left());
        self.examined += removed;
        self.changed += removed;
        self.last = Some(ScanPlace::Beginning);
    }
}

fn matches(filter: &ScannerFilter, row: &StoredExecution) -> bool {
    filter.namespace.as_ref().is_none_or(|only| *only == *row.namespace)
        && filter.instance_tag.as_ref().is_none_or(|(key, value)| row.tags.get(key) == Some(value))
}

const fn is_work_of(scanner: ScannerKind, due: Due) -> bool {
    match due {
        Due::Expired => matches!(scanner, ScannerKind::ExecutionDeadline),
        Due::TimedOut => matches!(scanner, ScannerKind::AttemptTimeout),
        Due::SuspensionTimedOut => matches!(scanner, ScannerKind::SuspensionTimeout),
        Due::Lapsed | Due::OutOfReclaims => matches!(scanner, ScannerKind::LeaseExpiry),
        Due::Ready => matches!(scanner, ScannerKind::DelayPromoter),
        Due::NotYet => false,
    }
}

/// Tells that a lease has lapsed, and stores the state that readers have seen since.
fn write_down_lapse(state: &mut State, id: &ExecutionId, now: TimestampMs) -> Result<(), EngineError> {
    let (row, _, events) = state.parts(id)?;
    if row.record.state.ownership_state == OwnershipState::Leased {
        events.lease(row, LeaseEventKind::Expired, None, now);
        row.record.state = StateVector::lapsed();
        row.record.last_transition_at = now;
        row.record.last_mutation_at = now;
    }
    #[cfg(feature = "flaws")]
    flaw::written_down(state, id)?;
    #[cfg(feature = "flaws")]
    flaw::lapse_counted(state, id)?;
    Ok(())
}
