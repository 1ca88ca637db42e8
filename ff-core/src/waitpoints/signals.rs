//! What is delivered to a waitpoint, and what a resumed worker sees of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::WaitpointToken;
use crate::{
    EngineError, ExecutionId, Limits, SignalEffect, SignalId, SuspensionId, TimestampMs, ValidationKind, WaitpointId,
    text::{check_name, check_payload, check_text},
    time::checked_ms,
};

/// A signal to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeliverSignalArgs {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The waitpoint.
    pub waitpoint_id: WaitpointId,
    /// The credential of the waitpoint.
    pub waitpoint_token: WaitpointToken,
    /// The signal, minted by its sender: it makes the delivery repeatable.
    pub signal_id: SignalId,
    /// What conditions match: 1 to 256 bytes without U+0000.
    pub signal_name: String,
    /// What kind of signal it is, for the worker; at most 256 bytes.
    pub signal_category: String,
    /// What kind of sender it comes from; at most 256 bytes.
    pub source_type: String,
    /// Which sender it comes from, as it says itself; at most 256 bytes.
    pub source_identity: String,
    /// Any bytes, at most 64 KiB.
    pub payload: Option<Vec<u8>>,
    /// How the payload is encoded, for the worker.
    pub payload_encoding: Option<String>,
    /// What the signal belongs to, for the worker.
    pub correlation_id: Option<String>,
    /// At the same waitpoint and within [`Self::dedup_ttl`], a delivery with the same key is a repeat; the empty key is none.
    pub idempotency_key: Option<String>,
    /// How long the key is remembered: 24 h by default, up to 100 years; zero switches it off.
    pub dedup_ttl: Option<Duration>,
    /// How long after this signal the execution can be claimed, if it resumes it; without it as the suspension says.
    pub resume_delay: Option<Duration>,
}

impl DeliverSignalArgs {
    /// A signal called `name` without payload.
    pub fn new(
        execution_id: ExecutionId,
        waitpoint_id: WaitpointId,
        waitpoint_token: WaitpointToken,
        signal_id: SignalId,
        name: impl Into<String>,
    ) -> Self {
        Self {
            execution_id,
            waitpoint_id,
            waitpoint_token,
            signal_id,
            signal_name: name.into(),
            signal_category: String::new(),
            source_type: String::new(),
            source_identity: String::new(),
            payload: None,
            payload_encoding: None,
            correlation_id: None,
            idempotency_key: None,
            dedup_ttl: None,
            resume_delay: None,
        }
    }

    /// The same of another kind.
    #[must_use]
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.signal_category = category.into();
        self
    }

    /// The same from a sender.
    #[must_use]
    pub fn source(mut self, source_type: impl Into<String>, source_identity: impl Into<String>) -> Self {
        self.source_type = source_type.into();
        self.source_identity = source_identity.into();
        self
    }

    /// The same with a payload.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// The same with a name for the payload's encoding.
    #[must_use]
    pub fn payload_encoding(mut self, encoding: impl Into<String>) -> Self {
        self.payload_encoding = Some(encoding.into());
        self
    }

    /// The same with what it belongs to.
    #[must_use]
    pub fn correlation_id(mut self, correlation: impl Into<String>) -> Self {
        self.correlation_id = Some(correlation.into());
        self
    }

    /// The same with an idempotency key; the empty key is none.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into()).filter(|key| !key.is_empty());
        self
    }

    /// The same with another life of its idempotency key; zero switches it off.
    #[must_use]
    pub const fn dedup_ttl(mut self, life: Duration) -> Self {
        self.dedup_ttl = Some(life);
        self
    }

    /// The same with a delay between the signal and the next claim.
    #[must_use]
    pub const fn resume_delay(mut self, delay: Duration) -> Self {
        self.resume_delay = Some(delay);
        self
    }

    /// The idempotency key that counts, and how many milliseconds it lives.
    #[must_use]
    pub fn dedup(&self) -> Option<(&str, u64)> {
        let life = self
            .dedup_ttl
            .map_or(Limits::DEDUP_WINDOW_MS, |life| u64::try_from(life.as_millis()).unwrap_or(Limits::DURATION_MS));
        self.idempotency_key.as_deref().filter(|key| !key.is_empty() && life > 0).map(|key| (key, life))
    }

    /// The refusal of a signal beyond the last that the execution may take.
    #[must_use]
    pub fn too_many() -> EngineError {
        EngineError::validation(ValidationKind::SignalLimitExceeded, "the execution takes no more signals")
    }

    /// Refuses what no backend accepts; nothing is told of the token or of the waitpoint.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for a bad name, text or duration, `Validation(PayloadTooLarge)`.
    pub fn check(&self) -> Result<(), EngineError> {
        check_name(&self.signal_name, "signal_name")?;
        for (field, text) in [
            ("signal_category", &self.signal_category),
            ("source_type", &self.source_type),
            ("source_identity", &self.source_identity),
        ] {
            check_text(text, field, Limits::NAME_BYTES)?;
        }
        for (field, text) in [
            ("payload_encoding", &self.payload_encoding),
            ("correlation_id", &self.correlation_id),
            ("idempotency_key", &self.idempotency_key),
        ] {
            check_text(text.as_deref().unwrap_or_default(), field, Limits::NAME_BYTES)?;
        }
        for (field, duration) in [("dedup_ttl", self.dedup_ttl), ("resume_delay", self.resume_delay)] {
            duration.map_or(Ok(0), |duration| checked_ms(duration, field, 0))?;
        }
        check_payload(self.payload.as_deref().unwrap_or_default(), "payload", Limits::SIGNAL_PAYLOAD_BYTES)
    }
}

/// What a delivery led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliverSignalResult {
    /// The signal is kept.
    Accepted {
        /// The signal.
        signal_id: SignalId,
        /// What it did.
        effect: SignalEffect,
    },
    /// It was delivered before; nothing changed.
    Duplicate {
        /// The signal that was delivered first.
        existing_signal_id: SignalId,
    },
}

/// A signal that a resumed worker sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeSignal {
    /// The signal.
    pub signal_id: SignalId,
    /// Its name.
    pub signal_name: String,
    /// What kind of signal it is.
    pub signal_category: String,
    /// What kind of sender it came from.
    pub source_type: String,
    /// Which sender it came from.
    pub source_identity: String,
    /// What it belongs to.
    pub correlation_id: Option<String>,
    /// When the store accepted it.
    pub accepted_at: TimestampMs,
    /// The payload, byte for byte.
    pub payload: Option<Vec<u8>>,
    /// How the payload is encoded.
    pub payload_encoding: Option<String>,
}

impl ResumeSignal {
    /// What a worker sees of a suspension that resumed at its time-out, at `at`.
    #[must_use]
    pub fn timeout(suspension: &SuspensionId, at: TimestampMs) -> Self {
        Self {
            signal_id: SignalId::from_uuid(suspension.as_uuid()),
            signal_name: "timeout".to_owned(),
            signal_category: "timeout".to_owned(),
            source_type: "system".to_owned(),
            source_identity: "suspension_timeout".to_owned(),
            correlation_id: None,
            accepted_at: at,
            payload: None,
            payload_encoding: None,
        }
    }
}
