//! The time-bound right to work; epochs fence the stale holder.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{EngineError, Handle, LeaseEpoch, TimestampMs};

/// A lease after its renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRenewal {
    /// When it lapses unless it is renewed again, by the store's clock.
    pub expires_at: TimestampMs,
    /// Its epoch, which a renewal does not change.
    pub lease_epoch: LeaseEpoch,
}

/// The time-bound right to work.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Moves the deadline of a held lease to the store's now plus the time to live chosen at its claim.
    ///
    /// The epoch stays and no event is told. Renewing again moves the deadline again. A lease that has run out is
    /// never revived, also while nobody has taken over. Renew at a third of the time to live.
    ///
    /// # Errors
    /// As every method of [`crate::Attempts`].
    async fn renew(&self, handle: &Handle) -> Result<LeaseRenewal, EngineError>;
}
