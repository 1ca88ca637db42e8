//! The contract of a durable execution engine.
//!
//! [`EngineBackend`] is what every backend implements; the modules hold its requests, outcomes and errors, and the
//! pure rules that no backend may decide for itself. [`async_trait`] is the attribute with which its traits are
//! implemented.

mod attempts;
mod backend;
#[cfg(feature = "background")]
mod background;
mod capability;
mod claims;
mod conditions;
mod config;
#[cfg(feature = "background")]
mod crowd;
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
mod scanners;
mod state;
mod subscriptions;
mod text;
mod time;
mod waitpoints;

pub use async_trait::async_trait;
pub use attempts::{Attempts, CompleteArgs, FailOutcome, FailureClass, FailureReason, Progress};
pub use backend::{EngineBackend, PrepareOutcome};
#[cfg(feature = "background")]
pub use background::Background;
pub use capability::{BackendIdentity, Capabilities, Capability, Durability, OrderScope, Properties, Supports, WakeUp};
pub use claims::{
    CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimGrant,
    ClaimPolicy, ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, ReclaimToken, UnclaimedReason,
};
pub use conditions::{
    CompositeBody, ConditionLeaf, ConditionSignal, CountKind, ResumeCondition, SignalEffect, SignalMatcher,
};
pub use config::{
    BackendConfig, BackendConnection, BackendTimeouts, ClientCertificate, CredentialError, CredentialSource,
    Credentials, PartitionConfig, PostgresConnection, SecretUrl, TlsConfig, ValkeyConnection,
};
#[cfg(feature = "background")]
pub use crowd::{Convoy, Crowd, Look};
pub use error::{
    Applied, ConflictKind, ContentionKind, EngineError, Entity, ErrorClass, StateKind, TransportFault, TransportKind,
    ValidationKind,
};
pub use event::{
    CompletionEvent, EventFamily, LeaseEventKind, LeaseHistoryEvent, OperatorEvent, OperatorEventKind, ReleaseReason,
    SignalDeliveryEffect, SignalDeliveryEvent,
};
pub use executions::{
    AttemptInfo, AttemptSummary, CancelExecutionArgs, CancelExecutionResult, CancelSource, ChangePriorityArgs,
    ChangePriorityResult, CreateExecutionArgs, CreateExecutionResult, ExecutionInfo, ExecutionSnapshot, Executions,
    LeaseStatus, LeaseSummary, ListAttemptsPage, ListExecutionsPage, ListLanesPage, ReplayExecutionArgs,
    ReplayExecutionResult, SetExecutionTagArgs,
};
pub use handle::{BackendTag, Handle, HandleKind, HandlePayload, LeaseFence};
pub use id::{
    AttemptId, AttemptIndex, ExecutionId, FlowId, GrantKey, IdError, LaneId, LeaseEpoch, LeaseId, Namespace, SignalId,
    SuspensionId, WaitpointId, WorkerId, WorkerInstanceId,
};
pub use leases::{LeaseRenewal, Leases, RevokeLeaseArgs, RevokeLeaseResult, RevokeSkip};
pub use limits::Limits;
pub use operation::{Operation, Repeat, Stem};
pub use page::PageLimit;
pub use policy::{Backoff, ExecutionPolicy, RetryPolicy, RoutingRequirements, SuspensionPolicy, TimeoutPolicy};
pub use record::{ExecutionRecord, GrantRecord, LeaseRecord, Redeeming, SuspensionRecord, WaitpointRecord};
pub use retry::{Jitter, RetryDecision, RetryRule};
pub use scanners::{
    RetentionConfig, ScanArgs, ScanCursor, ScanPlace, ScanReport, ScannerConfig, ScannerFilter, ScannerKind, Scanners,
};
pub use state::{
    AttemptPhase, AttemptState, AttemptType, BlockingReason, EligibilityState, LifecyclePhase, OwnershipState,
    PublicState, StateVector, TerminalOutcome,
};
pub use subscriptions::{
    CompletionBackend, CompletionStream, CompletionSubscription, Delivered, LeaseHistorySubscription,
    OperatorSubscription, SignalDeliverySubscription, StreamCursor, Subscription, Subscriptions,
};
pub use time::TimestampMs;
pub use waitpoints::{
    AdditionalWaitpoint, DeliverSignalArgs, DeliverSignalResult, Keyring, Kid, ListPendingWaitpointsArgs,
    ListPendingWaitpointsResult, ListSuspendedPage, MintedToken, PendingWaitpoint, PendingWaitpointInfo,
    ResumeExecutionArgs, ResumeExecutionResult, ResumePolicy, ResumeSignal, ResumeTarget,
    RotateWaitpointHmacSecretAllArgs, RotateWaitpointHmacSecretAllResult, RotateWaitpointHmacSecretEntry,
    RotateWaitpointHmacSecretOutcome, SeedOutcome, SeedWaitpointHmacSecretArgs, SigningKey, SigningSecret, SuspendArgs,
    SuspendOutcome, SuspendOutcomeDetails, SuspendedCursor, SuspendedExecutionEntry, SuspensionEnd,
    SuspensionReasonCode, SuspensionRequester, TimeoutBehavior, TokenFault, WaitpointBinding, WaitpointState,
    WaitpointToken, Waitpoints,
};
