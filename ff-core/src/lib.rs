//! Module lines and re-exports.
