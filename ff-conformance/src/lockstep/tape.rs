//! A sequence of steps that means the same on every backend, and its text.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{call::Call, refs::step_of};

/// A sequence of calls and of steps of the store's clock.
///
/// Calls name executions, lanes and workers by number and what earlier steps returned by the number of the step;
/// instants count from the store's now. So a tape is plain JSON that plays on any backend, whole or in part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tape {
    /// What it once showed, for a reader.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The steps, in order.
    pub(super) steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Its number, which it keeps when others are left out.
    pub(super) n: u32,
    #[serde(flatten)]
    pub(super) act: Act,
    /// Who does it.
    #[serde(default, skip_serializing_if = "super::names::is_default")]
    pub(super) client: u8,
    /// The caller never learns the answer.
    #[serde(default, skip_serializing_if = "super::names::is_default")]
    pub(super) lost: bool,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// The store's clock moves by so many milliseconds.
    WaitMs(i64),
    /// A client calls.
    Call(Call),
}

impl Tape {
    pub(super) const fn new(steps: Vec<Step>) -> Self {
        Self { note: String::new(), steps }
    }

    /// The tape of a text.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("no tape: {error}"))
    }

    /// Its text, one step a line.
    #[must_use]
    pub fn text(&self) -> String {
        let steps: Vec<_> = self.steps.iter().map(Step::text).collect();
        let note = match &self.note {
            note if note.is_empty() => String::new(),
            note => format!("\"note\": {},\n", Value::from(note.as_str())),
        };
        format!("{{{note}\"steps\": [\n  {}\n]}}\n", steps.join(",\n  "))
    }

    /// How many steps it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// True without a step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many clients it has.
    pub(super) fn clients(&self) -> u8 {
        self.steps.iter().map(|step| step.client).max().map_or(1, |last| last + 1)
    }

    /// The same with these steps, and without those that refer to what is left out.
    pub(super) fn closed(&self, kept: Vec<Step>) -> Self {
        let mut there = BTreeSet::new();
        let mut steps = kept;
        steps.retain(|step| {
            let whole = step.refers_to().iter().all(|n| there.contains(n));
            whole && there.insert(step.n)
        });
        Self { note: self.note.clone(), steps }
    }
}

impl Step {
    /// Its text on one line.
    pub(super) fn text(&self) -> String {
        self.value().to_string()
    }

    pub(super) fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The steps whose answers it needs.
    pub(super) fn refers_to(&self) -> BTreeSet<u32> {
        fn walk(value: &Value, found: &mut BTreeSet<u32>) {
            match value {
                Value::String(text) => found.extend(step_of(text)),
                Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
                Value::Object(fields) => fields.values().for_each(|field| walk(field, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        let mut found = BTreeSet::new();
        walk(&self.value(), &mut found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"note": "why",
"steps": [
  {"call":{"create_execution":{"execution":7,"priority":1}},"n":0},
  {"n":1,"wait_ms":5},
  {"call":{"claim":{"ttl_ms":50}},"client":1,"n":3},
  {"call":{"complete":{"lease":"lease#3/truncated"}},"lost":true,"n":4},
  {"call":{"renew_many":["lease#3","lease#9.1"]},"n":10}
]}
"#;

    #[test]
    fn a_tape_comes_back_from_its_text() {
        let tape = Tape::read(TEXT).unwrap();
        assert_eq!(tape.text(), TEXT);
        assert_eq!((tape.len(), tape.clients()), (5, 2));
        assert!(Tape::read(r#"{"steps": [{"n": 0, "call": {"sing": 1}}]}"#).is_err());
    }

    #[test]
    fn what_refers_to_a_missing_step_goes_with_it() {
        let tape = Tape::read(TEXT).unwrap();
        let numbers = |tape: &Tape| tape.steps.iter().map(|step| step.n).collect::<Vec<_>>();
        assert_eq!(numbers(&tape.closed(tape.steps.clone())), [0, 1, 3, 4], "step 9 does not exist");
        assert_eq!(numbers(&tape.closed(tape.steps[..2].to_vec())), [0, 1]);
        assert_eq!(numbers(&tape.closed(vec![tape.steps[0].clone(), tape.steps[3].clone()])), [0]);
    }
}
