//! Calls and answers for a reader: what a handle says instead of its bytes.

use std::fmt::Debug;

use ff_backend_memory::{Answer, Op, Outcome};
use ff_core::{ClaimExecutionResult, Handle};

use crate::recorder::tell;

/// What came back.
pub(super) fn told(outcome: &Outcome, label: &str) -> String {
    match outcome {
        Ok(Answer::Claim(Some(handle)) | Answer::ClaimExecution(ClaimExecutionResult::Claimed(handle))) => {
            held(handle, label)
        }
        Ok(Answer::ClaimMany(handles)) => {
            format!("[{}]", handles.iter().map(|handle| held(handle, label)).collect::<Vec<_>>().join(", "))
        }
        Ok(answer) => debug(answer),
        Err(error) => format!("{} {error}", error.code()),
    }
}

/// What might have come back.
pub(super) fn any(outcomes: &[Outcome], label: &str) -> String {
    outcomes.iter().map(|outcome| told(outcome, label)).collect::<Vec<_>>().join(" or ")
}

/// What was asked.
pub(super) fn call(op: &Op, label: &str) -> String {
    let handle = match op {
        Op::ObserveSignals(handle) => Some(handle),
        op => op.holder(),
    };
    handle.map_or_else(|| tell(op), |handle| format!("{} of {}", tell(op), held(handle, label)))
}

fn held(handle: &Handle, label: &str) -> String {
    match handle.decode(label) {
        Ok(held) => format!("{:?} {held:?}", handle.kind()),
        Err(error) => format!("{handle:?}, which is no handle: {error}"),
    }
}

fn debug(value: &impl Debug) -> String {
    const MOST: usize = 4000;
    format!("{value:?}").chars().take(MOST).collect()
}
