//! The shortest tape that still fails: fewer steps, then smaller arguments, then fewer clients.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    Tape,
    play::{Disagreement, Halt},
    refs::step_of,
    tape::Step,
    trace::Line,
};
use crate::Harness;

/// Tapes that are played at most.
const TRIES: usize = 200;
/// How long it may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Shrinks a tape on which `found` was found; each try has a store of its own.
pub(super) async fn shrink(
    harness: &dyn Harness,
    tape: Tape,
    found: Disagreement,
    trace: Vec<Line>,
) -> (Tape, Disagreement, Vec<Line>) {
    let mut shrinking = Shrinking { harness, best: (tape, found, trace), tries: 0, until: deadline() };
    shrinking.cut().await;
    shrinking.fewer().await;
    shrinking.smaller().await;
    shrinking.one_client().await;
    shrinking.best
}

#[expect(clippy::disallowed_methods, reason = "the suite bounds its own work; the store's time is not asked")]
fn deadline() -> Instant {
    Instant::now() + LIMIT
}

struct Shrinking<'a> {
    harness: &'a dyn Harness,
    best: (Tape, Disagreement, Vec<Line>),
    tries: usize,
    until: Instant,
}

impl Shrinking<'_> {
    /// Plays a candidate; it becomes the best one if it fails in the same thing.
    async fn attempt(&mut self, steps: Vec<Step>) -> bool {
        let tape = self.best.0.closed(steps);
        if tape.is_empty() || tape == self.best.0 || self.is_over() {
            return false;
        }
        self.tries += 1;
        let once = super::play(self.harness, &tape).await;
        match once.halt {
            Some(Halt::Disagreement(found)) if found.subject == self.best.1.subject => {
                self.best = (tape, *found, once.trace);
                true
            }
            _ => false,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the suite bounds its own work; the store's time is not asked")]
    fn is_over(&self) -> bool {
        self.tries >= TRIES || Instant::now() >= self.until
    }

    /// What comes after the step that parted is not needed.
    async fn cut(&mut self) {
        let Some(last) = self.best.1.step else { return };
        let steps = self.best.0.steps.iter().filter(|step| step.n <= last).cloned().collect();
        self.attempt(steps).await;
    }

    /// Leaves out pieces, half of the tape first and single steps last, until none can be left out.
    async fn fewer(&mut self) {
        let mut piece = self.best.0.len().div_ceil(2);
        while piece > 0 {
            let (mut from, mut shorter) = (0, false);
            while from < self.best.0.len() && !self.is_over() {
                let mut steps = self.best.0.steps.clone();
                steps.drain(from..(from + piece).min(steps.len()));
                if self.attempt(steps).await {
                    shorter = true;
                } else {
                    from += piece;
                }
            }
            if !shorter || self.is_over() {
                piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
            }
        }
    }

    /// Leaves out arguments that have a default, and tries small numbers.
    async fn smaller(&mut self) {
        let mut at = 0;
        while at < self.best.0.len() && !self.is_over() {
            let Some(step) = self.best.0.steps.get(at) else { return };
            let mut smaller = false;
            for candidate in candidates(&step.value()) {
                let Ok(step) = serde_json::from_value::<Step>(candidate) else { continue };
                let mut steps = self.best.0.steps.clone();
                steps[at] = step;
                if self.attempt(steps).await {
                    smaller = true;
                    break;
                }
            }
            if !smaller {
                at += 1;
            }
        }
    }

    async fn one_client(&mut self) {
        let mut steps = self.best.0.steps.clone();
        steps.iter_mut().for_each(|step| step.client = 0);
        self.attempt(steps).await;
    }
}

/// Values that say less: without one of the fields, or with a smaller number.
fn candidates(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(fields) => {
            let mut found = Vec::new();
            for (key, field) in fields.iter().filter(|(key, _)| key.as_str() != "n") {
                let mut without = fields.clone();
                without.remove(key);
                found.push(Value::Object(without));
                found.extend(candidates(field).into_iter().map(|field| {
                    let mut with = fields.clone();
                    with.insert(key.clone(), field);
                    Value::Object(with)
                }));
            }
            found
        }
        Value::Array(items) => {
            let without = (0..items.len()).map(|at| {
                let mut fewer = items.clone();
                fewer.remove(at);
                Value::Array(fewer)
            });
            let inner = items
                .iter()
                .enumerate()
                .flat_map(|(at, item)| candidates(item).into_iter().map(move |item| (at, item)));
            let with = inner.map(|(at, item)| {
                let mut other = items.clone();
                other[at] = item;
                Value::Array(other)
            });
            without.chain(with).collect()
        }
        Value::Number(number) => {
            let number = number.as_i64().unwrap_or_default();
            let mut smaller: Vec<_> =
                [0, 1, number / 2].into_iter().filter(|small| small.abs() < number.abs()).collect();
            smaller.dedup();
            smaller.into_iter().map(Value::from).collect()
        }
        Value::String(text) if step_of(text).is_none() && !text.is_empty() => vec![Value::from("")],
        Value::String(_) | Value::Bool(_) | Value::Null => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_less_is_tried() {
        let value = json!({"n": 7, "call": {"claim": {"ttl_ms": 8, "lane": 1}}});
        let found = candidates(&value);
        for wanted in [
            json!({"n": 7}),
            json!({"n": 7, "call": {"claim": {"ttl_ms": 8}}}),
            json!({"n": 7, "call": {"claim": {"ttl_ms": 4, "lane": 1}}}),
            json!({"n": 7, "call": {"claim": {"ttl_ms": 8, "lane": 0}}}),
        ] {
            assert!(found.contains(&wanted), "{wanted}");
        }
        assert!(candidates(&json!(["lease#3", "x"])).contains(&json!(["x"])));
        assert!(candidates(&json!("lease#3")).is_empty());
    }
}
