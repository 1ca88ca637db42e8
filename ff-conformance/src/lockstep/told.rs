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

/// What was asked.
pub(super) fn call(op: &Op, label: &str) -> String {
    match op {
        Op::Progress { handle, .. }
        | Op::Complete { handle, .. }
        | Op::Fail { handle, .. }
        | Op::Cancel { handle, .. }
        | Op::Delay { handle, .. }
        | Op::WaitChildren { handle }
        | Op::CompleteAndClaim { handle, .. }
        | Op::Suspend { handle, .. }
        | Op::CreateWaitpoint { handle, .. }
        | Op::ObserveSignals(handle)
        | Op::Renew { handle } => format!("{} of {}", tell(op), held(handle, label)),
        op => tell(op),
    }
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
