//! Whether a failure is retried and when: a pure rule, computed alike in every store.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Backoff, FailureClass, RetryPolicy};

/// A retry policy in the numbers that a store computes with.
///
/// The wait before retry `n` (from 0) is `floor(initial × multiplier^n)` while `n < saturates_at`, then `max`; with
/// jitter it is multiplied by a factor in `[0.5, 1]` that the caller draws. `saturates_at` keeps the power small, so
/// that no store overflows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryRule {
    /// Retries at most.
    pub retries_max: u32,
    /// The first wait.
    pub initial_ms: u64,
    /// The longest wait.
    pub max_ms: u64,
    /// The factor between waits.
    pub multiplier: f64,
    /// The first retry whose wait is `max_ms`.
    pub saturates_at: u32,
    /// Whether the wait is drawn from the upper half of its value.
    pub jitter: bool,
    /// If not empty, only these categories are retried; sorted.
    pub categories: Vec<String>,
}

/// The factor that jitter multiplies a wait by, in millionths: `500_000..=1_000_000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Jitter(u32);

impl Jitter {
    /// No change.
    pub const NONE: Self = Self(1_000_000);

    /// A factor drawn from `random` bits.
    #[must_use]
    pub const fn from_bits(random: u128) -> Self {
        // The remainder of a 128-bit number by 500,001 fits in 32 bits, and its bias is far below one in a billion.
        Self(500_000 + (random % 500_001) as u32)
    }

    /// A factor at random.
    #[must_use]
    pub fn draw() -> Self {
        Self::from_bits(Uuid::new_v4().as_u128())
    }

    /// Millionths.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryDecision {
    /// Try again after this many milliseconds.
    RetryAfter(u64),
    /// It has failed for good.
    Terminal,
}

impl RetryRule {
    /// The rule of a policy, `None` if there is no retry at all.
    #[must_use]
    pub fn of(policy: Option<&RetryPolicy>) -> Option<Self> {
        let policy = policy.filter(|policy| policy.max_retries > 0)?;
        let (initial_ms, max_ms, multiplier, jitter) = match policy.backoff {
            Backoff::Fixed { delay_ms } => (delay_ms, delay_ms, 1.0, false),
            Backoff::Exponential { initial_delay_ms, max_delay_ms, multiplier, jitter } => {
                (initial_delay_ms, max_delay_ms, multiplier, jitter)
            }
        };
        Some(Self {
            retries_max: policy.max_retries,
            initial_ms,
            max_ms,
            multiplier,
            saturates_at: saturation(initial_ms, max_ms, multiplier),
            jitter,
            categories: policy.retryable_categories.iter().cloned().collect(),
        })
    }

    /// The wait before retry `retry_count` (from 0).
    #[must_use]
    pub fn delay_ms(&self, retry_count: u32, jitter: Jitter) -> u64 {
        let plain = if retry_count >= self.saturates_at {
            self.max_ms
        } else {
            // Below saturation the product is smaller than max_ms, which is at most 100 years.
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "milliseconds of 100 years are exact in a double"
            )]
            let ms = (self.initial_ms as f64 * self.multiplier.powf(f64::from(retry_count))).floor() as u64;
            ms
        };
        if self.jitter { plain * u64::from(jitter.millionths()) / 1_000_000 } else { plain }
    }
}

impl RetryDecision {
    /// What follows from a failure of `class` and `category` after `retry_count` retries.
    #[must_use]
    pub fn of(rule: Option<&RetryRule>, retry_count: u32, class: FailureClass, category: &str, jitter: Jitter) -> Self {
        match rule {
            Some(rule)
                if class.is_retryable()
                    && retry_count < rule.retries_max
                    && (rule.categories.is_empty() || rule.categories.iter().any(|listed| listed == category)) =>
            {
                Self::RetryAfter(rule.delay_ms(retry_count, jitter))
            }
            _ => Self::Terminal,
        }
    }
}

/// The smallest `n` with `initial × multiplier^n >= max`; without growth it is 0 or never.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of 100 years are exact in a double")]
fn saturation(initial_ms: u64, max_ms: u64, multiplier: f64) -> u32 {
    if initial_ms >= max_ms {
        return 0;
    }
    if initial_ms == 0 || multiplier <= 1.0 {
        return u32::MAX;
    }
    let reaches = |n: u32| initial_ms as f64 * multiplier.powf(f64::from(n)) >= max_ms as f64;
    let (mut below, mut at) = (0u32, u32::MAX);
    while at - below > 1 {
        let middle = below + (at - below) / 2;
        if reaches(middle) { at = middle } else { below = middle }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(initial_delay_ms: u64, max_delay_ms: u64, multiplier: f64, jitter: bool) -> RetryRule {
        let backoff = Backoff::Exponential { initial_delay_ms, max_delay_ms, multiplier, jitter };
        RetryRule::of(Some(&RetryPolicy { max_retries: u32::MAX, backoff, ..RetryPolicy::default() })).unwrap()
    }

    #[test]
    fn waits_grow_by_the_multiplier_up_to_the_maximum() {
        let rule = rule(1000, 60_000, 2.0, false);
        let waits: Vec<u64> = (0..8).map(|n| rule.delay_ms(n, Jitter::NONE)).collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(rule.saturates_at, 6);
        assert_eq!(rule.delay_ms(u32::MAX, Jitter::NONE), 60_000);
    }

    #[test]
    fn no_multiplier_overflows() {
        assert_eq!(rule(1, 60_000, 1000.0, false).delay_ms(5000, Jitter::NONE), 60_000);
        assert_eq!(rule(5, 60_000, 1.0, false).delay_ms(u32::MAX - 1, Jitter::NONE), 5);
        assert_eq!(rule(0, 60_000, 3.0, false).delay_ms(u32::MAX - 1, Jitter::NONE), 0);
        assert_eq!(rule(9, 3, 2.0, false).delay_ms(0, Jitter::NONE), 3);
    }

    #[test]
    fn jitter_draws_from_the_upper_half() {
        let rule = rule(1000, 60_000, 2.0, true);
        for bits in [0, 1, 499_999, 500_000, 500_001, u128::MAX] {
            let wait = rule.delay_ms(1, Jitter::from_bits(bits));
            assert!((1000..=2000).contains(&wait), "{wait}");
        }
    }
}
