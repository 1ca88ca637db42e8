//! Every operation of the contract: its name, its stem, what a repeat does and which capability gates it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Capability;

/// The concepts of the contract; one file name in every folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// The engine itself: reachability, preparation, shutdown.
    Backend,
    /// Units of work.
    Executions,
    /// What the holder of a lease does.
    Attempts,
    /// The time-bound right to work.
    Leases,
    /// How a worker gets a lease.
    Claims,
    /// Suspended work and the signals that it waits for.
    Waitpoints,
    /// What happened, from a cursor.
    Subscriptions,
    /// The periodic work.
    Scanners,
}

/// What a second, equal call by the same caller does.
///
/// After a fault with [`crate::Applied::Maybe`] a caller may repeat everything but [`Repeat::Mints`] without a thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Repeat {
    /// It changes nothing in the first place.
    Reads,
    /// It returns the first answer, and writes and tells nothing. A repeated create or delivery says `Duplicate`, and that
    /// a signal was delivered again is told; a repeated seed or rotation says that it was so.
    Replays,
    /// It sets the same thing again, by the time of the repeat.
    Sets,
    /// It hands out something new; what a lost reply handed out lapses by itself.
    Mints,
}

macro_rules! operations {
    ($($stem:ident { $($(#[$doc:meta])* $variant:ident $name:literal $repeat:ident $($gate:ident)?),* $(,)? })*) => {
        /// An operation of the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Operation { $($($(#[$doc])* $variant),*),* }

        impl Operation {
            /// Every operation, by stem.
            pub const ALL: &'static [Self] = &[$($(Self::$variant),*),*];

            /// The name of the method.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$variant => $name),*),* }
            }

            /// The concept it belongs to.
            #[must_use]
            pub const fn stem(self) -> Stem {
                match self { $($(Self::$variant)|* => Stem::$stem),* }
            }
        }

        impl Repeat {
            /// What repeating `op` does.
            #[must_use]
            pub const fn of(op: Operation) -> Self {
                match op { $($(Operation::$variant => Self::$repeat),*),* }
            }
        }

        impl Capability {
            /// The capability that gates `op`; `None` means that every backend must do it.
            #[must_use]
            pub const fn of(op: Operation) -> Option<Self> {
                match op { $($(Operation::$variant => operations!(@gate $($gate)?)),*),* }
            }
        }
    };
    (@gate) => { None };
    (@gate $gate:ident) => { Some(Self::$gate) };
}

operations! {
    Backend {
        /// Reach the store at construction.
        Connect "connect" Reads,
        /// Reach the store.
        Ping "ping" Reads,
        /// Make the store ready.
        Prepare "prepare" Replays,
        /// Drain and close.
        ShutdownPrepare "shutdown_prepare" Replays,
    }
    Executions {
        /// Create an execution.
        CreateExecution "create_execution" Replays,
        /// Create several executions.
        CreateExecutions "create_executions" Replays Batches,
        /// Read a snapshot.
        DescribeExecution "describe_execution" Reads,
        /// Read the public state.
        ReadExecutionState "read_execution_state" Reads,
        /// Read everything about an execution.
        ReadExecutionInfo "read_execution_info" Reads,
        /// Read the result.
        GetExecutionResult "get_execution_result" Reads,
        /// Page over all executions.
        ListExecutions "list_executions" Reads Listings,
        /// Page over all lanes.
        ListLanes "list_lanes" Reads Listings,
        /// Page over the attempts of an execution.
        ListAttempts "list_attempts" Reads Listings,
        /// End an execution from outside its lease.
        CancelExecution "cancel_execution" Replays OperatorControl,
        /// Move an execution within its lane.
        ChangePriority "change_priority" Replays OperatorControl,
        /// Let an execution that ended run again.
        ReplayExecution "replay_execution" Replays OperatorControl,
        /// Set or clear a label.
        SetExecutionTag "set_execution_tag" Sets Tags,
    }
    Attempts {
        /// Tell how far the work is.
        Progress "progress" Sets Progress,
        /// End with success.
        Complete "complete" Replays,
        /// End with failure, or schedule a retry.
        Fail "fail" Replays,
        /// End by the worker's own cancel.
        Cancel "cancel" Replays,
        /// Give the lease back until an instant.
        Delay "delay" Replays,
        /// Give the lease back until other executions have ended.
        WaitChildren "wait_children" Replays,
        /// End several with success.
        CompleteMany "complete_many" Replays Batches,
        /// End with success and take the next piece of work.
        CompleteAndClaim "complete_and_claim" Mints,
    }
    Leases {
        /// Move the deadline of a lease.
        Renew "renew" Sets,
        /// Move the deadlines of several leases.
        RenewMany "renew_many" Sets Batches,
        /// Take a lease away.
        RevokeLease "revoke_lease" Replays OperatorControl,
    }
    Claims {
        /// Take the next piece of work of a lane.
        Claim "claim" Mints,
        /// Take several pieces of work of a lane.
        ClaimMany "claim_many" Mints Batches,
        /// Reserve the next piece of work of a lane.
        ClaimForWorker "claim_for_worker" Mints Grants,
        /// Redeem a grant.
        ClaimExecution "claim_execution" Replays Grants,
        /// Redeem a grant, if its execution can still be taken.
        ClaimFromReclaim "claim_from_reclaim" Replays Grants,
        /// Redeem a grant of an interrupted attempt.
        ClaimResumedExecution "claim_resumed_execution" Replays Grants,
        /// Tell why an execution waits.
        ExplainUnclaimed "explain_unclaimed" Reads Explanations,
    }
    Waitpoints {
        /// Give the lease back until signals arrive.
        Suspend "suspend" Replays Waitpoints,
        /// The same without a handle.
        SuspendByTriple "suspend_by_triple" Replays Waitpoints,
        /// Open a mailbox before the suspension.
        CreateWaitpoint "create_waitpoint" Replays Waitpoints,
        /// Read the signals that ended the last suspension.
        ObserveSignals "observe_signals" Reads Waitpoints,
        /// Deliver a signal to a waitpoint.
        DeliverSignal "deliver_signal" Replays Waitpoints,
        /// End a suspension from outside.
        ResumeExecution "resume_execution" Replays Waitpoints,
        /// Page over what is suspended.
        ListSuspended "list_suspended" Reads Waitpoints,
        /// Page over the open waitpoints of an execution.
        ListPendingWaitpoints "list_pending_waitpoints" Reads Waitpoints,
        /// Install the first signing key.
        SeedWaitpointHmacSecret "seed_waitpoint_hmac_secret" Replays Waitpoints,
        /// Install the next signing key.
        RotateWaitpointHmacSecretAll "rotate_waitpoint_hmac_secret_all" Replays Waitpoints,
    }
    Subscriptions {
        /// What happened to leases, from a cursor.
        SubscribeLeaseHistory "subscribe_lease_history" Reads LeaseHistory,
        /// What ended, from a cursor.
        SubscribeCompletion "subscribe_completion" Reads Completions,
        /// What operators did, from a cursor.
        SubscribeOperatorEvents "subscribe_operator_events" Reads OperatorEvents,
        /// What was delivered to waitpoints, from a cursor.
        SubscribeSignalDelivery "subscribe_signal_delivery" Reads SignalDeliveries,
        /// What ends from now on.
        SubscribeCompletions "subscribe_completions" Reads Completions,
        /// What ends from now on, filtered.
        SubscribeCompletionsFiltered "subscribe_completions_filtered" Reads Completions,
    }
    Scanners {
        /// One bounded pass of periodic work.
        Scan "scan" Sets Scanners,
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
