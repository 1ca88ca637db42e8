//! What text and bytes an operation accepts, checked before anything is written.

use std::collections::BTreeMap;

use crate::{EngineError, Limits, ValidationKind};

/// Refuses text with U+0000 or longer than `most` bytes.
pub(crate) fn check_text(text: &str, field: &str, most: usize) -> Result<(), EngineError> {
    if text.contains('\0') {
        return Err(EngineError::invalid_input(format!("{field}: contains U+0000")));
    }
    if text.len() > most {
        return Err(EngineError::invalid_input(format!("{field}: {} bytes, at most {most}", text.len())));
    }
    Ok(())
}

/// Refuses an empty name and whatever [`check_text`] refuses.
pub(crate) fn check_name(text: &str, field: &str) -> Result<(), EngineError> {
    if text.is_empty() {
        return Err(EngineError::invalid_input(format!("{field}: empty")));
    }
    check_text(text, field, Limits::NAME_BYTES)
}

/// Refuses a payload or result of more than `most` bytes.
pub(crate) fn check_payload(bytes: &[u8], field: &str, most: usize) -> Result<(), EngineError> {
    if bytes.len() > most {
        return Err(EngineError::validation(
            ValidationKind::PayloadTooLarge,
            format!("{field}: {} bytes, at most {most}", bytes.len()),
        ));
    }
    Ok(())
}

/// Refuses too many tags, a key that is not `namespace.name`, and keys or values that are too long.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), EngineError> {
    if tags.len() > Limits::TAGS {
        return Err(EngineError::invalid_input(format!("tags: {}, at most {}", tags.len(), Limits::TAGS)));
    }
    tags.iter().try_for_each(|(key, value)| check_tag(key, value))
}

/// Refuses a key that is not `namespace.name`, and a key or value that is too long.
pub(crate) fn check_tag(key: &str, value: &str) -> Result<(), EngineError> {
    if !is_tag_key(key) {
        return Err(EngineError::validation(
            ValidationKind::InvalidTagKey,
            format!(
                "tag key {key:?}: at most {} bytes of the form [a-z][a-z0-9_]*.[a-z0-9_][a-z0-9_.]*",
                Limits::TAG_KEY_BYTES
            ),
        ));
    }
    check_text(value, "tag value", Limits::TAG_VALUE_BYTES)
}

fn is_tag_key(key: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let Some((namespace, name)) = key.split_once('.') else { return false };
    key.len() <= Limits::TAG_KEY_BYTES
        && namespace.starts_with(|c: char| c.is_ascii_lowercase())
        && namespace.chars().all(word)
        && name.starts_with(word)
        && name.chars().all(|c| word(c) || c == '.')
}
