//! The report of a run: how cases become a verdict, and what makes a set of events worthless.
#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use ff_conformance::{
    CASES, Event, FailureKind, Matrix, Outcome, Report,
    backends::memory::Memory,
    report::{self, Conclusion, Provenance, Status},
};

/// The events of a whole run on memory; `change` makes it another run.
fn events(change: impl Fn(&mut Event)) -> Vec<Event> {
    let mut events: Vec<_> = CASES.iter().map(|case| Event::no_server(&Memory, case, "none")).collect();
    for event in &mut events {
        event.case.outcome = Outcome::Passed;
        // Every operation was called, so no goal is unmet.
        event.methods =
            ff_core::Operation::ALL.iter().map(|op| (op.to_string(), [("ok".to_owned(), 1)].into())).collect();
        change(event);
    }
    events
}

fn merged(events: Vec<Event>) -> Report {
    report::merge(events, &Provenance::default()).unwrap()
}

fn first(event: &Event) -> bool {
    event.case.case == CASES[0].path()
}

fn failure(requirement: &str) -> Outcome {
    let failure = serde_json::json!({
        "requirement": requirement, "subject": "a.renew()", "expectation": "succeeds", "got": "<no>", "place": "x.rs:1",
    });
    Outcome::Failed { kind: FailureKind::Check, failure: serde_json::from_value(failure).unwrap() }
}

#[test]
fn a_run_without_a_fault_is_certified() {
    let report = merged(events(|_| {}));
    assert_eq!(report.footer.verdict, Conclusion::Certified);
    assert_eq!(report.footer.counts.passed, CASES.len());
    assert_eq!(report::verify(&report), Vec::<String>::new());
    assert_eq!(report::exit_code([&report]), 0);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

#[test]
fn one_failure_fails_the_run_and_names_its_requirement() {
    let report = merged(events(|event| {
        if first(event) {
            event.case.outcome = failure(CASES[0].covers[0]);
            event.case.operations = vec!["a: renew(Handle) -> Ok".to_owned()];
        }
    }));
    assert_eq!(report.footer.verdict, Conclusion::Failed);
    assert_eq!(report.requirements[CASES[0].covers[0]], Status::Violated);
    let summary = report::summary(std::slice::from_ref(&report));
    for part in [CASES[0].covers[0], "succeeds", "<no>", "x.rs:1", "a: renew(Handle) -> Ok", "--case"] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    let junit = report::junit(&report);
    assert!(junit.contains("failures=\"1\"") && junit.contains("&lt;no&gt;"), "{junit}");
    assert_eq!(report::badge(&report)["color"], "red");
    assert_eq!(report::exit_code([&merged(events(|_| {})), &report]), 1);
}

#[test]
fn what_did_not_run_makes_a_run_partial_and_what_cannot_run_does_not() {
    let not_run = |event: &mut Event| {
        if first(event) {
            event.case.outcome = Outcome::NotRun { reason: "no clock control".to_owned() };
        }
    };
    assert_eq!(merged(events(not_run)).footer.verdict, Conclusion::Partial);
    let ineligible = |event: &mut Event| {
        if first(event) {
            event.case.outcome = Outcome::Ineligible { reason: "no address control".to_owned() };
        }
    };
    assert_eq!(merged(events(ineligible)).footer.verdict, Conclusion::Certified);
    let silent = |event: &mut Event| drop(event.methods.remove("renew"));
    let report = merged(events(silent));
    assert_eq!(report.coverage.goals_unmet, ["renew was never called"]);
    assert_eq!(report.footer.verdict, Conclusion::Partial);
    assert_eq!(merged(events(|event| event.time_factor = 8.0)).footer.verdict, Conclusion::Partial);
}

#[test]
fn a_case_without_an_event_was_not_executed() {
    let mut events = events(|_| {});
    events.truncate(1);
    let report = merged(events);
    assert_eq!((report.footer.counts.passed, report.footer.counts.not_run), (1, CASES.len() - 1));
    assert_eq!(report::exit_code([&report]), 2);
    // A run of some cases shows only their rows.
    assert_eq!(Matrix::of(&[report]).markdown().lines().count(), 5);
}

#[test]
fn a_backend_without_a_server_is_errored_as_a_whole() {
    let events = CASES.iter().map(|case| Event::no_server(&Memory, case, "install it")).collect();
    let report = merged(events);
    assert_eq!(report.footer.verdict, Conclusion::Failed);
    assert_eq!(report.no_server(), Some("no server: install it"));
    assert!(Matrix::of(&[report]).markdown().contains("errored: no server"));
}

#[test]
fn double_foreign_and_missing_events_are_invalid() {
    let invalid = |events| report::merge(events, &Provenance::default()).unwrap_err().to_string();
    assert!(invalid(Vec::new()).contains("no events"));
    let whole = events(|_| {});
    assert!(invalid([whole.clone(), whole.clone()].concat()).contains("two events"));
    for (change, part) in [
        ((|event| event.suite.registry_sha256 = "0".repeat(64)) as fn(&mut Event), "judged by suite"),
        (|event| event.case.case = "leases::no_such_case".to_owned(), "no such case"),
        (|event| event.identity.version = "9".to_owned(), "about"),
        (|event| event.profile.server = "another".to_owned(), "on memory"),
        (|event| event.run = "another".to_owned(), "of run"),
        (|event| event.schema = "v0".to_owned(), "schema"),
    ] {
        let mut events = whole.clone();
        change(&mut events[1]);
        let text = invalid(events);
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_report_that_was_changed_is_not_believed() {
    let mut report = merged(events(|_| {}));
    report.cases[0].outcome = failure(CASES[0].covers[0]);
    assert_eq!(report::verify(&report).len(), 3);
    let mut dirty = merged(events(|_| {}));
    dirty.run.dirty = true;
    assert_eq!(report::verify(&dirty).len(), 1);
    assert_eq!(report::diff(&merged(events(|_| {})), &dirty), Vec::<String>::new());
    assert_eq!(report::diff(&dirty, &report), [format!("{}: passed, now failed", CASES[0].path())]);
}

#[test]
fn the_schema_knows_every_field_of_a_report() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../schema/report-v1.json")).unwrap();
    let report = merged(events(|event| {
        if first(event) {
            event.case.outcome = failure(CASES[0].covers[0]);
        }
    }));
    let report = serde_json::to_value(report).unwrap();
    for (block, fields) in report.as_object().unwrap() {
        let known = &schema["properties"][block];
        assert!(known.is_object(), "{block}");
        if let (Some(fields), Some(known)) = (fields.as_object(), known["properties"].as_object()) {
            assert!(fields.keys().all(|field| known.contains_key(field)), "{block}: {:?}", fields.keys());
            let required: Vec<_> = known.keys().collect();
            assert!(required.iter().all(|field| fields.contains_key(*field)), "{block}: {required:?}");
        }
    }
}
