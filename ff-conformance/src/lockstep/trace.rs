//! What was seen of a run, one line a call: it is judged again without a store.

use ff_backend_memory::{Interval, Judgement, Obs, Op, State, accept_any};
use ff_core::{Limits, TimestampMs};
use serde::{Deserialize, Serialize};

use super::{
    play::Disagreement,
    told::{self, told},
};

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// The first line: of what store it is.
    Store {
        /// The label of the backend.
        label: String,
        /// Its limits.
        limits: Limits,
    },
    /// One call, in the order of their answers.
    Call {
        /// The store's time.
        at: TimestampMs,
        /// Who called.
        client: String,
        /// What was asked.
        op: Box<Op>,
        /// What was seen of it.
        obs: Box<Obs>,
    },
}

/// The text of a trace.
pub(crate) fn text(lines: &[Line]) -> String {
    let text = |line: &Line| {
        serde_json::to_string(line).unwrap_or_else(|error| format!("{{\"unwritten\": {:?}}}", error.to_string()))
    };
    lines.iter().map(|line| text(line) + "\n").collect()
}

/// Judges a trace again: how many calls the contract allows, or the first that it does not.
///
/// # Errors
/// What is wrong with the text.
pub fn recheck(text: &str) -> Result<Result<usize, Disagreement>, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut next = || {
        lines.next().map(|(at, line)| {
            serde_json::from_str::<Line>(line)
                .map_err(|error| format!("line {}: {error}", at + 1))
                .map(|line| (at, line))
        })
    };
    let (label, limits) = match next().transpose()? {
        Some((_, Line::Store { label, limits })) => (label, limits),
        _ => return Err("line 1: a trace begins with its store".to_owned()),
    };
    // A trace is read once in a process that ends with it.
    let label: &'static str = label.leak();
    let mut models = vec![State::of_backend(label, limits)];
    let mut calls = 0;
    while let Some((at, line)) = next().transpose()? {
        let Line::Call { at: now, op, obs, .. } = line else {
            return Err(format!("line {}: only the first line tells of a store", at + 1));
        };
        match accept_any(&models, &op, &obs, Interval::at(now)) {
            Judgement::Legal(states) => models = states,
            Judgement::Illegal { expected } => {
                let got = match &*obs {
                    Obs::Answered(outcome) => told(outcome, label),
                    other => format!("{other:?}"),
                };
                return Ok(Err(Disagreement {
                    step: u32::try_from(calls).ok(),
                    subject: op.operation().to_string(),
                    call: told::call(&op, label),
                    expected: told::any(&expected, label),
                    got,
                }));
            }
        }
        calls += 1;
    }
    Ok(Ok(calls))
}
