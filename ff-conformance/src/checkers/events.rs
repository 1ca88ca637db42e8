//! Events: what the log tells is what happened, and whoever reads it in pieces reads the same.

use std::collections::BTreeMap;

use ff_backend_memory::{Answer, Obs, Op};
use ff_core::{ExecutionId, FailOutcome, LifecyclePhase, OperatorEventKind};

use super::{Calls, Finding};
use crate::bursts::{Told, subjects};

const NAME: &str = "events";

pub(super) fn check(calls: &Calls<'_>) -> Option<Finding> {
    ends(calls).or_else(|| feeds(calls))
}

/// One completion for each terminal transition: of one that was answered, and as many as the last read says.
fn ends(calls: &Calls<'_>) -> Option<Finding> {
    let told = calls.burst.log.by_execution();
    let mut replays: BTreeMap<ExecutionId, usize> = BTreeMap::new();
    let mut last = BTreeMap::new();
    for (_, op, obs) in calls.all() {
        let Obs::Answered(Ok(answer)) = obs else { continue };
        let ended = match (op, answer) {
            (Op::Complete { .. } | Op::CompleteAndClaim { .. } | Op::Cancel { .. } | Op::CancelExecution(_), _)
            | (Op::Fail { .. }, Answer::Fail(FailOutcome::TerminalFailed)) => subjects(op, calls.label),
            (Op::ReadExecutionInfo(id), Answer::ReadExecutionInfo(Some(info))) => {
                last.insert(*id, info.state.lifecycle_phase == LifecyclePhase::Terminal);
                Vec::new()
            }
            _ => Vec::new(),
        };
        for id in ended {
            if told.get(&id).is_none_or(|told| told.completions.is_empty()) {
                let text = format!("{id}: {} was answered, and no completion is told", op.operation().as_str());
                return Some(Finding::new("FF-SUB-001", NAME, text));
            }
        }
    }
    for (id, told) in &told {
        let count = told.operators.iter().filter(|event| event.kind == OperatorEventKind::Replayed).count();
        replays.insert(*id, count);
    }
    last.into_iter().find_map(|(id, has_ended)| {
        let count = told.get(&id).map_or(0, |told| told.completions.len());
        let replayed = replays.get(&id).copied().unwrap_or_default();
        (count != replayed + usize::from(has_ended)).then(|| {
            let state = if has_ended { "has ended" } else { "has not ended" };
            let text = format!("{id}: {count} completions and {replayed} replays are told, and it {state}");
            Finding::new("FF-SUB-001", NAME, text)
        })
    })
}

/// What came to a subscriber that lost its connection is what the whole log tells, execution by execution.
fn feeds(calls: &Calls<'_>) -> Option<Finding> {
    let whole = calls.burst.log.by_execution();
    calls.burst.feeds.iter().enumerate().find_map(|(number, feed)| {
        if !feed.is_whole {
            let text = format!("subscriber {number} never got the event that was written behind all others");
            return Some(Finding::new("FF-SUB-003", NAME, text));
        }
        let seen = feed.by_execution();
        let ids = whole.keys().chain(seen.keys());
        let differs = |id: &&ExecutionId| seen.get(*id) != whole.get(*id);
        ids.into_iter().find(differs).map(|id| {
            let count = |log: &BTreeMap<_, Told>| log.get(id).map(Told::counts).unwrap_or_default();
            let (got, all) = (count(&seen), count(&whole));
            let text = format!(
                "{id}: subscriber {number} got {got:?} events (leases, completions, operators, signals) and the log has \
                 {all:?}, or others in another order"
            );
            Finding::new("FF-SUB-003", NAME, text)
        })
    })
}
