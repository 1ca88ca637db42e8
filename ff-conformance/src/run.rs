//! Runs one case: opens a store, drives the case, checks the invariants, and tells how it ended.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ff_core::{Capability, EngineError, Operation, Supports};
use futures::FutureExt;
use tokio::runtime::{Builder, Runtime};

use crate::{
    Case, CaseReport, Control, Cx, Diagnosis, Event, Failure, FailureKind, Harness, Outcome, Place, Recorder, Stop,
    cx::OBSERVER,
    denials::{self, Subject},
    invariants,
    recorder::panic_text,
    report::{Stopwatch, time_factor},
    scrutiny::Scrutiny,
};

/// How long a harness may take to open a store: it may have to wait for its turn on a server.
pub(crate) const OPEN_LIMIT: Duration = Duration::from_secs(40 * 60);
/// How long a case may take.
const CASE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long a call that was given up may take to end.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How long a harness may take to drop a store.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(60);

/// The one runtime of the process: all connections of a case are made and used on it.
///
/// # Errors
/// If the system gives no threads.
pub fn runtime() -> Result<&'static Runtime, String> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let build = || Builder::new_multi_thread().enable_all().build().map_err(|error| format!("runtime: {error}"));
    RUNTIME.get_or_init(build).as_ref().map_err(Clone::clone)
}

/// Runs the case called `stem::name` as a test: writes its event file, and panics unless it passed.
///
/// A case that cannot run here (no control, no capability) is told by the event file and does not panic.
///
/// # Panics
/// If the case failed or could not be judged; the text says which requirement is broken and how to see it again.
#[track_caller]
#[expect(clippy::panic, reason = "a test fails by a panic, here and nowhere else")]
pub fn run(harness: impl Harness, case: &str) {
    let Some(found) = Case::find(case) else { panic!("{case}: the suite has no such case") };
    match tested(&harness, found) {
        Ok(note) => note.into_iter().for_each(|note| println!("{note}")),
        Err(text) => panic!("{text}"),
    }
}

/// Runs one case and writes its event file; tells why it did not judge the operation, if it did not.
///
/// # Errors
/// What a reader must know, if the case failed or could not be judged.
pub(crate) fn tested(harness: &dyn Harness, case: &Case) -> Result<Option<String>, String> {
    let path = case.path();
    let runtime = runtime().map_err(|text| format!("{path} could not be judged: {text}"))?;
    let event = runtime.block_on(execute(harness, case));
    let file = event.write(&crate::report::folder());
    let text = event.case.brief(&event.identity.name, &format!("cargo nextest run '{path}'"));
    match (file, &event.case.outcome) {
        (Err(error), _) => Err(format!("{path}: the event file was not written: {error}\n{text}")),
        (Ok(file), Outcome::Failed { .. } | Outcome::Errored { .. }) => {
            Err(format!("{text}\n  event     {}\n", file.display()))
        }
        (Ok(_), Outcome::NotRun { .. } | Outcome::Ineligible { .. } | Outcome::Denied { .. }) => Ok(Some(text)),
        (Ok(_), Outcome::Passed) => Ok(None),
    }
}

/// Runs one case and tells how it ended.
pub async fn execute(harness: &dyn Harness, case: &Case) -> Event {
    let recorder = Recorder::new();
    let watch = Stopwatch::start();
    let Driven { outcome, controls, measurements } = drive(harness, case, &recorder).await;
    let told = matches!(outcome, Outcome::Failed { .. } | Outcome::Errored { .. });
    let mut report = CaseReport::of(case, outcome);
    report.ms = Some(watch.elapsed_ms());
    report.measurements = measurements;
    report.methods = recorder.hits().into_keys().collect();
    if told {
        report.operations = recorder.calls();
    }
    Event::of(harness, report, &recorder, &controls, &watch)
}

/// What came of driving one case.
struct Driven {
    outcome: Outcome,
    controls: Vec<Control>,
    measurements: BTreeMap<String, u64>,
}

async fn drive(harness: &dyn Harness, case: &Case, recorder: &Arc<Recorder>) -> Driven {
    let errored = |reason: String| Outcome::Errored { reason };
    let identity = harness.identity();
    let opened = match guarded("open", OPEN_LIMIT, harness.open()).await {
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(reason) => Err(reason),
    };
    let store = match opened {
        Ok(store) => store,
        Err(reason) => {
            return Driven { outcome: errored(reason), controls: Vec::new(), measurements: BTreeMap::new() };
        }
    };
    let cx = Cx::new(store, Arc::clone(recorder)).environment(harness.environment());
    let controls = cx.controls().present();
    // From here on every call is told with the time of the store; a clock that does not answer is the case's to tell.
    let _ = guarded("clock", CLOSE_LIMIT, cx.now()).await;
    let mut outcome = visited(harness, case, &cx, recorder).await;
    if harness.identity() != identity {
        outcome = Diagnosis::ManyIdentities.into();
    }
    let measurements = cx.measurements();
    let failed = matches!(outcome, Outcome::Failed { .. });
    let closed = match guarded("close", CLOSE_LIMIT, cx.close(failed)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("close: {error}")),
        Err(reason) => Err(reason),
    };
    recorder.seal();
    let outcome = match (closed, outcome) {
        // A store that is not given back may be seen by another case.
        (Err(reason), Outcome::Passed | Outcome::Denied { .. }) => errored(reason),
        (_, outcome) => outcome,
    };
    Driven { outcome, controls, measurements }
}

/// Judges the case on its store, and the harness before and after it.
async fn visited(harness: &dyn Harness, case: &Case, cx: &Cx, recorder: &Recorder) -> Outcome {
    let present = cx.controls().present();
    if let Some(&control) = case.controls.iter().find(|control| !present.contains(control)) {
        return outcome_of(case, cx.lacking(control));
    }
    let scrutiny = match guarded("connect", CASE_LIMIT, Scrutiny::arrive(cx)).await {
        Ok(Ok(scrutiny)) => scrutiny,
        Ok(Err(stop)) => return outcome_of(case, stop),
        Err(reason) => return Outcome::Errored { reason },
    };
    let supports = scrutiny.observer().capabilities().supports;
    let outcome = match case.needs.iter().find(|&&capability| !supports.has(capability)) {
        Some(&lacking) => denied(case, cx, lacking).await,
        None => judged(case, cx).await,
    };
    if let Some((method, text)) = recorder.panic() {
        return Diagnosis::Panicked { method: method.to_owned(), text }.into();
    }
    // A case that failed half-way may have left calls behind.
    if !matches!(outcome, Outcome::Failed { .. })
        && let Some(method) = unanswered(recorder).await
    {
        return Diagnosis::Unanswered { method: method.to_owned() }.into();
    }
    match scrutiny.leave(harness, cx).await {
        Some(diagnosis) => diagnosis.into(),
        None => false_claim(recorder, &supports).unwrap_or(outcome),
    }
}

/// A call that is still under way, though its case has ended; one that was given up may take a moment to end.
async fn unanswered(recorder: &Recorder) -> Option<&'static str> {
    let _ = tokio::time::timeout(ANSWER_LIMIT.mul_f64(time_factor()), recorder.all_ended()).await;
    recorder.under_way().first().copied()
}

/// What becomes of a case that needs what the backend does not declare: the operations must be denied.
async fn denied(case: &Case, cx: &Cx, lacking: Capability) -> Outcome {
    let gated: Vec<_> = Operation::ALL.iter().copied().filter(|&op| Capability::of(op) == Some(lacking)).collect();
    let probes = async {
        let client = cx.client(OBSERVER).await?;
        let subject = Subject::unknown(cx, &client)?;
        for &op in &gated {
            denials::require(cx, op, &subject).await?;
        }
        let names: Vec<_> = gated.iter().map(|op| op.as_str()).collect();
        Err(Stop::Denied(names.join(", ")))
    };
    match guarded("denial", CASE_LIMIT.mul_f64(time_factor()), probes).await {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(stop)) => outcome_of(case, stop),
        Err(reason) => Outcome::Errored { reason },
    }
}

/// The failure of a backend that answered `Unavailable` to what it must do, or declares that it can.
fn false_claim(recorder: &Recorder, supports: &Supports) -> Option<Outcome> {
    let hits = recorder.hits();
    let claimed = |op: &&Operation| {
        let code = EngineError::unavailable(**op).code();
        supports.offers(**op) && hits.values().any(|codes| codes.contains_key(&code))
    };
    let op = Operation::ALL.iter().find(claimed)?;
    let failure = Failure {
        requirement: "FF-CAP-001".to_owned(),
        subject: format!("every answer to {op}"),
        expectation: "is not Unavailable, because the backend offers it".to_owned(),
        got: EngineError::unavailable(*op).code(),
        place: Place::here(),
    };
    Some(Outcome::Failed { kind: FailureKind::FalseClaim, failure })
}

/// Drives the case and, if it passed, the invariants over what it left.
async fn judged(case: &Case, cx: &Cx) -> Outcome {
    let limit = CASE_LIMIT.mul_f64(time_factor());
    match guarded("case", limit, (case.run)(cx)).await {
        Ok(Ok(())) => {}
        Ok(Err(stop)) => return outcome_of(case, stop),
        Err(reason) => return Outcome::Errored { reason },
    }
    match guarded("invariants", limit, invariants::check_all(cx)).await {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(stop)) => match outcome_of(case, stop) {
            Outcome::Failed { failure, .. } => Outcome::Failed { kind: FailureKind::Invariant, failure },
            // Without a look at everything only the case itself has judged.
            Outcome::NotRun { .. } | Outcome::Ineligible { .. } => Outcome::Passed,
            outcome => outcome,
        },
        Err(reason) => Outcome::Errored { reason },
    }
}

fn outcome_of(case: &Case, stop: Stop) -> Outcome {
    match stop {
        Stop::Failed(failure) => Outcome::Failed { kind: FailureKind::Check, failure: *failure },
        Stop::Denial(kind, failure) => Outcome::Failed { kind, failure: *failure },
        Stop::Refused(error, place) => {
            Outcome::Failed { kind: FailureKind::Check, failure: refusal(case, &error, place) }
        }
        Stop::Denied(op) => Outcome::Denied { op },
        Stop::Errored(reason) => Outcome::Errored { reason },
        Stop::NotRun(reason) => Outcome::NotRun { reason },
        Stop::Ineligible(reason) => Outcome::Ineligible { reason },
    }
}

impl From<Diagnosis> for Outcome {
    fn from(diagnosis: Diagnosis) -> Self {
        Self::Errored { reason: diagnosis.to_string() }
    }
}

fn refusal(case: &Case, error: &EngineError, place: Place) -> Failure {
    Failure {
        requirement: case.covers.first().copied().unwrap_or_default().to_owned(),
        subject: "a call that leads up to a check".to_owned(),
        expectation: "succeeds".to_owned(),
        got: format!("{}: {error}", error.code()),
        place,
    }
}

/// Ends when the time is over; without one, never.
pub(crate) async fn time_is_over(at_most: Option<Duration>) {
    match at_most {
        Some(at_most) => tokio::time::sleep(at_most).await,
        None => std::future::pending().await,
    }
}

/// Awaits `future`; a panic or too long a wait is told in words.
pub(crate) async fn guarded<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> Result<T, String> {
    match tokio::time::timeout(limit, AssertUnwindSafe(future).catch_unwind()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(panic)) => Err(format!("{what}: panic: {}", panic_text(&*panic))),
        Err(_) => Err(format!("{what}: not finished within {} s", limit.as_secs())),
    }
}

/// The macro that makes one `#[test]` of every case.
///
/// ```text
/// ff_conformance::suite!(MyHarness);
/// ```
#[macro_export]
macro_rules! suite {
    ($harness:expr) => {
        $crate::for_each_case!($crate::__plain_tests, ($harness));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __plain_tests {
    (($harness:expr) $($stem:ident { $($case:ident),* $(,)? })*) => { $(
        mod $stem {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[test]
                fn $case() {
                    $crate::run($harness, concat!(stringify!($stem), "::", stringify!($case)))
                }
            )*
        }
    )* };
}
