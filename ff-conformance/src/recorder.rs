//! Records what a case did: every call with its answer, and the requirements that were checked.

mod tell;

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    fmt::{self, Debug},
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ff_core::{Capabilities, EngineBackend, EngineError, TimestampMs};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
pub(crate) use tell::tell;
use tokio::sync::Notify;

use crate::{Intercept, Intercepted};

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
    /// Told whenever a call is answered or given up.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Record {
    checks: BTreeMap<String, u32>,
    hits: Hits,
    calls: VecDeque<Call>,
    /// Calls that were made before the first one of `calls`.
    forgotten: usize,
    declared: Option<Capabilities>,
    /// Calls that were neither answered nor given up, by number.
    under_way: BTreeMap<usize, &'static str>,
    /// The first panic of the backend: the method, and what it said.
    panic: Option<(&'static str, String)>,
    sealed: bool,
    store_time: Option<TimestampMs>,
    /// What no text may show.
    secrets: Vec<String>,
    /// The first text that showed one.
    leak: Option<String>,
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
        Arc::new(Intercepted::new(backend, Recording { recorder: Arc::clone(self), client: name.to_owned() }))
    }

    /// From now on no text of a call may show `secret`.
    pub(crate) fn keep_secret(&self, secret: &str) {
        self.record().secrets.push(secret.to_owned());
    }

    /// True if `text` shows what must not be shown.
    pub(crate) fn shows_a_secret(&self, text: &str) -> bool {
        self.record().secrets.iter().any(|secret| text.contains(secret.as_str()))
    }

    /// Where a text showed what must not be shown, first.
    pub(crate) fn leak(&self) -> Option<String> {
        self.record().leak.clone()
    }

    /// Notes where `value` shows what must not be shown.
    fn scan(&self, what: &str, value: &impl Debug) {
        if !self.record().secrets.is_empty() && self.shows_a_secret(&format!("{value:?}")) {
            self.record().leak.get_or_insert_with(|| what.to_owned());
        }
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

    /// The methods that were called and have neither answered nor been given up.
    #[must_use]
    pub fn under_way(&self) -> Vec<&'static str> {
        self.record().under_way.values().copied().collect()
    }

    /// Waits until every call that was made has answered or was given up.
    pub(crate) async fn all_ended(&self) {
        loop {
            // Made before the look, or a call that ends between the two would not be told.
            let ended = self.ended.notified();
            if self.record().under_way.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// The method in which the backend panicked first, and what it said.
    #[must_use]
    pub fn panic(&self) -> Option<(&'static str, String)> {
        self.record().panic.clone()
    }

    /// Ends the record: what is answered later is not part of it.
    pub fn seal(&self) {
        self.record().sealed = true;
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hit(&self, method: &str, code: &str) {
        let mut record = self.record();
        if record.sealed {
            return;
        }
        *record.hits.entry(method.to_owned()).or_default().entry(code.to_owned()).or_default() += 1;
    }

    /// Notes a call that begins, and returns its number.
    fn begins(&self, client: &str, method: &'static str, call: String) -> usize {
        let mut record = self.record();
        if record.calls.len() == LAST {
            record.calls.pop_front();
            record.forgotten += 1;
        }
        let at_ms = record.store_time.map(TimestampMs::as_ms);
        record.calls.push_back(Call { at_ms, client: client.to_owned(), call, answer: None });
        let number = record.forgotten + record.calls.len() - 1;
        record.under_way.insert(number, method);
        number
    }

    /// Notes the answer to the call of that number, unless it is forgotten.
    fn answered(&self, number: usize, answer: String) {
        let mut record = self.record();
        let place = number.checked_sub(record.forgotten).filter(|_| !record.sealed);
        if let Some(call) = place.and_then(|place| record.calls.get_mut(place)) {
            call.answer = Some(answer);
        }
    }
}

/// One client behind the recorder.
struct Recording {
    recorder: Arc<Recorder>,
    client: String,
}

/// A call from its begin until it is answered or given up.
struct UnderWay<'a> {
    recorder: &'a Recorder,
    number: usize,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.recorder.record().under_way.remove(&self.number);
        self.recorder.ended.notify_waiters();
    }
}

impl Intercept for Recording {
    async fn pass<T: Debug + Send>(
        &self,
        method: &'static str,
        arguments: &[String],
        call: impl Future<Output = Result<T, EngineError>> + Send,
    ) -> Result<T, EngineError> {
        let text = format!("{method}({})", arguments.join(", "));
        self.recorder.scan(&format!("the arguments of {method}"), &text);
        let number = self.recorder.begins(&self.client, method, text);
        let _under_way = UnderWay { recorder: &self.recorder, number };
        let answer = match AssertUnwindSafe(call).catch_unwind().await {
            Ok(answer) => answer,
            Err(panic) => {
                let text = panic_text(&*panic);
                self.recorder.record().panic.get_or_insert((method, text));
                resume_unwind(panic);
            }
        };
        match &answer {
            Ok(value) => {
                self.recorder.scan(&format!("the answer of {method}"), value);
                self.recorder.hit(method, "ok");
                self.recorder.answered(number, tell(value));
            }
            Err(error) => {
                self.recorder.scan(&format!("a refusal of {method}"), &(error, error.to_string()));
                self.recorder.hit(method, &error.code());
                self.recorder.answered(number, tell(error));
            }
        }
        answer
    }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_calls_are_kept() {
        let recorder = Recorder::new();
        let first = recorder.begins("a", "first", "first()".to_owned());
        let numbers: Vec<_> = (0..LAST).map(|n| recorder.begins("a", "call", format!("call({n})"))).collect();
        recorder.answered(first, "late".to_owned());
        recorder.answered(numbers[0], "yes".to_owned());
        let calls = recorder.calls();
        assert_eq!(calls.len(), LAST);
        assert_eq!(calls[0].to_string(), "a: call(0) -> yes");
        assert_eq!(calls[LAST - 1].to_string(), format!("a: call({}) -> (no answer)", LAST - 1));
    }

    #[tokio::test]
    async fn who_waits_for_all_ends_hears_of_the_last() {
        let recorder = Recorder::new();
        recorder.all_ended().await;
        let calls = ["first", "second"].map(|method| UnderWay {
            recorder: &recorder,
            number: recorder.begins("a", method, format!("{method}()")),
        });
        let mut waits = std::pin::pin!(recorder.all_ended());
        for call in calls {
            assert!(futures::poll!(waits.as_mut()).is_pending());
            drop(call);
        }
        assert!(futures::poll!(waits.as_mut()).is_ready());
    }

    #[test]
    fn a_call_is_told_with_the_time_of_the_store() {
        let recorder = Recorder::new();
        recorder.begins("a", "early", "early()".to_owned());
        recorder.store_time(TimestampMs::from_ms(7));
        recorder.begins("a", "late", "late()".to_owned());
        assert_eq!(recorder.calls().iter().map(|call| call.at_ms).collect::<Vec<_>>(), [None, Some(7)]);
    }
}
