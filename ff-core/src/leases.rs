//! The time-bound right to work; epochs fence the stale holder.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    EngineError, ExecutionId, Handle, LeaseEpoch, LeaseId, Limits, TimestampMs, WorkerInstanceId, state::words,
};

/// A lease after its renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRenewal {
    /// When it lapses unless it is renewed again, by the store's clock.
    pub expires_at: TimestampMs,
    /// Its epoch, which a renewal does not change.
    pub lease_epoch: LeaseEpoch,
}

/// The lease that an operator takes away, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RevokeLeaseArgs {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Only this lease, if it is given.
    pub expected_lease_id: Option<LeaseId>,
    /// Only a lease of this worker process, if it is given.
    pub worker_instance_id: Option<WorkerInstanceId>,
    /// Why, for a reader; at most 4 KiB.
    pub reason: String,
}

impl RevokeLeaseArgs {
    /// Whatever lease `execution_id` has, for `reason`.
    pub fn new(execution_id: ExecutionId, reason: impl Into<String>) -> Self {
        Self { execution_id, expected_lease_id: None, worker_instance_id: None, reason: reason.into() }
    }

    /// Only this lease.
    #[must_use]
    pub const fn expected_lease_id(mut self, lease_id: LeaseId) -> Self {
        self.expected_lease_id = Some(lease_id);
        self
    }

    /// Only a lease of this worker process.
    #[must_use]
    pub fn worker_instance_id(mut self, worker_instance_id: WorkerInstanceId) -> Self {
        self.worker_instance_id = Some(worker_instance_id);
        self
    }

    /// Refuses what no backend accepts.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for a reason above 4 KiB or an id of a partition that the store lacks.
    pub fn check(&self, limits: &Limits) -> Result<(), EngineError> {
        self.execution_id.check_partition(limits.partitions)?;
        Limits::check_reason(&self.reason)
    }
}

words! {
    /// Why there was no lease to take away.
    RevokeSkip {
        /// The latest lease is not the expected one.
        LeaseIdMismatch = "lease_id_mismatch",
        /// The latest lease is of another worker process.
        DifferentWorkerInstanceId = "different_worker_instance_id",
        /// It was revoked before.
        AlreadyRevoked = "already_revoked",
        /// It has run out.
        AlreadyExpired = "already_expired",
    }
}

/// What a revocation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevokeLeaseResult {
    /// The lease is gone; the next claim takes over.
    Revoked {
        /// The lease.
        lease_id: LeaseId,
        /// Its epoch, which the next acquisition exceeds.
        lease_epoch: LeaseEpoch,
    },
    /// There was nothing to do.
    AlreadySatisfied {
        /// Why; the first in the order of [`RevokeSkip::ALL`].
        reason: RevokeSkip,
    },
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

    /// Renews several leases, each as [`Leases::renew`] does, and answers for each in its place.
    ///
    /// Each item has its own fence; one that is refused leaves the others alone.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for more than 1,000 items; of each item what `renew` refuses.
    ///
    /// # Capability
    /// `batches`.
    async fn renew_many(&self, handles: &[Handle]) -> Result<Vec<Result<LeaseRenewal, EngineError>>, EngineError>;

    /// Takes a live lease away from its holder: its next call answers `State(LeaseRevoked)`, and the next claim takes
    /// over as after a lease that lapsed.
    ///
    /// `Revoked(operator)` and the operator event `LeaseRevoked` are told in the same step. The epoch stays until
    /// that claim, and so does the attempt; where no reclaim is left, that claim fails the execution. Repeating it
    /// answers `AlreadySatisfied(already_revoked)` and changes nothing. Once another worker has taken over, a repeat
    /// without `expected_lease_id` would revoke its lease: name the lease.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` as [`RevokeLeaseArgs::check`]; `NotFound(Execution)`;
    /// `Contention(ExecutionNotActive)` if nobody works on the execution.
    ///
    /// # Capability
    /// `operator_control`.
    async fn revoke_lease(&self, args: RevokeLeaseArgs) -> Result<RevokeLeaseResult, EngineError>;
}
