//! What a store with a fault makes of periodic work.

use std::time::Duration;

use ff_core::{EngineError, ExecutionId, ScanPlace};

use super::Flaw;
use crate::{Op, State, StoredExecution, apply::claims::Due, capabilities::LABEL};

const EARLY: Duration = Duration::from_millis(1);

/// SC3, SC5, SC6, SC7: what a pass is asked for.
pub(super) fn heard(flaw: Flaw, op: &mut Op) {
    let Op::Scan { args, retention } = op else { return };
    match flaw {
        Flaw::Sc3 => args.filter.namespace = None,
        Flaw::Sc5 => {
            let scanner = args.scanner;
            args.cursor = args.cursor.take().filter(|cursor| ScanPlace::open(cursor, LABEL, scanner).is_ok());
        }
        Flaw::Sc6 => retention.executions -= EARLY,
        Flaw::Sc7 => retention.events -= EARLY,
        _ => {}
    }
}

/// SC1, SC2: whether a due row is the work of a scanner.
pub(crate) fn is_work(planted: Option<Flaw>, row: &StoredExecution, due: Due, is_work: bool) -> bool {
    let left = match planted {
        Some(Flaw::Sc1) => due == Due::Ready && row.record.grant.is_some(),
        Some(Flaw::Sc2) => due == Due::OutOfReclaims,
        _ => false,
    };
    is_work && !left
}

/// SC4: what a lapse that was written down counts as.
pub(crate) fn lapse_counted(state: &mut State, id: &ExecutionId) -> Result<(), EngineError> {
    if state.flaw == Some(Flaw::Sc4) {
        state.row_mut(id)?.record.lease_reclaim_count += 1;
    }
    Ok(())
}
