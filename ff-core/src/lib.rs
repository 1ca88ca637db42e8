//! The contract of a durable execution engine.
//!
//! [`EngineBackend`] is what every backend implements; the modules hold its requests, outcomes and errors, and the
//! pure rules that no backend may decide for itself. [`async_trait`] is the attribute with which its traits are
//! implemented.

mod attempts;
mod backend;
mod capability;
mod claims;
mod config;
mod error;
mod event;
mod executions;
mod handle;
mod id;
mod leases;
mod limits;
mod operation;
mod page;
mod policy;
mod record;
mod retry;
mod state;
mod text;
mod time;

pub use async_trait::async_trait;
pub use attempts::{Attempts, FailOutcome, FailureClass, FailureReason, Progress};
pub use backend::{EngineBackend, PrepareOutcome};
pub use capability::{BackendIdentity, Capabilities, Capability, Durability, OrderScope, Properties, Supports, WakeUp};
pub use claims::{CapabilitySet, ClaimPolicy, Claims};
pub use config::{
    BackendConfig, BackendConnection, BackendTimeouts, PartitionConfig, PostgresConnection, SecretUrl, ValkeyConnection,
};
pub use error::{
    Applied, ConflictKind, ContentionKind, EngineError, Entity, ErrorClass, StateKind, TransportFault, TransportKind,
    ValidationKind,
};
pub use event::{CompletionEvent, LeaseEventKind, LeaseHistoryEvent, ReleaseReason};
pub use executions::{
    AttemptSummary, CreateExecutionArgs, CreateExecutionResult, ExecutionInfo, ExecutionSnapshot, Executions,
    LeaseStatus, LeaseSummary, ListExecutionsPage, ListLanesPage,
};
pub use handle::{BackendTag, Fence, Handle, HandleKind, HandlePayload};
pub use id::{
    AttemptId, AttemptIndex, ExecutionId, FlowId, IdError, LaneId, LeaseEpoch, LeaseId, Namespace, WorkerId,
    WorkerInstanceId,
};
pub use leases::{LeaseRenewal, Leases};
pub use limits::Limits;
pub use operation::{Operation, Repeat, Stem};
pub use page::PageLimit;
pub use policy::{Backoff, ExecutionPolicy, RetryPolicy, RoutingRequirements};
pub use record::{ExecutionRecord, LeaseRecord};
pub use retry::{Jitter, RetryDecision, RetryRule};
pub use state::{
    AttemptPhase, AttemptState, AttemptType, BlockingReason, EligibilityState, LifecyclePhase, OwnershipState,
    PublicState, StateVector, TerminalOutcome,
};
pub use time::TimestampMs;
