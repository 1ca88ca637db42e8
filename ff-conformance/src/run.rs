//! Runs one case: opens a store, drives the case, checks the invariants, and tells how it ended.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ff_core::EngineError;
use futures::FutureExt;
use tokio::runtime::{Builder, Runtime};

use crate::{
    Case, CaseReport, Control, Cx, Event, Failure, FailureKind, Harness, Outcome, Place, Recorder, Stop, invariants,
    report::{Stopwatch, time_factor},
};

/// How long a harness may take to open a store: it may have to wait for its turn on a server.
const OPEN_LIMIT: Duration = Duration::from_secs(40 * 60);
/// How long a case may take.
const CASE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long a harness may take to drop a store.
const CLOSE_LIMIT: Duration = Duration::from_secs(60);

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
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(text) => panic!("{case} could not be judged: {text}"),
    };
    let event = runtime.block_on(execute(&harness, found));
    let file = event.write(&crate::report::folder());
    let reproduce = format!("cargo nextest run '{case}'");
    let text = event.case.brief(&event.identity.name, &reproduce);
    match (file, &event.case.outcome) {
        (Err(error), _) => panic!("{case}: the event file was not written: {error}\n{text}"),
        (Ok(file), Outcome::Failed { .. } | Outcome::Errored { .. }) => {
            panic!("{text}\n  event     {}\n", file.display())
        }
        (Ok(_), Outcome::NotRun { .. } | Outcome::Ineligible { .. }) => println!("{text}"),
        (Ok(_), Outcome::Passed | Outcome::Denied { .. }) => {}
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
    let cx = Cx::new(store, Arc::clone(recorder)).topology(harness.environment().topology);
    let controls = cx.controls().present();
    // From here on every call is told with the time of the store; a clock that does not answer is the case's to tell.
    let _ = guarded("clock", CLOSE_LIMIT, cx.now()).await;
    let outcome = match hindrance(case, &cx).await {
        Some(outcome) => outcome,
        None => judged(case, &cx).await,
    };
    let measurements = cx.measurements();
    let failed = matches!(outcome, Outcome::Failed { .. });
    let closed = match guarded("close", CLOSE_LIMIT, cx.close(failed)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("close: {error}")),
        Err(reason) => Err(reason),
    };
    let outcome = match (closed, outcome) {
        // A store that is not given back may be seen by another case.
        (Err(reason), Outcome::Passed | Outcome::Denied { .. }) => errored(reason),
        (_, outcome) => outcome,
    };
    Driven { outcome, controls, measurements }
}

/// Why a case cannot run on this store, if it cannot.
async fn hindrance(case: &Case, cx: &Cx) -> Option<Outcome> {
    let present = cx.controls().present();
    let lacking = |control: &&Control| !present.contains(control);
    if let Some(&control) = case.controls.iter().find(lacking) {
        return Some(outcome_of(case, cx.lacking(control)));
    }
    if case.needs.is_empty() {
        return None;
    }
    match guarded("connect", CASE_LIMIT, cx.client("capabilities")).await {
        Ok(Ok(client)) => {
            let supports = client.capabilities().supports;
            let lacking = case.needs.iter().find(|&&capability| !supports.has(capability))?;
            Some(Outcome::NotRun { reason: format!("needs {}", lacking.as_str()) })
        }
        Ok(Err(stop)) => Some(outcome_of(case, stop)),
        Err(reason) => Some(Outcome::Errored { reason }),
    }
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
        Stop::Refused(error, place) => {
            let kind = match error {
                EngineError::Unavailable { .. } => FailureKind::FalseClaim,
                _ => FailureKind::Check,
            };
            Outcome::Failed { kind, failure: refusal(case, &error, place) }
        }
        Stop::Errored(reason) => Outcome::Errored { reason },
        Stop::NotRun(reason) => Outcome::NotRun { reason },
        Stop::Ineligible(reason) => Outcome::Ineligible { reason },
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

/// Awaits `future`; a panic or too long a wait is told in words.
async fn guarded<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> Result<T, String> {
    match tokio::time::timeout(limit, AssertUnwindSafe(future).catch_unwind()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
            Err(format!("{what}: panic: {text}"))
        }
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
