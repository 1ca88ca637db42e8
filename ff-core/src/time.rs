//! Instants and durations of the contract, in whole milliseconds.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{EngineError, Limits};

/// An instant by the store's clock, in milliseconds since the Unix epoch.
///
/// Instants that a caller gives lie in `0..=253_402_300_799_999` (the end of year 9999), so they are exact in a double.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimestampMs(i64);

impl TimestampMs {
    /// The latest instant that an operation accepts.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// An instant from milliseconds since the Unix epoch; operations check its range.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// The instant `duration` later, in whole milliseconds; it stops at the end of the number range.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// True if this instant has come at `now`: due means `now >= due`.
    #[must_use]
    pub const fn has_come(self, now: Self) -> bool {
        now.0 >= self.0
    }

    /// Refuses an instant outside the range of the contract.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` naming `field`.
    pub fn check(self, field: &str) -> Result<Self, EngineError> {
        if (0..=Self::MAX.0).contains(&self.0) {
            Ok(self)
        } else {
            Err(EngineError::invalid_input(format!("{field}: {} lies outside 0..={} ms", self.0, Self::MAX.0)))
        }
    }
}

impl fmt::Display for TimestampMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A duration in whole milliseconds within `least..=` 100 years.
pub(crate) fn checked_ms(duration: Duration, field: &str, least: u64) -> Result<u64, EngineError> {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms < least || ms > Limits::DURATION_MS {
        return Err(EngineError::invalid_input(format!(
            "{field}: {ms} ms lies outside {least}..={}",
            Limits::DURATION_MS
        )));
    }
    Ok(ms)
}
