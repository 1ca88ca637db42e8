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
    Attempts, Capabilities, CapabilitySet, ClaimPolicy, Claims, CreateExecutionArgs, CreateExecutionResult,
    EngineBackend, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot, Executions, FailOutcome, FailureClass,
    FailureReason, Handle, LaneId, LeaseRenewal, Leases, ListExecutionsPage, ListLanesPage, PageLimit, PrepareOutcome,
    PublicState, TimestampMs,
};
use serde::{Deserialize, Serialize};
use tell::tell;

/// How often each method answered with which code: `renew` → `State(StaleLease)` → 40.
pub type Hits = BTreeMap<String, BTreeMap<String, u64>>;

/// Operations that a failure shows.
const LAST: usize = 50;

/// One call of a case, for a reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The store's time when it began, in milliseconds since the Unix epoch; `None` if the suite does not know it.
    pub at_ms: Option<i64>,
    /// The client that made it.
    pub client: String,
    /// The method with its arguments, cut; a payload is told by its length.
    pub call: String,
    /// What came back, cut; `None` while nothing has.
    pub answer: Option<String>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = self.answer.as_deref().unwrap_or("(no answer)");
        write!(f, "{}: {} -> {answer}", self.client, self.call)
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
    store_time: Option<TimestampMs>,
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

    /// Notes where the store's clock stands from now on; it is the suite that moves it.
    pub fn store_time(&self, now: TimestampMs) {
        self.record().store_time = Some(now);
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
    fn begins(&self, client: &str, call: String) -> usize {
        let mut record = self.record();
        if record.calls.len() == LAST {
            record.calls.pop_front();
            record.forgotten += 1;
        }
        let at_ms = record.store_time.map(TimestampMs::as_ms);
        record.calls.push_back(Call { at_ms, client: client.to_owned(), call, answer: None });
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

    #[test]
    fn a_call_is_told_with_the_time_of_the_store() {
        let recorder = Recorder::new();
        recorder.begins("a", "early()".to_owned());
        recorder.store_time(TimestampMs::from_ms(7));
        recorder.begins("a", "late()".to_owned());
        assert_eq!(recorder.calls().iter().map(|call| call.at_ms).collect::<Vec<_>>(), [None, Some(7)]);
    }
}
