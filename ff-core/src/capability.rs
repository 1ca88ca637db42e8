//! What a backend may lack, how it may differ where both ways are right, and its numbers.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Limits, Operation};

/// A group of operations that a backend may lack; everything else is mandatory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capability {
    /// Paging over executions, lanes and attempts.
    Listings,
    /// Progress that a holder tells and a reader sees.
    Progress,
    /// Several items in one call.
    Batches,
    /// Cancel, priority, replay and revocation by operators.
    OperatorControl,
    /// Labels that change after the create.
    Tags,
    /// Work that is reserved before it is taken.
    Grants,
    /// Why an execution waits.
    Explanations,
    /// Suspended work, its signals and their tokens.
    Waitpoints,
    /// Lease history from a cursor.
    LeaseHistory,
    /// Completions from a cursor.
    Completions,
    /// What operators did, from a cursor.
    OperatorEvents,
    /// What was delivered to waitpoints, from a cursor.
    SignalDeliveries,
    /// Periodic work on demand.
    Scanners,
}

impl Capability {
    /// Every capability.
    pub const ALL: &'static [Self] = &[
        Self::Listings,
        Self::Progress,
        Self::Batches,
        Self::OperatorControl,
        Self::Tags,
        Self::Grants,
        Self::Explanations,
        Self::Waitpoints,
        Self::LeaseHistory,
        Self::Completions,
        Self::OperatorEvents,
        Self::SignalDeliveries,
        Self::Scanners,
    ];

    /// The word that reports use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listings => "listings",
            Self::Progress => "progress",
            Self::Batches => "batches",
            Self::OperatorControl => "operator_control",
            Self::Tags => "tags",
            Self::Grants => "grants",
            Self::Explanations => "explanations",
            Self::Waitpoints => "waitpoints",
            Self::LeaseHistory => "lease_history",
            Self::Completions => "completions",
            Self::OperatorEvents => "operator_events",
            Self::SignalDeliveries => "signal_deliveries",
            Self::Scanners => "scanners",
        }
    }
}

/// The capabilities that a backend has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Supports(BTreeSet<Capability>);

impl Supports {
    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self(Capability::ALL.iter().copied().collect())
    }

    /// All but `lacking`.
    #[must_use]
    pub fn without(mut self, lacking: Capability) -> Self {
        self.0.remove(&lacking);
        self
    }

    /// True if the backend has `capability`.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// True if the backend does `op`: every backend must, or it has the capability that gates it.
    #[must_use]
    pub fn offers(&self, op: Operation) -> bool {
        Capability::of(op).is_none_or(|capability| self.has(capability))
    }

    /// Those that the backend has, in order.
    pub fn iter(&self) -> impl Iterator<Item = Capability> + '_ {
        self.0.iter().copied()
    }
}

/// What survives the sudden end of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Nothing.
    None,
    /// All but the last stretch, consistently; the bound of that stretch is known.
    Bounded(Duration),
    /// Everything that was acknowledged.
    Sync,
}

/// Over what the claim order of a lane holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderScope {
    /// The whole store.
    Store,
    /// Each shard of a cluster.
    Shard,
}

/// How a waiting claim learns of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WakeUp {
    /// It is told.
    Push,
    /// It looks again, at most this long after work came.
    Poll(Duration),
}

/// How a backend behaves where more than one way is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// What survives the sudden end of the store.
    pub durability: Durability,
    /// Over what the claim order holds.
    pub order: OrderScope,
    /// How a waiting claim learns of work.
    pub wake_up: WakeUp,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendIdentity {
    /// The label, as in handles: 1 to 16 bytes `[a-z0-9-]`.
    pub label: String,
    /// The version of the backend's code.
    pub version: String,
}

/// What a backend can do, fixed for its life and known without I/O.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Who answers.
    pub identity: BackendIdentity,
    /// Which groups of operations it has.
    pub supports: Supports,
    /// How it behaves where more than one way is right.
    pub properties: Properties,
    /// Its numbers.
    pub limits: Limits,
}
