//! Records what a case did: every call with its answer, and the requirements that were checked.

mod tell;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::{self, Debug},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ff_core::{
    AttemptIndex, Attempts, CancelExecutionArgs, CancelExecutionResult, Capabilities, CapabilitySet,
    ChangePriorityArgs, ChangePriorityResult, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs,
    ClaimForWorkerOutcome, ClaimPolicy, ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, CompleteArgs,
    CompletionBackend, CompletionStream, CompletionSubscription, CreateExecutionArgs, CreateExecutionResult,
    EngineBackend, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot, Executions, FailOutcome, FailureClass,
    FailureReason, Handle, LaneId, LeaseHistorySubscription, LeaseRenewal, Leases, ListAttemptsPage,
    ListExecutionsPage, ListLanesPage, OperatorSubscription, PageLimit, PrepareOutcome, PublicState, ReclaimToken,
    ReplayExecutionArgs, ReplayExecutionResult, RevokeLeaseArgs, RevokeLeaseResult, ScanArgs, ScanReport,
    ScannerFilter, Scanners, SetExecutionTagArgs, StreamCursor, Subscriptions, TimestampMs, UnclaimedReason,
};
use tell::tell;

/// How often each method answered with which code: `renew` → `State(StaleLease)` → 40.
pub type Hits = BTreeMap<String, BTreeMap<String, u64>>;

/// Operations that a failure shows.
const LAST: usize = 50;

/// One call of a case, for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The client that made it.
    pub client: String,
    /// The method with its arguments, cut; a payload is told by its length.
    pub text: String,
    /// What came back, cut; `None` while nothing has.
    pub answer: Option<String>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = self.answer.as_deref().unwrap_or("(no answer)");
        write!(f, "{}: {} -> {answer}", self.client, self.text)
    }
}

/// What one case did.
#[derive(Debug, Default)]
pub struct Recorder {
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    checks: BTreeMap<String, u32>,
    hits: Hits,
    calls: VecDeque<Call>,
    /// Calls that were made before the first one of `calls`.
    forgotten: usize,
    declared: Option<Capabilities>,
}

impl Recorder {
    /// An empty recorder.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Notes that a check named `requirement`.
    pub fn checked(&self, requirement: &str) {
        *self.record().checks.entry(requirement.to_owned()).or_default() += 1;
    }

    /// `backend` under the eyes of this recorder, as client `name`.
    pub fn wrap(self: &Arc<Self>, name: &str, backend: Arc<dyn EngineBackend>) -> Arc<dyn EngineBackend> {
        self.record().declared.get_or_insert_with(|| backend.capabilities());
        self.hit("connect", "ok");
        Arc::new(Recorded { recorder: Arc::clone(self), client: name.to_owned(), inner: backend })
    }

    /// How often each requirement was checked.
    #[must_use]
    pub fn checks(&self) -> BTreeMap<String, u32> {
        self.record().checks.clone()
    }

    /// How often each method answered with which code.
    #[must_use]
    pub fn hits(&self) -> Hits {
        self.record().hits.clone()
    }

    /// The last 50 calls, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.record().calls.iter().cloned().collect()
    }

    /// What the first client declared.
    #[must_use]
    pub fn declared(&self) -> Option<Capabilities> {
        self.record().declared.clone()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hit(&self, method: &str, code: &str) {
        *self.record().hits.entry(method.to_owned()).or_default().entry(code.to_owned()).or_default() += 1;
    }

    /// Notes a call that begins, and returns its number.
    fn begins(&self, client: &str, text: String) -> usize {
        let mut record = self.record();
        if record.calls.len() == LAST {
            record.calls.pop_front();
            record.forgotten += 1;
        }
        record.calls.push_back(Call { client: client.to_owned(), text, answer: None });
        record.forgotten + record.calls.len() - 1
    }

    /// Notes the answer to the call of that number, unless it is forgotten.
    fn answered(&self, number: usize, answer: String) {
        let mut record = self.record();
        let place = number.checked_sub(record.forgotten);
        if let Some(call) = place.and_then(|place| record.calls.get_mut(place)) {
            call.answer = Some(answer);
        }
    }
}

/// One client behind the recorder.
struct Recorded {
    recorder: Arc<Recorder>,
    client: String,
    inner: Arc<dyn EngineBackend>,
}

impl Recorded {
    async fn call<T: Debug>(
        &self,
        method: &str,
        arguments: &[String],
        answer: impl Future<Output = Result<T, EngineError>> + Send,
    ) -> Result<T, EngineError> {
        let number = self.recorder.begins(&self.client, format!("{method}({})", arguments.join(", ")));
        let answer = answer.await;
        match &answer {
            Ok(value) => {
                self.recorder.hit(method, "ok");
                self.recorder.answered(number, tell(value));
            }
            Err(error) => {
                self.recorder.hit(method, &error.code());
                self.recorder.answered(number, tell(error));
            }
        }
        answer
    }
}

/// Implements traits of the contract by delegation; arguments are told before they move into the call.
macro_rules! recorded {
    ($($trait:ident { $($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)* })*) => { $(
        #[async_trait]
        impl $trait for Recorded { $(
            async fn $method(&self, $($argument: $type),*) -> Result<$answer, EngineError> {
                let told = [$(tell(&$argument)),*];
                self.call(stringify!($method), &told, self.inner.$method($($argument),*)).await
            }
        )* }
    )* };
}

recorded! {
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
    Scanners {
        scan(args: ScanArgs) -> ScanReport;
    }
}

/// The same for subscriptions, whose answer is a stream.
macro_rules! recorded_streams {
    ($($trait:ident { $($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)* })*) => { $(
        #[async_trait]
        impl $trait for Recorded { $(
            async fn $method(&self, $($argument: $type),*) -> Result<$answer, EngineError> {
                let told: &[String] = &[$(tell(&$argument)),*];
                let opened = async { self.inner.$method($($argument),*).await.map(Opened) };
                self.call(stringify!($method), told, opened).await.map(|Opened(stream)| stream)
            }
        )* }
    )* };
}

recorded_streams! {
    Subscriptions {
        subscribe_lease_history(cursor: StreamCursor, filter: &ScannerFilter) -> LeaseHistorySubscription;
        subscribe_completion(cursor: StreamCursor, filter: &ScannerFilter) -> CompletionSubscription;
        subscribe_operator_events(cursor: StreamCursor, filter: &ScannerFilter) -> OperatorSubscription;
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
impl EngineBackend for Recorded {
    fn backend_label(&self) -> &'static str {
        self.inner.backend_label()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.call("ping", &[], self.inner.ping()).await
    }

    async fn prepare(&self) -> Result<PrepareOutcome, EngineError> {
        self.call("prepare", &[], self.inner.prepare()).await
    }

    async fn shutdown_prepare(&self, grace: Duration) -> Result<(), EngineError> {
        self.call("shutdown_prepare", &[tell(&grace)], self.inner.shutdown_prepare(grace)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_calls_are_kept() {
        let recorder = Recorder::new();
        let first = recorder.begins("a", "first()".to_owned());
        let numbers: Vec<_> = (0..LAST).map(|n| recorder.begins("a", format!("call({n})"))).collect();
        recorder.answered(first, "late".to_owned());
        recorder.answered(numbers[0], "yes".to_owned());
        let calls = recorder.calls();
        assert_eq!(calls.len(), LAST);
        assert_eq!(calls[0].to_string(), "a: call(0) -> yes");
        assert_eq!(calls[LAST - 1].to_string(), format!("a: call({}) -> (no answer)", LAST - 1));
    }
}
