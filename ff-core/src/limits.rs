//! The numbers of the contract: what is refused beyond them is refused alike on every backend.

use crate::{
    EngineError, ValidationKind,
    text::{check_payload, check_text},
};

/// The limits of one backend, fixed for its life.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Partitions of the store; an execution id names one below it.
    pub partitions: u16,
    /// Bytes of an input payload or of a result.
    pub payload_bytes: usize,
    /// Rows of a lane that one claim makes ready at most, oldest due instant first.
    pub promote_per_claim: u32,
    /// Items on one page of a listing.
    pub page: u16,
}

impl Limits {
    /// The least and the greatest priority; others are clamped.
    pub const PRIORITY: std::ops::RangeInclusive<i32> = 0..=9000;
    /// Bytes of a payload or result on the backends of this project.
    pub const PAYLOAD_BYTES: usize = 16 * 1024 * 1024;
    /// Bytes of a reason or of a message.
    pub const REASON_BYTES: usize = 4096;
    /// Bytes of a name: namespace, worker, kind, creator, key, encoding, category.
    pub const NAME_BYTES: usize = 256;
    /// Bytes of a lane id.
    pub const LANE_BYTES: usize = 64;
    /// Tags of one execution.
    pub const TAGS: usize = 64;
    /// Bytes of a tag's key.
    pub const TAG_KEY_BYTES: usize = 128;
    /// Bytes of a tag's value.
    pub const TAG_VALUE_BYTES: usize = 4096;
    /// Tokens of a capability set.
    pub const CAPABILITY_TOKENS: usize = 256;
    /// Bytes of a capability set, joined by commas.
    pub const CAPABILITY_BYTES: usize = 4096;
    /// Categories that a retry policy lists at most.
    pub const RETRY_CATEGORIES: usize = 64;
    /// The longest duration: 100 years.
    pub const DURATION_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;
    /// Items on one page of a listing.
    pub const PAGE: u16 = 1000;
    /// Rows that one claim makes ready at most.
    pub const PROMOTE_PER_CLAIM: u32 = 256;
    /// Items of one batch.
    pub const BATCH: usize = 1000;
    /// Bytes of all inputs or results of one batch.
    pub const BATCH_BYTES: usize = 64 * 1024 * 1024;
    /// The longest life of a grant: 60 s.
    pub const GRANT_TTL_MS: u64 = 60_000;
    /// How long an execution is kept after its end, and an event after it was written, unless configured: 24 h.
    pub const RETENTION_MS: u64 = 24 * 60 * 60 * 1000;
    /// Events that Valkey keeps of each family and shard at most.
    pub const EVENTS_KEPT: u64 = 1_000_000;
    /// Replays of an execution unless its policy says otherwise.
    pub const REPLAYS: u32 = 10;
    /// Reclaims of an execution unless its policy says otherwise.
    pub const RECLAIMS: u32 = 100;
    /// Bytes of the payload of a signal.
    pub const SIGNAL_PAYLOAD_BYTES: usize = 64 * 1024;
    /// Signals of an execution unless its policy says otherwise.
    pub const SIGNALS: u32 = 10_000;
    /// Waitpoints of one suspension.
    pub const WAITPOINTS: usize = 64;
    /// Leaves of a resume condition, and waitpoint keys of one of its counts.
    pub const CONDITION_LEAVES: usize = 64;
    /// Composites within each other in a resume condition.
    pub const CONDITION_DEPTH: usize = 4;
    /// Bytes of the id of a signing key.
    pub const KID_BYTES: usize = 64;
    /// Bytes of a signing secret.
    pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 32..=64;
    /// How long ago the time-out of a suspension may have come when it begins: 10 min.
    pub const TIMEOUT_TOLERANCE_MS: u64 = 10 * 60 * 1000;
    /// The longest life of the idempotency key of a suspension: 7 days.
    pub const SUSPEND_KEY_MS: u64 = 7 * 24 * 60 * 60 * 1000;
    /// Life of an idempotency key unless the policy says otherwise: 24 h.
    pub const DEDUP_WINDOW_MS: u64 = 24 * 60 * 60 * 1000;

    /// The limits of this project's backends for a store of `partitions` partitions.
    #[must_use]
    pub const fn of_partitions(partitions: u16) -> Self {
        Self {
            partitions,
            payload_bytes: Self::PAYLOAD_BYTES,
            promote_per_claim: Self::PROMOTE_PER_CLAIM,
            page: Self::PAGE,
        }
    }

    /// Refuses a result that is too large.
    ///
    /// # Errors
    /// `Validation(PayloadTooLarge)`.
    pub fn check_result(&self, payload: Option<&[u8]>) -> Result<(), EngineError> {
        payload.map_or(Ok(()), |payload| check_payload(payload, "result", self.payload_bytes))
    }

    /// Refuses a batch of too many items or, in all, too many bytes.
    ///
    /// # Errors
    /// `Validation(InvalidInput)`, `Validation(PayloadTooLarge)`.
    pub fn check_batch(items: usize, bytes: usize) -> Result<(), EngineError> {
        if items > Self::BATCH {
            return Err(EngineError::invalid_input(format!("batch: {items} items, at most {}", Self::BATCH)));
        }
        if bytes > Self::BATCH_BYTES {
            let text = format!("batch: {bytes} bytes, at most {}", Self::BATCH_BYTES);
            return Err(EngineError::validation(ValidationKind::PayloadTooLarge, text));
        }
        Ok(())
    }

    /// Refuses a reason that is too long or has a U+0000.
    ///
    /// # Errors
    /// `Validation(InvalidInput)`.
    pub fn check_reason(reason: &str) -> Result<(), EngineError> {
        check_text(reason, "reason", Self::REASON_BYTES)
    }
}
