//! Instants and spans of store time, in milliseconds.

use std::time::Duration;

use ff_core::TimestampMs;

/// A span of `count` milliseconds.
pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The instant `count` milliseconds before `at`.
pub(crate) const fn before(at: TimestampMs, count: i64) -> TimestampMs {
    TimestampMs::from_ms(at.as_ms() - count)
}

/// The instant `count` milliseconds after `at`.
pub(crate) const fn after(at: TimestampMs, count: i64) -> TimestampMs {
    TimestampMs::from_ms(at.as_ms() + count)
}
