//! Reservations of work: what a grant is and how it is redeemed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    BlockingReason, CapabilitySet, EngineError, ExecutionId, GrantKey, Handle, LaneId, LeaseEpoch, Limits,
    TerminalOutcome, TimestampMs, WorkerId, WorkerInstanceId, time::checked_ms,
};

/// For whom work is reserved, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClaimForWorkerArgs {
    /// The lane.
    pub lane_id: LaneId,
    /// The worker.
    pub worker_id: WorkerId,
    /// The process of the worker; only it can redeem the grant.
    pub worker_instance_id: WorkerInstanceId,
    /// What the worker offers.
    pub worker_capabilities: CapabilitySet,
    /// The life of the grant: 1 ms to 60 s, in whole milliseconds.
    pub grant_ttl: Duration,
}

impl ClaimForWorkerArgs {
    /// A reservation for a worker that offers nothing special.
    #[must_use]
    pub fn new(
        lane_id: LaneId,
        worker_id: WorkerId,
        worker_instance_id: WorkerInstanceId,
        grant_ttl: Duration,
    ) -> Self {
        Self { lane_id, worker_id, worker_instance_id, worker_capabilities: CapabilitySet::default(), grant_ttl }
    }

    /// The same for a worker that offers `capabilities`.
    #[must_use]
    pub fn worker_capabilities(mut self, capabilities: CapabilitySet) -> Self {
        self.worker_capabilities = capabilities;
        self
    }

    /// The life of the grant in milliseconds.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` outside 1 ms to 60 s.
    pub fn checked_ttl_ms(&self) -> Result<u64, EngineError> {
        let ms = checked_ms(self.grant_ttl, "grant_ttl", 1)?;
        if ms > Limits::GRANT_TTL_MS {
            let most = Limits::GRANT_TTL_MS;
            return Err(EngineError::invalid_input(format!("grant_ttl: {ms} ms, at most {most}")));
        }
        Ok(ms)
    }
}

/// A reservation: nobody else gets the execution until it lapses. It conveys no lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimGrant {
    /// The execution.
    pub execution_id: ExecutionId,
    /// What redeems the grant, once.
    pub grant_key: GrantKey,
    /// When it lapses, by the store's clock.
    pub expires_at: TimestampMs,
    /// The lane.
    pub lane_id: LaneId,
}

/// What a reservation led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimForWorkerOutcome {
    /// There is nothing that the worker may take.
    NoWork,
    /// The next execution is reserved.
    Granted(ClaimGrant),
}

/// Who redeems a grant, and for how long a lease.
///
/// The same for [`crate::Claims::claim_execution`] and, as [`ClaimResumedExecutionArgs`] and [`ReclaimToken`], for its
/// two siblings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClaimExecutionArgs {
    /// The grant.
    pub grant: ClaimGrant,
    /// The worker that the grant names.
    pub worker_id: WorkerId,
    /// The process of the worker that the grant names.
    pub worker_instance_id: WorkerInstanceId,
    /// The life of the lease, and what each renewal extends it by: 1 ms to 100 years, in whole milliseconds.
    pub lease_ttl: Duration,
}

/// Who redeems the grant of an interrupted attempt.
pub type ClaimResumedExecutionArgs = ClaimExecutionArgs;

/// Who redeems a grant if its execution can still be taken.
pub type ReclaimToken = ClaimExecutionArgs;

impl ClaimExecutionArgs {
    /// Redeems `grant` for a lease of `lease_ttl`.
    #[must_use]
    pub const fn new(
        grant: ClaimGrant,
        worker_id: WorkerId,
        worker_instance_id: WorkerInstanceId,
        lease_ttl: Duration,
    ) -> Self {
        Self { grant, worker_id, worker_instance_id, lease_ttl }
    }

    /// Refuses what no backend accepts; the life of the lease in milliseconds.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for a lease life outside its range or an id of a partition that the store lacks.
    pub fn check(&self, limits: &Limits) -> Result<u64, EngineError> {
        self.grant.execution_id.check_partition(limits.partitions)?;
        checked_ms(self.lease_ttl, "lease_ttl", 1)
    }
}

/// What redeeming a grant led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimExecutionResult {
    /// The worker holds the lease.
    Claimed(Handle),
}

/// What redeeming the grant of an interrupted attempt led to.
pub type ClaimResumedExecutionResult = ClaimExecutionResult;

/// Why a worker has not got an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnclaimedReason {
    /// It has ended.
    Ended {
        /// How.
        outcome: TerminalOutcome,
    },
    /// It waits for signals.
    Suspended,
    /// Somebody holds it.
    Leased {
        /// The epoch of the lease.
        lease_epoch: LeaseEpoch,
        /// The process that holds it.
        worker_instance_id: WorkerInstanceId,
        /// When the lease lapses unless it is renewed.
        expires_at: TimestampMs,
    },
    /// Its time has not come.
    Delayed {
        /// When it comes.
        due_at: TimestampMs,
        /// What it waits for.
        reason: BlockingReason,
    },
    /// Something other than time holds it back.
    Blocked {
        /// What.
        reason: BlockingReason,
    },
    /// The worker lacks capabilities that it requires.
    MissingCapabilities {
        /// Those that are missing, in order.
        missing: Vec<String>,
    },
    /// It is reserved for another worker process, or for this one.
    Reserved {
        /// For whom.
        worker_instance_id: WorkerInstanceId,
        /// When the reservation lapses.
        expires_at: TimestampMs,
    },
    /// Nothing: a claim takes it as soon as no other goes before it.
    Claimable,
}
