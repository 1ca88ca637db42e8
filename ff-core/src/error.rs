//! Why the engine refused a call or could not answer it: one taxonomy, one classification.

mod kinds;

use std::{error::Error, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

pub use kinds::{ConflictKind, ContentionKind, StateKind, ValidationKind};

use crate::{Operation, StreamCursor};

/// What does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    /// An execution.
    Execution,
    /// A flow.
    Flow,
    /// An attempt of an execution.
    Attempt,
    /// A budget.
    Budget,
    /// A quota policy.
    QuotaPolicy,
    /// A stream of frames.
    Stream,
}

/// What a caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorClass {
    /// The same call will fail again: fix the call, re-read, or drop the work.
    Terminal,
    /// Nothing was applied; the same call, later or on another row, may succeed.
    Retryable,
    /// The call may have been applied: repeat it only if [`crate::Repeat::of`] says that this is safe.
    Unknown,
    /// Slow down or stop by agreement; the work itself is not at fault.
    Cooperative,
    /// What was asked for is already so.
    Informational,
}

/// Whether a call that failed on the way may have changed the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Applied {
    /// Certainly not.
    No,
    /// It may have; the reply was lost.
    Maybe,
}

/// What broke between the caller and the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TransportKind {
    /// The connection could not be made or broke.
    Connection,
    /// No answer within the time-out.
    Timeout,
    /// The store sent something that the client does not understand.
    Protocol,
    /// The store refused the credentials.
    Auth,
    /// The store is loading, shutting down or moving data.
    Busy,
    /// The store has no room for a write.
    Full,
    /// The store does not take writes: a replica, or read-only.
    ReadOnly,
    /// The store's access rules forbid what the engine needs.
    Forbidden,
    /// The backend was shut down.
    Closed,
    /// The function library or schema that the engine needs is not there.
    NotPrepared,
    /// Anything else that the store said.
    Other,
}

/// A fault of the way to the store, never a refusal by the contract.
#[derive(Clone, Debug)]
pub struct TransportFault {
    /// The label of the backend.
    pub backend: &'static str,
    /// What broke.
    pub kind: TransportKind,
    /// Whether the call may have changed the store.
    pub applied: Applied,
    /// What the client library said.
    pub source: Arc<dyn Error + Send + Sync>,
}

impl PartialEq for TransportFault {
    fn eq(&self, other: &Self) -> bool {
        (self.backend, self.kind, self.applied) == (other.backend, other.kind, other.applied)
    }
}

/// Why a call was refused or could not be answered.
///
/// Every backend answers the same bad case with the same value; [`EngineError::class`] says what to do about it.
/// What the store answered can be written down; a fault of the way to it cannot.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EngineError {
    /// What a write names does not exist.
    #[error("not found: {entity:?}")]
    NotFound {
        /// What is missing.
        entity: Entity,
    },
    /// The call itself is at fault, or stored data is damaged.
    #[error("{kind:?}: {detail}")]
    Validation {
        /// Which rule.
        kind: ValidationKind,
        /// Where and how, for a reader.
        detail: String,
    },
    /// Somebody else was faster, or the row is not where the caller believes.
    #[error("contention: {0}")]
    Contention(ContentionKind),
    /// The call contradicts what is stored.
    #[error("conflict: {0}")]
    Conflict(ConflictKind),
    /// The state of the row does not allow it.
    #[error("state: {0:?}")]
    State(StateKind),
    /// The way to the store is at fault.
    #[serde(skip)]
    #[error("{} transport fault ({:?}, applied: {:?}): {}", .0.backend, .0.kind, .0.applied, .0.source)]
    Transport(TransportFault),
    /// This backend never does this; see its [`crate::Capabilities`].
    #[error("{} is not available on this backend", .op.as_str())]
    Unavailable {
        /// The operation.
        op: Operation,
    },
    /// A subscription lost its store; go on from the cursor.
    #[serde(skip)]
    #[error("the subscription ended: {fault}")]
    StreamDisconnected {
        /// Behind the last event that was delivered.
        cursor: StreamCursor,
        /// What broke.
        fault: Box<EngineError>,
    },
    /// A pool of the client is exhausted; nothing was sent.
    #[serde(skip)]
    #[error("{pool} exhausted: all {max} are in use")]
    ResourceExhausted {
        /// Which pool.
        #[serde(skip)]
        pool: &'static str,
        /// Its size.
        max: u32,
        /// When trying again makes sense.
        retry_after: Option<Duration>,
    },
}

impl EngineError {
    /// `NotFound` for an execution.
    #[must_use]
    pub const fn execution_not_found() -> Self {
        Self::NotFound { entity: Entity::Execution }
    }

    /// A `Validation` error.
    pub fn validation(kind: ValidationKind, detail: impl Into<String>) -> Self {
        Self::Validation { kind, detail: detail.into() }
    }

    /// `Validation(InvalidInput)`.
    pub fn invalid_input(detail: impl Into<String>) -> Self {
        Self::validation(ValidationKind::InvalidInput, detail)
    }

    /// `Validation(Corruption)`: stored or carried data that cannot be.
    pub fn corrupt(found: impl Into<String>) -> Self {
        Self::validation(ValidationKind::Corruption, found)
    }

    /// A row that kept moving while the call looked at it.
    #[must_use]
    pub const fn contention() -> Self {
        Self::Contention(ContentionKind::LeaseConflict)
    }

    /// An operation that this backend never does.
    #[must_use]
    pub const fn unavailable(op: Operation) -> Self {
        Self::Unavailable { op }
    }

    /// A transport fault.
    pub fn transport(
        backend: &'static str,
        kind: TransportKind,
        applied: Applied,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Transport(TransportFault { backend, kind, applied, source: source.into().into() })
    }

    /// What the caller does about it: the one classification of the contract.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Contention(_) | Self::ResourceExhausted { .. } => ErrorClass::Retryable,
            Self::NotFound { .. }
            | Self::Validation { .. }
            | Self::Conflict(_)
            | Self::Unavailable { .. }
            | Self::StreamDisconnected { .. } => ErrorClass::Terminal,
            Self::State(kind) => kind.class(),
            Self::Transport(fault) => match (fault.kind, fault.applied) {
                (_, Applied::Maybe) => ErrorClass::Unknown,
                (TransportKind::Connection | TransportKind::Timeout | TransportKind::Busy, Applied::No) => {
                    ErrorClass::Retryable
                }
                _ => ErrorClass::Terminal,
            },
        }
    }

    /// The family and kind without any data, `State(StaleLease)`: equal on every backend for the same bad case.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::NotFound { entity } => format!("NotFound({entity:?})"),
            Self::Validation { kind, .. } => format!("Validation({kind:?})"),
            Self::Contention(kind) => format!("Contention({})", kind.name()),
            Self::Conflict(kind) => format!("Conflict({})", kind.name()),
            Self::State(kind) => format!("State({kind:?})"),
            Self::Transport(fault) => format!("Transport({:?}, {:?})", fault.kind, fault.applied),
            Self::Unavailable { op } => format!("Unavailable({})", op.as_str()),
            Self::StreamDisconnected { .. } => "StreamDisconnected".to_owned(),
            Self::ResourceExhausted { pool, .. } => format!("ResourceExhausted({pool})"),
        }
    }
}
