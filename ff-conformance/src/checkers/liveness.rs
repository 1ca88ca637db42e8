//! Liveness: once nothing is in its way, time and claims alone bring all work to an end.

use std::collections::BTreeMap;

use ff_backend_memory::{Answer, Obs, Op};
use ff_core::LifecyclePhase;

use super::{Calls, Finding};

const NAME: &str = "liveness";

/// A burst ends with a worker that claims and completes while every lease, grant and delay runs out and an
/// operator resumes what is suspended: nothing is left for the last reads but what has ended.
pub(super) fn check(calls: &Calls<'_>) -> Option<Finding> {
    let mut last = BTreeMap::new();
    for (_, op, obs) in calls.all() {
        if let (Op::ReadExecutionInfo(id), Obs::Answered(Ok(Answer::ReadExecutionInfo(Some(info))))) = (op, obs) {
            last.insert(*id, info.state.lifecycle_phase);
        }
    }
    let (id, phase) = last.into_iter().find(|(_, phase)| *phase != LifecyclePhase::Terminal)?;
    let text = format!("{id} is {phase:?} after all leases, grants and delays ran out and claims took what there was");
    Some(Finding::new("FF-CLM-005", NAME, text))
}
