//! A backend behind an interceptor: every call of the contract passes through one function.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use ff_core::{
    AttemptIndex, Attempts, CancelExecutionArgs, CancelExecutionResult, Capabilities, CapabilitySet,
    ChangePriorityArgs, ChangePriorityResult, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs,
    ClaimForWorkerOutcome, ClaimPolicy, ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, CompleteArgs,
    CompletionBackend, CompletionStream, CompletionSubscription, CreateExecutionArgs, CreateExecutionResult,
    DeliverSignalArgs, DeliverSignalResult, EngineBackend, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot,
    Executions, FailOutcome, FailureClass, FailureReason, Handle, LaneId, LeaseFence, LeaseHistorySubscription,
    LeaseRenewal, Leases, ListAttemptsPage, ListExecutionsPage, ListLanesPage, ListPendingWaitpointsArgs,
    ListPendingWaitpointsResult, ListSuspendedPage, OperatorSubscription, PageLimit, PendingWaitpoint, PrepareOutcome,
    PublicState, ReclaimToken, ReplayExecutionArgs, ReplayExecutionResult, ResumeExecutionArgs, ResumeExecutionResult,
    ResumeSignal, RevokeLeaseArgs, RevokeLeaseResult, RotateWaitpointHmacSecretAllArgs,
    RotateWaitpointHmacSecretAllResult, ScanArgs, ScanReport, ScannerFilter, Scanners, SeedOutcome,
    SeedWaitpointHmacSecretArgs, SetExecutionTagArgs, SignalDeliverySubscription, StreamCursor, Subscriptions,
    SuspendArgs, SuspendOutcome, SuspendedCursor, TimestampMs, UnclaimedReason, Waitpoints,
};

use crate::recorder::tell;

/// What every call of a client passes through on its way to a backend.
pub trait Intercept: Send + Sync + 'static {
    /// Answers a call of `method`: by making `call`, or in another way; `arguments` are told for a reader.
    fn pass<T: Debug + Send>(
        &self,
        method: &'static str,
        arguments: &[String],
        call: impl Future<Output = Result<T, EngineError>> + Send,
    ) -> impl Future<Output = Result<T, EngineError>> + Send;

    /// What the backend declares, as its callers shall see it.
    fn capabilities(&self, own: Capabilities) -> Capabilities {
        own
    }
}

/// A backend whose every call goes through an interceptor.
pub struct Intercepted<I> {
    inner: Arc<dyn EngineBackend>,
    by: I,
}

impl<I: Intercept> Intercepted<I> {
    /// `inner` behind `by`.
    pub fn new(inner: Arc<dyn EngineBackend>, by: I) -> Self {
        Self { inner, by }
    }
}

/// Implements traits of the contract by delegation; arguments are told before they move into the call.
macro_rules! intercepted {
    ($($trait:ident { $($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)* })*) => { $(
        #[async_trait]
        impl<I: Intercept> $trait for Intercepted<I> { $(
            async fn $method(&self, $($argument: $type),*) -> Result<$answer, EngineError> {
                let told = [$(tell(&$argument)),*];
                self.by.pass(stringify!($method), &told, self.inner.$method($($argument),*)).await
            }
        )* }
    )* };
}

intercepted! {
    Executions {
        create_execution(args: CreateExecutionArgs) -> CreateExecutionResult;
        describe_execution(id: &ExecutionId) -> Option<ExecutionSnapshot>;
        read_execution_state(id: &ExecutionId) -> Option<PublicState>;
        read_execution_info(id: &ExecutionId) -> Option<ExecutionInfo>;
        get_execution_result(id: &ExecutionId) -> Option<Vec<u8>>;
        list_executions(cursor: Option<ExecutionId>, limit: PageLimit) -> ListExecutionsPage;
        list_lanes(cursor: Option<LaneId>, limit: PageLimit) -> ListLanesPage;
        create_executions(batch: Vec<CreateExecutionArgs>) -> Vec<Result<CreateExecutionResult, EngineError>>;
        cancel_execution(args: CancelExecutionArgs) -> CancelExecutionResult;
        change_priority(args: ChangePriorityArgs) -> ChangePriorityResult;
        replay_execution(args: ReplayExecutionArgs) -> ReplayExecutionResult;
        list_attempts(id: &ExecutionId, cursor: Option<AttemptIndex>, limit: PageLimit) -> ListAttemptsPage;
        set_execution_tag(args: SetExecutionTagArgs) -> ();
    }
    Attempts {
        progress(handle: &Handle, percent: Option<u8>, message: Option<String>) -> ();
        complete(handle: &Handle, payload: Option<Vec<u8>>) -> ();
        fail(handle: &Handle, reason: FailureReason, classification: FailureClass) -> FailOutcome;
        cancel(handle: &Handle, reason: &str) -> ();
        delay(handle: &Handle, delay_until: TimestampMs) -> ();
        wait_children(handle: &Handle) -> ();
        complete_many(batch: Vec<CompleteArgs>) -> Vec<Result<(), EngineError>>;
        complete_and_claim(handle: &Handle, payload: Option<Vec<u8>>, capabilities: &CapabilitySet, policy: ClaimPolicy) -> Option<Handle>;
    }
    Leases {
        renew(handle: &Handle) -> LeaseRenewal;
        renew_many(handles: &[Handle]) -> Vec<Result<LeaseRenewal, EngineError>>;
        revoke_lease(args: RevokeLeaseArgs) -> RevokeLeaseResult;
    }
    Claims {
        claim(lane: &LaneId, capabilities: &CapabilitySet, policy: ClaimPolicy) -> Option<Handle>;
        claim_many(lane: &LaneId, capabilities: &CapabilitySet, policy: ClaimPolicy, limit: PageLimit) -> Vec<Handle>;
        claim_for_worker(args: ClaimForWorkerArgs) -> ClaimForWorkerOutcome;
        claim_execution(args: ClaimExecutionArgs) -> ClaimExecutionResult;
        claim_from_reclaim(token: ReclaimToken) -> Option<Handle>;
        claim_resumed_execution(args: ClaimResumedExecutionArgs) -> ClaimResumedExecutionResult;
        explain_unclaimed(id: &ExecutionId, capabilities: &CapabilitySet) -> Option<UnclaimedReason>;
    }
    Waitpoints {
        suspend(handle: &Handle, args: SuspendArgs) -> SuspendOutcome;
        suspend_by_triple(exec_id: ExecutionId, triple: LeaseFence, args: SuspendArgs) -> SuspendOutcome;
        create_waitpoint(handle: &Handle, waitpoint_key: &str, expires_in: Duration) -> PendingWaitpoint;
        observe_signals(handle: &Handle) -> Vec<ResumeSignal>;
        deliver_signal(args: DeliverSignalArgs) -> DeliverSignalResult;
        resume_execution(args: ResumeExecutionArgs) -> ResumeExecutionResult;
        list_suspended(cursor: Option<SuspendedCursor>, limit: PageLimit) -> ListSuspendedPage;
        list_pending_waitpoints(args: ListPendingWaitpointsArgs) -> ListPendingWaitpointsResult;
        seed_waitpoint_hmac_secret(args: SeedWaitpointHmacSecretArgs) -> SeedOutcome;
        rotate_waitpoint_hmac_secret_all(args: RotateWaitpointHmacSecretAllArgs) -> RotateWaitpointHmacSecretAllResult;
    }
    Scanners {
        scan(args: ScanArgs) -> ScanReport;
    }
}

/// The same for subscriptions, whose answer is a stream.
macro_rules! intercepted_streams {
    ($($trait:ident { $($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)* })*) => { $(
        #[async_trait]
        impl<I: Intercept> $trait for Intercepted<I> { $(
            async fn $method(&self, $($argument: $type),*) -> Result<$answer, EngineError> {
                let told: &[String] = &[$(tell(&$argument)),*];
                let opened = async { self.inner.$method($($argument),*).await.map(Opened) };
                self.by.pass(stringify!($method), told, opened).await.map(|Opened(stream)| stream)
            }
        )* }
    )* };
}

intercepted_streams! {
    Subscriptions {
        subscribe_lease_history(cursor: StreamCursor, filter: &ScannerFilter) -> LeaseHistorySubscription;
        subscribe_completion(cursor: StreamCursor, filter: &ScannerFilter) -> CompletionSubscription;
        subscribe_operator_events(cursor: StreamCursor, filter: &ScannerFilter) -> OperatorSubscription;
        subscribe_signal_delivery(cursor: StreamCursor, filter: &ScannerFilter) -> SignalDeliverySubscription;
    }
    CompletionBackend {
        subscribe_completions() -> CompletionStream;
        subscribe_completions_filtered(filter: &ScannerFilter) -> CompletionStream;
    }
}

/// A stream, told by its existence.
struct Opened<S>(S);

impl<S> Debug for Opened<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a stream)")
    }
}

#[async_trait]
impl<I: Intercept> EngineBackend for Intercepted<I> {
    fn backend_label(&self) -> &'static str {
        self.inner.backend_label()
    }

    fn capabilities(&self) -> Capabilities {
        self.by.capabilities(self.inner.capabilities())
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.by.pass("ping", &[], self.inner.ping()).await
    }

    async fn prepare(&self) -> Result<PrepareOutcome, EngineError> {
        self.by.pass("prepare", &[], self.inner.prepare()).await
    }

    async fn shutdown_prepare(&self, grace: Duration) -> Result<(), EngineError> {
        self.by.pass("shutdown_prepare", &[tell(&grace)], self.inner.shutdown_prepare(grace)).await
    }
}
