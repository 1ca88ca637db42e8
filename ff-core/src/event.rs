//! What happened: events that stand in the store with the change that they tell of.

use serde::{Deserialize, Serialize};

use crate::{
    AttemptIndex, ExecutionId, LeaseEpoch, LeaseId, Namespace, SignalId, TerminalOutcome, TimestampMs, WaitpointId,
    WorkerInstanceId, state::words,
};

words! {
    /// A family of events: one log, with cursors of its own.
    EventFamily {
        /// What happened to leases.
        LeaseHistory = "lease_history",
        /// What ended.
        Completions = "completions",
        /// What operators did.
        OperatorEvents = "operator_events",
        /// What was delivered to waitpoints.
        SignalDeliveries = "signal_deliveries",
    }

    /// What happened to a lease.
    LeaseEventKind {
        /// A worker took the execution.
        Acquired = "acquired",
        /// The lease ran out; told once, by whoever writes it down first.
        Expired = "expired",
        /// Another worker took over after `Expired` or `Revoked`.
        Reclaimed = "reclaimed",
        /// The lease was taken away.
        Revoked = "revoked",
        /// The holder gave the lease back; the reason says how.
        Released = "released",
    }

    /// Why a lease was released or revoked.
    ReleaseReason {
        /// The holder completed the execution.
        Completed = "completed",
        /// The holder failed it for good.
        FailedTerminal = "failed_terminal",
        /// The holder failed it and a retry is due.
        FailedRetryScheduled = "failed_retry_scheduled",
        /// The holder cancelled it.
        Cancelled = "cancelled",
        /// The holder gave it back until an instant.
        WorkerDelay = "worker_delay",
        /// The holder gave it back until other executions have ended.
        WaitingChildren = "waiting_children",
        /// The holder gave it back until signals arrive.
        Suspend = "suspend",
        /// The attempt ran out of its time, and the execution expired with it.
        AttemptTimeout = "attempt_timeout",
        /// The attempt ran out of its time and a retry is due.
        AttemptTimeoutRetryScheduled = "attempt_timeout_retry_scheduled",
        /// The execution's deadline came.
        ExecutionDeadline = "execution_deadline",
        /// An operator took the lease away.
        Operator = "operator",
        /// The lease lapsed once more than the policy allows.
        MaxReclaimsExceeded = "max_reclaims_exceeded",
    }
}

/// One entry of the lease history of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHistoryEvent {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its namespace.
    pub namespace: Namespace,
    /// What happened.
    pub kind: LeaseEventKind,
    /// The lease it happened to; for `Reclaimed` the new one.
    pub lease_id: LeaseId,
    /// The epoch of that lease.
    pub lease_epoch: LeaseEpoch,
    /// The attempt under that lease.
    pub attempt_index: AttemptIndex,
    /// The worker process that held it.
    pub worker_instance_id: WorkerInstanceId,
    /// Why, for `Released` and `Revoked`.
    pub reason: Option<ReleaseReason>,
    /// When it was written, by the store's clock.
    pub at: TimestampMs,
}

/// An execution ended; one for each terminal transition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionEvent {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its namespace.
    pub namespace: Namespace,
    /// How it ended.
    pub outcome: TerminalOutcome,
    /// When it was written, by the store's clock.
    pub at: TimestampMs,
}

words! {
    /// What an operator did.
    OperatorEventKind {
        /// Cancelled an execution.
        Cancelled = "cancelled",
        /// Gave an execution another priority.
        PriorityChanged = "priority_changed",
        /// Let an execution run again.
        Replayed = "replayed",
        /// Took a lease away.
        LeaseRevoked = "lease_revoked",
        /// Ended a suspension.
        Resumed = "resumed",
    }
}

/// An operator did something to an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorEvent {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its namespace.
    pub namespace: Namespace,
    /// What was done.
    pub kind: OperatorEventKind,
    /// What it was done with: the source and reason of a cancel as `source: reason`, the new priority in decimal, the
    /// number of the replay in decimal, the reason of a revocation or of a resume.
    pub detail: String,
    /// When it was written, by the store's clock.
    pub at: TimestampMs,
}

words! {
    /// What a delivery came to.
    SignalDeliveryEffect {
        /// It fulfilled the condition of a suspension.
        Satisfied = "satisfied",
        /// It is kept: the condition does not hold yet, or there is none yet.
        Buffered = "buffered",
        /// It was delivered before.
        Deduped = "deduped",
        /// It is kept, and the condition does not ask for it.
        Ignored = "ignored",
    }
}

/// A signal was delivered to a waitpoint, with a valid token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalDeliveryEvent {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its namespace.
    pub namespace: Namespace,
    /// The waitpoint.
    pub waitpoint_id: WaitpointId,
    /// The signal; for `Deduped` the first.
    pub signal_id: SignalId,
    /// Who sent it, as the sender says.
    pub source_identity: String,
    /// What the delivery came to.
    pub effect: SignalDeliveryEffect,
    /// When it was written, by the store's clock.
    pub at: TimestampMs,
}
