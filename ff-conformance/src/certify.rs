//! The suite as a program of its own: it runs every case in one process, and ends with a report.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::{
    CASES, Harness,
    report::{self, Provenance, Report},
    run::tested,
};

/// The exit code of a run that says nothing.
const INVALID: u8 = 3;

/// Runs the suite with the arguments of a test program, and writes report, Markdown, JUnit and badge.
///
/// A run of all cases exits 0 certified, 1 failed, 2 partial, 3 invalid; one of some cases, or a list of them, as a
/// test program does.
pub fn certify(harness: impl Harness) -> ExitCode {
    let arguments = Arguments::from_args();
    let harness: Arc<dyn Harness> = Arc::new(harness);
    let executed = Arc::new(Mutex::new(0_usize));
    let trials = CASES.iter().map(|case| {
        let (harness, executed) = (Arc::clone(&harness), Arc::clone(&executed));
        Trial::test(case.path(), move || {
            *executed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            tested(&*harness, case).map(drop).map_err(Failed::from)
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if *executed.lock().unwrap_or_else(PoisonError::into_inner) < CASES.len() {
        return conclusion.exit_code();
    }
    match written(&*harness) {
        Ok(report) => {
            print!("{}", report::summary(std::slice::from_ref(&report)));
            println!("{}: {}", report.profile.id, report::badge(&report)["message"].as_str().unwrap_or_default());
            ExitCode::from(report::exit_code([&report]))
        }
        Err(text) => {
            eprintln!("ff-conformance: {text}");
            ExitCode::from(INVALID)
        }
    }
}

/// Joins the events of this run, and writes what they say in every form.
fn written(harness: &dyn Harness) -> Result<Report, String> {
    let folder = report::folder().join(harness.environment().profile).join(report::run_id());
    let found = report::read_events(&folder).map_err(|invalid| invalid.to_string())?;
    let events = found.into_iter().flat_map(|found| found.events).collect();
    let report = report::merge(events, &Provenance::here("cargo test")).map_err(|invalid| invalid.to_string())?;
    let written = report::write_report(&folder, &report).map_err(|error| format!("{}: {error}", folder.display()))?;
    written.iter().for_each(|file| println!("wrote {}", file.display()));
    Ok(report)
}

/// Makes the suite the `main` of a test target with `harness = false`; it ends with report, JUnit and badge.
///
/// ```text
/// ff_conformance::certify!(MyHarness);
/// ```
#[macro_export]
macro_rules! certify {
    ($harness:expr) => {
        fn main() -> ::std::process::ExitCode {
            $crate::certify($harness)
        }
    };
}
