//! Whether a text is a report at all: the JSON Schema that is published with the suite.

use serde_json::Value;

use super::{Report, verify};

/// The JSON Schema of a report.
const TEXT: &str = include_str!("../../schema/report-v1.json");

/// Breaches of one text that are told.
const MOST: usize = 20;

/// What is wrong with the text of a report that somebody wants to publish; empty if nothing is.
///
/// A text that is no report by the schema is not looked at further.
#[must_use]
pub fn verify_text(text: &str) -> Vec<String> {
    let value = match serde_json::from_str::<Value>(text) {
        Ok(value) => value,
        Err(error) => return vec![format!("no JSON: {error}")],
    };
    let breaches = breaches(&value);
    if !breaches.is_empty() {
        return breaches;
    }
    match serde_json::from_value::<Report>(value) {
        Ok(report) => verify(&report),
        Err(error) => vec![format!("no report: {error}")],
    }
}

/// Where `value` is not as the schema wants it.
fn breaches(value: &Value) -> Vec<String> {
    let schema = serde_json::from_str(TEXT).map_err(|error| error.to_string());
    let validator =
        schema.and_then(|schema: Value| jsonschema::validator_for(&schema).map_err(|error| error.to_string()));
    let validator = match validator {
        Ok(validator) => validator,
        Err(error) => return vec![format!("the schema itself: {error}")],
    };
    let mut told: Vec<_> = validator
        .iter_errors(value)
        .take(MOST)
        .map(|error| format!("{}: {}", error.instance_path(), cut(&error.to_string())))
        .collect();
    told.dedup();
    told
}

/// The words about a value, which may be as long as the value.
fn cut(text: &str) -> String {
    const LONG: usize = 300;
    if text.chars().count() <= LONG {
        return text.to_owned();
    }
    let end: String = text.chars().rev().take(LONG / 3).collect();
    format!("{}…{}", text.chars().take(LONG / 2).collect::<String>(), end.chars().rev().collect::<String>())
}
