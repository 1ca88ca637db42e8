//! Whether what a store was seen to answer is what the contract lets it answer.

mod replay;
mod shown;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use ff_core::{Applied, EngineError, ExecutionId, TimestampMs};
use serde::{Deserialize, Serialize};

use self::replay::Replay;
use crate::{Op, Outcome, State, apply};

/// What was seen of one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obs {
    /// The store answered or refused it.
    Answered(Outcome),
    /// No answer came: it happened or not.
    Lost,
    /// It never reached the store.
    NotDone,
}

impl From<Outcome> for Obs {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Err(EngineError::Transport(fault)) if fault.applied == Applied::Maybe => Self::Lost,
            Err(EngineError::Transport(_) | EngineError::ResourceExhausted { .. }) => Self::NotDone,
            answered => Self::Answered(answered),
        }
    }
}

/// When the step was taken, by the store's clock: at one of these instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// The first.
    pub from: TimestampMs,
    /// The last.
    pub to: TimestampMs,
}

impl Interval {
    /// One instant: that of a clock that stands still.
    #[must_use]
    pub const fn at(now: TimestampMs) -> Self {
        Self { from: now, to: now }
    }

    fn instants(self) -> impl Iterator<Item = TimestampMs> {
        let all: RangeInclusive<i64> = self.from.as_ms()..=self.to.as_ms();
        all.map(TimestampMs::from_ms)
    }
}

/// What follows from an observation.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// The store may be in one of these states now; there is at least one, and no two are equal.
    Legal(Vec<State>),
    /// The contract does not allow it.
    Illegal {
        /// What it would have allowed, by instant; ids that it leaves open have the version 8.
        expected: Vec<Outcome>,
    },
}

/// Whether `obs` is a legal observation of `op` on a store in `state`, at an instant of `time`.
///
/// The ids that the contract leaves open are those that the observation shows; each must be new. Ids that an operation
/// minted and no answer has shown stand for any: they are bound when they are first seen. A lost answer leaves two
/// states, unless the operation changes nothing. Every instant of `time` is tried, so it should be short.
///
/// The factor of a back-off with jitter is taken from the answer of `fail`. What no answer shows (the reply was lost,
/// or an attempt ran out of time) is taken as the longest wait: a history with such a draw cannot be judged.
#[must_use]
pub fn accept(state: &State, op: &Op, obs: &Obs, time: Interval) -> Judgement {
    accept_passing(state, op, obs, time, &[], &[])
}

/// The same where a claim passes over the executions `passed`, and does not write down what time has done to those in
/// `left`, because calls that it overlaps hold them.
#[must_use]
pub fn accept_passing(
    state: &State,
    op: &Op,
    obs: &Obs,
    time: Interval,
    passed: &[ExecutionId],
    left: &[ExecutionId],
) -> Judgement {
    let mut judgement = judge(&state.passing(passed, left), op, obs, time);
    if let Judgement::Legal(states) = &mut judgement {
        for state in states {
            state.passed.clear();
            state.left.clear();
        }
    }
    judgement
}

fn judge(state: &State, op: &Op, obs: &Obs, time: Interval) -> Judgement {
    let (mut legal, mut expected) = (Vec::new(), Vec::new());
    match obs {
        Obs::NotDone => legal.push(state.clone()),
        Obs::Lost => {
            legal.push(state.clone());
            time.instants().for_each(|now| push_new(&mut legal, unseen(state, op, now)));
        }
        Obs::Answered(outcome) => {
            for now in time.instants() {
                match explain(state, op, outcome, now) {
                    Ok(after) => push_new(&mut legal, after),
                    Err(other) => push_new(&mut expected, other),
                }
            }
        }
    }
    if legal.is_empty() { Judgement::Illegal { expected } } else { Judgement::Legal(legal) }
}

/// The same for a store that is in one of `states`, of which no two are equal.
#[must_use]
pub fn accept_any(states: &[State], op: &Op, obs: &Obs, time: Interval) -> Judgement {
    let (mut legal, mut expected) = (Vec::new(), Vec::new());
    for state in states {
        match accept(state, op, obs, time) {
            Judgement::Legal(after) => after.into_iter().for_each(|state| push_new(&mut legal, state)),
            Judgement::Illegal { expected: allowed } => expected.extend(allowed),
        }
    }
    if legal.is_empty() { Judgement::Illegal { expected } } else { Judgement::Legal(legal) }
}

fn push_new<T: PartialEq>(found: &mut Vec<T>, item: T) {
    if !found.contains(&item) {
        found.push(item);
    }
}

/// The state after a step that nobody has seen.
fn unseen(state: &State, op: &Op, now: TimestampMs) -> State {
    let (mut after, mut mint) = (state.clone(), Replay::blind(state));
    // A refusal writes nothing, and nobody has seen it.
    let _refused = apply(&mut after, op, now, &mut mint);
    after.unseen += mint.open();
    after
}

/// The state after a step that was seen to answer `outcome`, or what it would have answered.
fn explain(state: &State, op: &Op, outcome: &Outcome, now: TimestampMs) -> Result<State, Outcome> {
    let (mut after, mut mint) = (state.clone(), Replay::blind(state));
    let expected = apply(&mut after, op, now, &mut mint);
    if expected == *outcome && mint.open() == 0 {
        return Ok(after);
    }
    let Some(mut seen) = mint.seen(state, &expected, outcome, now) else { return Err(expected) };
    let mut after = state.clone();
    seen.bind(&mut after);
    let answer = apply(&mut after, op, now, &mut seen);
    if answer != *outcome {
        return Err(answer);
    }
    after.unseen += seen.open();
    Ok(after)
}
