//! Where more than one way is right: the properties that a backend declares, what each value means and what it costs.

use serde_json::Value;

use super::Report;

/// The names of the properties that the backends of `reports` declare, sorted.
#[must_use]
pub fn properties(reports: &[Report]) -> Vec<String> {
    names(reports, |declared| declared.properties.keys().cloned().collect())
}

/// The names of the limits that the backends of `reports` declare, sorted.
#[must_use]
pub fn limits(reports: &[Report]) -> Vec<String> {
    names(reports, |declared| declared.limits.keys().cloned().collect())
}

fn names(reports: &[Report], of: impl Fn(&super::Declared) -> Vec<String>) -> Vec<String> {
    let mut names: Vec<_> = reports.iter().filter_map(|report| report.declared.as_ref()).flat_map(of).collect();
    names.sort();
    names.dedup();
    names
}

/// A declared value in words: `sync`, `bounded 1 s`, `16,777,216`.
#[must_use]
pub fn word(value: &Value) -> String {
    match value {
        Value::String(word) => word.replace('_', " "),
        Value::Number(number) => grouped(&number.to_string()),
        Value::Object(fields) => match duration(fields) {
            Some(text) => text,
            None => fields.iter().map(|(name, value)| format!("{} {}", name.replace('_', " "), word(value))).collect(),
        },
        Value::Null => "none".to_owned(),
        value => value.to_string(),
    }
}

/// Digits in groups of three.
fn grouped(digits: &str) -> String {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.to_owned();
    }
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration as serde writes it.
fn duration(fields: &serde_json::Map<String, Value>) -> Option<String> {
    let (seconds, nanos) = (fields.get("secs")?.as_u64()?, fields.get("nanos")?.as_u64()?);
    Some(match (seconds, nanos / 1_000_000) {
        (seconds, 0) => format!("{seconds} s"),
        (seconds, ms) => format!("{} ms", seconds * 1000 + ms),
    })
}

/// What a value of a property means for a caller, and what it costs; the contract has the words for values not known here.
#[must_use]
pub fn effect(property: &str, value: &Value) -> (&'static str, &'static str) {
    let variant = match value {
        Value::String(word) => word.as_str(),
        Value::Object(fields) => fields.keys().next().map_or("", String::as_str),
        _ => "",
    };
    match (property, variant) {
        ("durability", "none") => (
            "Nothing survives the end of the store.",
            "Nothing is written to a disk: fastest, and for work that can be submitted again.",
        ),
        ("durability", "bounded") => (
            "A sudden end loses at most the last stretch, state and events together.",
            "A write does not wait for the disk: faster, and a caller may have to submit again.",
        ),
        ("durability", "sync") => ("Everything that was acknowledged survives.", "Each write waits for the disk."),
        ("order", "store") => {
            ("The order of a lane holds over the whole store.", "All claims of a lane look at one index.")
        }
        ("order", "shard") => {
            ("The order of a lane holds within each shard.", "Shards claim apart, so that more of them do more.")
        }
        ("wake_up", "push") => ("A waiting claim is told of work.", "Each process keeps a connection that listens."),
        ("wake_up", "poll") => (
            "A waiting claim looks again, within the given time.",
            "Nothing listens, and an idle worker costs a look each time.",
        ),
        ("cascade", "inline") => {
            ("What depends on an execution moves in the step that ends it.", "A step is as large as what it sets free.")
        }
        ("cascade", "eventual") => {
            ("What depends on an execution moves within the given time after its end.", "Each step stays small.")
        }
        ("completion_cursor", "durable") => {
            ("A cursor goes on exactly where it stood.", "Events are stored and trimmed.")
        }
        ("completion_cursor", "ephemeral") => {
            ("A cursor that falls behind is told so.", "Events are kept only while somebody listens.")
        }
        _ => ("As the contract says of this value.", "As the contract says of this value."),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::word;

    #[test]
    fn values_are_told_in_words() {
        for (value, expected) in [
            (json!("sync"), "sync"),
            (json!({"bounded": {"secs": 1, "nanos": 0}}), "bounded 1 s"),
            (json!({"poll": {"secs": 0, "nanos": 250_000_000}}), "poll 250 ms"),
            (json!(16_777_216), "16,777,216"),
            (json!(256), "256"),
            (json!(null), "none"),
        ] {
            assert_eq!(word(&value), expected);
        }
    }
}
