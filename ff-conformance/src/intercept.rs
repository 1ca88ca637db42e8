//! A backend behind an interceptor: every call of the contract passes through one function.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use ff_core::{
    Attempts, Capabilities, CapabilitySet, ClaimPolicy, Claims, CreateExecutionArgs, CreateExecutionResult,
    EngineBackend, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot, Executions, FailOutcome, FailureClass,
    FailureReason, Handle, LaneId, LeaseRenewal, Leases, ListExecutionsPage, ListLanesPage, PageLimit, PrepareOutcome,
    PublicState,
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
    }
    Attempts {
        progress(handle: &Handle, percent: Option<u8>, message: Option<String>) -> ();
        complete(handle: &Handle, payload: Option<Vec<u8>>) -> ();
        fail(handle: &Handle, reason: FailureReason, classification: FailureClass) -> FailOutcome;
        cancel(handle: &Handle, reason: &str) -> ();
    }
    Leases {
        renew(handle: &Handle) -> LeaseRenewal;
    }
    Claims {
        claim(lane: &LaneId, capabilities: &CapabilitySet, policy: ClaimPolicy) -> Option<Handle>;
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
