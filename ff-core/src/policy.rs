//! The policy of an execution: what its creator decides about retries, reclaims and routing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{CapabilitySet, EngineError, Limits, TimeoutBehavior, TimestampMs, ValidationKind, text::check_name};

/// What the creator of an execution decides in advance.
///
/// A field that is set is honoured; a field that this version does not know is refused by name, never ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExecutionPolicy {
    /// The priority, unless the create names one; clamped to `0..=9000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The earliest instant of the first claim, unless the create names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_until: Option<TimestampMs>,
    /// When a failed attempt is retried; without it never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// How long an attempt and the whole execution may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_policy: Option<TimeoutPolicy>,
    /// How often another worker may take over after a lease ended; 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_reclaim_count: Option<u32>,
    /// How often the execution may run again after its end; 10 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replay_count: Option<u32>,
    /// What holds for suspensions that do not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspension_policy: Option<SuspensionPolicy>,
    /// How many signals the execution takes over its whole life; 10,000 by default, and 0 is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_signals_per_execution: Option<u32>,
    /// What a worker must offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_requirements: Option<RoutingRequirements>,
    /// The life of the idempotency key in milliseconds; 24 h by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_window_ms: Option<u64>,
}

/// When a failed attempt is retried, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Retries after the first attempt; 3 by default.
    #[serde(default = "three")]
    pub max_retries: u32,
    /// How long to wait before each.
    #[serde(default)]
    pub backoff: Backoff,
    /// If not empty, only failures of these categories are retried.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub retryable_categories: BTreeSet<String>,
}

const fn three() -> u32 {
    3
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_retries: three(), backoff: Backoff::default(), retryable_categories: BTreeSet::new() }
    }
}

/// The wait before a retry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Backoff {
    /// Always the same.
    Fixed {
        /// Milliseconds; 0 retries at once.
        delay_ms: u64,
    },
    /// `min(initial × multiplier^retries, max)`, in whole milliseconds.
    Exponential {
        /// Milliseconds before the first retry.
        #[serde(default = "one_second")]
        initial_delay_ms: u64,
        /// Milliseconds at most.
        #[serde(default = "one_minute")]
        max_delay_ms: u64,
        /// The factor, at least 1 and at most 1,000.
        #[serde(default = "double")]
        multiplier: f64,
        /// Draws each wait from the upper half of its value.
        #[serde(default)]
        jitter: bool,
    },
}

const fn one_second() -> u64 {
    1000
}

const fn one_minute() -> u64 {
    60_000
}

const fn double() -> f64 {
    2.0
}

impl Default for Backoff {
    fn default() -> Self {
        Self::Exponential {
            initial_delay_ms: one_second(),
            max_delay_ms: one_minute(),
            multiplier: double(),
            jitter: false,
        }
    }
}

/// How long an attempt and the whole execution may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeoutPolicy {
    /// Milliseconds of an attempt under its lease, counted anew from each acquisition; no renewal leads beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout_ms: Option<u64>,
    /// Milliseconds of the whole execution, counted from its creation and anew from each replay, unless the create
    /// names a deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_deadline_ms: Option<u64>,
    /// The same as [`ExecutionPolicy::max_reclaim_count`]; only one of the two may be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_reclaim_count: Option<u32>,
}

/// What holds for suspensions that do not say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspensionPolicy {
    /// Milliseconds from the suspension to its time-out, if it names none; without this, it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_timeout_ms: Option<u64>,
    /// What the time-out of a suspension does that names no behaviour.
    #[serde(default)]
    pub timeout_behavior: TimeoutBehavior,
}

/// What a worker must offer to get an execution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingRequirements {
    /// Every one of these tokens.
    #[serde(default)]
    pub required_capabilities: CapabilitySet,
}

impl ExecutionPolicy {
    /// A policy that leaves everything at its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The policy that `json` describes.
    ///
    /// # Errors
    /// `Validation(InvalidPolicyJson)` for another shape or an unknown field, which is named;
    /// `Validation(InvalidCapabilities)` for a required token that breaks the rules.
    pub fn from_json(json: &str) -> Result<Self, EngineError> {
        let malformed = |detail: String| EngineError::validation(ValidationKind::InvalidPolicyJson, detail);
        let value: serde_json::Value = serde_json::from_str(json).map_err(|_| malformed("malformed".to_owned()))?;
        if !value.is_object() {
            return Err(malformed("not_object".to_owned()));
        }
        if let Some(routing) = value.get("routing_requirements") {
            if !routing.is_object() {
                return Err(malformed("routing_requirements:not_object".to_owned()));
            }
            if let Some(required) = routing.get("required_capabilities") {
                CapabilitySet::from_json(required)?;
            }
        }
        let policy: Self = serde_json::from_value(value).map_err(|error| malformed(error.to_string()))?;
        policy.check()?;
        Ok(policy)
    }

    /// The same with a priority.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// The same with an earliest instant for the first claim.
    #[must_use]
    pub fn delay_until(mut self, due: TimestampMs) -> Self {
        self.delay_until = Some(due);
        self
    }

    /// The same with a retry policy.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry_policy = Some(retry);
        self
    }

    /// The same with time limits.
    #[must_use]
    pub const fn timeouts(mut self, timeouts: TimeoutPolicy) -> Self {
        self.timeout_policy = Some(timeouts);
        self
    }

    /// The same with another number of replays.
    #[must_use]
    pub fn max_replay_count(mut self, count: u32) -> Self {
        self.max_replay_count = Some(count);
        self
    }

    /// The same with what holds for suspensions that do not say otherwise.
    #[must_use]
    pub fn suspensions(mut self, suspensions: SuspensionPolicy) -> Self {
        self.suspension_policy = Some(suspensions);
        self
    }

    /// The same with another number of signals; 0 is no limit.
    #[must_use]
    pub fn max_signals_per_execution(mut self, count: u32) -> Self {
        self.max_signals_per_execution = Some(count);
        self
    }

    /// Signals at most; `None` is no limit.
    #[must_use]
    pub fn signals_max(&self) -> Option<u32> {
        Some(self.max_signals_per_execution.unwrap_or(Limits::SIGNALS)).filter(|most| *most > 0)
    }

    /// Reclaims at most.
    #[must_use]
    pub fn reclaims_max(&self) -> u32 {
        let nested = self.timeout_policy.and_then(|timeouts| timeouts.max_reclaim_count);
        self.max_reclaim_count.or(nested).unwrap_or(Limits::RECLAIMS)
    }

    /// Replays at most.
    #[must_use]
    pub fn replays_max(&self) -> u32 {
        self.max_replay_count.unwrap_or(Limits::REPLAYS)
    }

    /// How long an attempt may take, in milliseconds.
    #[must_use]
    pub fn attempt_timeout_ms(&self) -> Option<u64> {
        self.timeout_policy.and_then(|timeouts| timeouts.attempt_timeout_ms)
    }

    /// How long the execution may take from its creation or replay, in milliseconds.
    #[must_use]
    pub fn execution_deadline_ms(&self) -> Option<u64> {
        self.timeout_policy.and_then(|timeouts| timeouts.execution_deadline_ms)
    }

    /// The same with another number of reclaims.
    #[must_use]
    pub fn max_reclaim_count(mut self, count: u32) -> Self {
        self.max_reclaim_count = Some(count);
        self
    }

    /// The same with required worker capabilities.
    #[must_use]
    pub fn required_capabilities(mut self, required: CapabilitySet) -> Self {
        self.routing_requirements = Some(RoutingRequirements { required_capabilities: required });
        self
    }

    /// The same with another life of the idempotency key.
    #[must_use]
    pub fn dedup_window_ms(mut self, ms: u64) -> Self {
        self.dedup_window_ms = Some(ms);
        self
    }

    /// Refuses values outside their ranges.
    ///
    /// # Errors
    /// `Validation(InvalidPolicyJson)` naming the field.
    pub fn check(&self) -> Result<(), EngineError> {
        let outside = |field: &str| {
            EngineError::validation(ValidationKind::InvalidPolicyJson, format!("{field}: outside its range"))
        };
        if let Some(due) = self.delay_until {
            due.check("policy.delay_until").map_err(|_| outside("delay_until"))?;
        }
        if self.dedup_window_ms.is_some_and(|ms| ms == 0 || ms > Limits::DURATION_MS) {
            return Err(outside("dedup_window_ms"));
        }
        if let Some(timeouts) = &self.timeout_policy {
            if timeouts.attempt_timeout_ms.is_some_and(|ms| ms == 0 || ms > Limits::DURATION_MS) {
                return Err(outside("timeout_policy.attempt_timeout_ms"));
            }
            if timeouts.execution_deadline_ms.is_some_and(|ms| ms == 0 || ms > Limits::DURATION_MS) {
                return Err(outside("timeout_policy.execution_deadline_ms"));
            }
            if timeouts.max_reclaim_count.is_some() && self.max_reclaim_count.is_some() {
                let twice = "max_reclaim_count: given twice";
                return Err(EngineError::validation(ValidationKind::InvalidPolicyJson, twice));
            }
        }
        let default_timeout_ms = self.suspension_policy.and_then(|suspensions| suspensions.default_timeout_ms);
        if default_timeout_ms.is_some_and(|ms| ms == 0 || ms > Limits::DURATION_MS) {
            return Err(outside("suspension_policy.default_timeout_ms"));
        }
        let Some(retry) = &self.retry_policy else { return Ok(()) };
        if retry.retryable_categories.len() > Limits::RETRY_CATEGORIES
            || retry.retryable_categories.iter().any(|category| check_name(category, "category").is_err())
        {
            return Err(outside("retry_policy.retryable_categories"));
        }
        match retry.backoff {
            Backoff::Fixed { delay_ms } if delay_ms > Limits::DURATION_MS => Err(outside("backoff.delay_ms")),
            Backoff::Exponential { initial_delay_ms, max_delay_ms, multiplier, .. } => {
                if initial_delay_ms > Limits::DURATION_MS {
                    return Err(outside("backoff.initial_delay_ms"));
                }
                if max_delay_ms > Limits::DURATION_MS {
                    return Err(outside("backoff.max_delay_ms"));
                }
                if !(1.0..=1000.0).contains(&multiplier) {
                    return Err(outside("backoff.multiplier"));
                }
                Ok(())
            }
            Backoff::Fixed { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        let error = ExecutionPolicy::from_json(json).unwrap_err();
        format!("{} {error}", error.code())
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let policy = ExecutionPolicy::from_json(r#"{"retry_policy":{"backoff":{"type":"exponential"}}}"#).unwrap();
        assert_eq!(policy.retry_policy, Some(RetryPolicy::default()));
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(ExecutionPolicy::from_json(&text).unwrap(), policy);
    }

    #[test]
    fn unknown_shapes_are_refused_by_name() {
        for (json, part) in [
            ("[", "malformed"),
            ("[]", "not_object"),
            (r#"{"routing_requirements":3}"#, "routing_requirements:not_object"),
            (r#"{"fallback_policy":{"tiers":[]}}"#, "fallback_policy"),
            (r#"{"routing_requirements":{"preferred_locality":"eu"}}"#, "preferred_locality"),
            (r#"{"routing_requirements":{"isolation_level":"vm"}}"#, "isolation_level"),
            (r#"{"retry_policy":{"backoff":{"type":"random"}}}"#, "random"),
            (r#"{"retry_policy":{"backoff":{"type":"exponential","multiplier":0.5}}}"#, "multiplier"),
            (r#"{"suspension_policy":{"default_timeout_ms":0}}"#, "suspension_policy.default_timeout_ms"),
            (r#"{"suspension_policy":{"timeout_behavior":"explode"}}"#, "explode"),
            (r#"{"suspension_policy":{"resume":true}}"#, "resume"),
            (r#"{"dedup_window_ms":0}"#, "dedup_window_ms"),
            (r#"{"timeout_policy":{"attempt_timeout_ms":0}}"#, "attempt_timeout_ms"),
            (r#"{"max_reclaim_count":1,"timeout_policy":{"max_reclaim_count":1}}"#, "given twice"),
        ] {
            let text = refusal(json);
            assert!(text.starts_with("Validation(InvalidPolicyJson)") && text.contains(part), "{json}: {text}");
        }
        let text = refusal(r#"{"routing_requirements":{"required_capabilities":["a,b"]}}"#);
        assert!(text.starts_with("Validation(InvalidCapabilities)") && text.contains("comma_in_token"), "{text}");
    }
}
