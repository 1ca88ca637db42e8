//! What can be seen of one execution, without the ids and instants in which two equal ones differ.

use std::sync::Arc;

use ff_core::{EngineBackend, ExecutionId, LeaseId, Namespace, TimestampMs};
use serde_json::Value;

use crate::{Cx, Stop};

/// Everything that can be seen of one execution: its reads, its attempts and its events, one line each.
///
/// Ids are numbered by first sight and instants are relative to an origin, so two executions that went the same way
/// have equal facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts(Vec<String>);

impl Facts {
    /// The same without the name of its lane, `lane`.
    pub(crate) fn in_lane(self, lane: &str) -> Self {
        let name = format!("\"lane_id\":\"{lane}\"");
        Self(self.0.into_iter().map(|line| line.replace(&name, "\"lane_id\":\"<>\"")).collect())
    }

    /// The same without the name of its namespace.
    pub(crate) fn of_namespace(self, namespace: &Namespace) -> Self {
        let name = format!("\"namespace\":\"{namespace}\"");
        Self(self.0.into_iter().map(|line| line.replace(&name, "\"namespace\":\"<>\"")).collect())
    }

    /// What reads and attempts tell of one and not of the other.
    pub(crate) fn other_records(&self, expected: &Self) -> Vec<String> {
        Self::differences(self.lines(false), &expected.lines(false))
    }

    /// What events tell of one and not of the other.
    pub(crate) fn other_events(&self, expected: &Self) -> Vec<String> {
        Self::differences(self.lines(true), &expected.lines(true))
    }

    /// What is told of one and not of the other.
    pub(crate) fn others(&self, expected: &Self) -> Vec<String> {
        [self.other_records(expected), self.other_events(expected)].concat()
    }

    fn differences(mut found: Vec<&str>, expected: &[&str]) -> Vec<String> {
        let mut differences = Vec::new();
        for line in expected {
            match found.iter().position(|other| other == line) {
                Some(at) => drop(found.remove(at)),
                None => differences.push(format!("missing: {line}")),
            }
        }
        differences.extend(found.iter().map(|line| format!("found: {line}")));
        differences
    }

    fn lines(&self, events: bool) -> Vec<&str> {
        let told = |line: &&str| ["lease ", "completion ", "operator "].iter().any(|family| line.starts_with(family));
        self.0.iter().map(String::as_str).filter(|line| told(line) == events).collect()
    }
}

/// The facts of `id` at this moment, with instants relative to `origin`.
pub(crate) async fn facts_of(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    id: &ExecutionId,
    origin: TimestampMs,
) -> Result<Facts, Stop> {
    let dump = cx.dump().await?;
    let mut facts = Normaliser { origin, ids: Vec::new(), lines: Vec::new() };
    facts.tell("info", client.read_execution_info(id).await?)?;
    facts.tell("snapshot", client.describe_execution(id).await?)?;
    facts.tell("state", client.read_execution_state(id).await?)?;
    facts.tell("result", client.get_execution_result(id).await?)?;
    for attempt in dump.attempts.iter().filter(|attempt| attempt.execution_id == *id) {
        facts.tell("attempt", attempt)?;
    }
    for event in dump.lease_history.iter().filter(|event| event.execution_id == *id) {
        facts.tell("lease", event)?;
    }
    for event in dump.completions.iter().filter(|event| event.execution_id == *id) {
        facts.tell("completion", event)?;
    }
    for event in dump.operator_events.iter().filter(|event| event.execution_id == *id) {
        facts.tell("operator", event)?;
    }
    Ok(Facts(facts.lines))
}

struct Normaliser {
    origin: TimestampMs,
    ids: Vec<String>,
    lines: Vec<String>,
}

impl Normaliser {
    fn tell(&mut self, what: &str, fact: impl serde::Serialize) -> Result<(), Stop> {
        let mut value =
            serde_json::to_value(fact).map_err(|error| Stop::Errored(format!("{what} has no JSON form: {error}")))?;
        self.normalise("", &mut value);
        self.lines.push(format!("{what} {value}"));
        Ok(())
    }

    fn normalise(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| self.normalise(key, value)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.normalise("", item)),
            Value::String(text) if text.parse::<ExecutionId>().is_ok() || text.parse::<LeaseId>().is_ok() => {
                let number = self.ids.iter().position(|known| known == text).unwrap_or_else(|| {
                    self.ids.push(text.clone());
                    self.ids.len() - 1
                });
                *text = format!("<{number}>");
            }
            Value::Number(number) if is_instant(key) => {
                if let Some(ms) = number.as_i64() {
                    *value = Value::from(ms - self.origin.as_ms());
                }
            }
            _ => {}
        }
    }
}

/// True for the names that the contract gives to instants.
fn is_instant(key: &str) -> bool {
    key == "at" || key == "delay_until" || key.ends_with("_at")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_numbered_and_instants_are_relative() {
        let mut facts = Normaliser { origin: TimestampMs::from_ms(1000), ids: Vec::new(), lines: Vec::new() };
        let (a, b) = (LeaseId::new().to_string(), format!("{{fp:0}}:{}", LeaseId::new()));
        facts.tell("x", json!({"id": a, "of": b, "again": [a], "expires_at": 1030, "count": 1030})).unwrap();
        assert_eq!(facts.lines, [r#"x {"again":["<0>"],"count":1030,"expires_at":30,"id":"<0>","of":"<1>"}"#]);
    }

    #[test]
    fn what_is_told_twice_is_a_difference() {
        let once = Facts(vec!["info a".to_owned(), "lease b".to_owned()]);
        let twice = Facts(vec!["info a".to_owned(), "lease b".to_owned(), "lease b".to_owned()]);
        assert_eq!(once.others(&once), Vec::<String>::new());
        assert_eq!(twice.others(&once), ["found: lease b"]);
        assert_eq!(once.other_events(&twice), ["missing: lease b"]);
        assert_eq!(once.other_records(&twice), Vec::<String>::new());
    }
}
