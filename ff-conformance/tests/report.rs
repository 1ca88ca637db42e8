//! The report of a run: how cases become a verdict, and what makes a set of events worthless.
#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use ff_backend_memory::MemoryBackend;
use ff_conformance::{
    CASES, Call, Case, Control, Event, FailureKind, Matrix, Outcome, REFUSALS, Report,
    backends::memory::Memory,
    report::{self, Conclusion, Declared, Provenance, Status},
};
use ff_core::{Capabilities, Capability, EngineBackend, Operation};

/// The events of a whole run on memory; `change` makes it another run.
fn events(change: impl Fn(&mut Event)) -> Vec<Event> {
    let mut events: Vec<_> = CASES.iter().map(|case| Event::no_server(&Memory, case, "none")).collect();
    for event in &mut events {
        event.case.outcome = Outcome::Passed;
        event.case.ms = Some(1);
        // Every operation was called and refused in every way, so no goal is unmet.
        event.case.methods = Operation::ALL.iter().map(ToString::to_string).collect();
        event.methods = Operation::ALL.iter().map(|op| (op.to_string(), [("ok".to_owned(), 1)].into())).collect();
        for refusals in REFUSALS {
            let answers = event.methods.entry(refusals.op.to_string()).or_default();
            answers.extend(refusals.codes.iter().map(|code| ((*code).to_owned(), 1)));
        }
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

fn call() -> Call {
    Call {
        at_ms: Some(1_000),
        client: "a".to_owned(),
        call: "renew(Handle)".to_owned(),
        answer: Some("Ok<&>".to_owned()),
    }
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
            event.case.operations = vec![call()];
        }
    }));
    assert_eq!(report.footer.verdict, Conclusion::Failed);
    assert_eq!(report.requirements[CASES[0].covers[0]], Status::Violated);
    let summary = report::summary(std::slice::from_ref(&report));
    for part in [CASES[0].covers[0], "succeeds", "<no>", "x.rs:1", "a: renew(Handle) -> Ok<&>", "--case"] {
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
    assert_eq!(merged(events(|event| event.time_factor = 4.0)).footer.verdict, Conclusion::Certified);
    assert_eq!(merged(events(|event| event.time_factor = 4.1)).footer.verdict, Conclusion::Partial);
}

/// What cases say of their rules: a pass counts for a rule, a denial and a silence only where nothing passed.
#[test]
fn a_rule_is_what_the_best_case_says_of_it_unless_one_breaks_it() {
    let rule = CASES[0].covers[0];
    let said = |outcome: fn() -> Outcome| {
        let covers = |event: &Event| event.case.covers.iter().any(|covered| covered == rule);
        let all = merged(events(|event| {
            if covers(event) {
                event.case.outcome = outcome();
            }
        }));
        let but_one = merged(events(|event| {
            if covers(event) && !first(event) {
                event.case.outcome = outcome();
            }
        }));
        (all.requirements[rule], but_one.requirements[rule])
    };
    let denied = said(|| Outcome::Denied { op: "list_lanes".to_owned() });
    assert_eq!(denied, (Status::Denied, Status::Verified));
    let not_run = said(|| Outcome::NotRun { reason: "no clock control".to_owned() });
    assert_eq!(not_run, (Status::NotRun, Status::Verified));
    let errored = said(|| Outcome::Errored { reason: "close".to_owned() });
    assert_eq!(errored, (Status::NotRun, Status::Verified));
}

#[test]
fn a_run_takes_from_its_first_begin_to_its_last_end_and_counts_every_answer() {
    let report = merged(events(|event| {
        event.started_ms = if first(event) { 5000 } else { 1000 };
        event.case.ms = Some(if first(event) { 70 } else { 9 });
    }));
    assert_eq!(report.run.duration_ms, 4070);
    assert_eq!(report.coverage.methods["renew"]["ok"], CASES.len() as u64);
}

#[test]
fn a_goal_that_is_not_met_makes_a_run_partial() {
    let idle = |event: &mut Event| event.case.methods.retain(|method| method != "renew");
    let report = merged(events(idle));
    assert_eq!(report.coverage.goals_unmet, ["renew: no case of a MUST calls it"]);
    assert_eq!(report.footer.verdict, Conclusion::Partial);
    let silent = |event: &mut Event| {
        event.methods.entry("renew".to_owned()).or_default().remove("State(StaleLease)");
    };
    let report = merged(events(silent));
    assert_eq!(report.coverage.goals_unmet, ["renew: never answered State(StaleLease), which its docs list"]);
    assert_eq!(report.footer.verdict, Conclusion::Partial);
    let summary = report::summary(std::slice::from_ref(&report));
    assert!(summary.contains("memory: goals not met\n  renew: never answered"), "{summary}");
    // A goal that was struck out is found again.
    let mut embellished = report.clone();
    embellished.coverage.goals_unmet.clear();
    embellished.footer.verdict = Conclusion::Certified;
    assert_eq!(report::verify(&embellished).len(), 2, "{:?}", report::verify(&embellished));
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

/// What a backend declares that lacks a capability.
fn lacking(capability: Capability) -> Declared {
    let own = MemoryBackend::new().capabilities();
    Declared::of(&Capabilities { supports: own.supports.without(capability), ..own })
}

/// Each way to write another outcome into a report, with counts, verdict and requirements that follow from it.
#[test]
fn an_outcome_that_contradicts_the_rest_is_not_believed() {
    let wrong = |change: &dyn Fn(&mut Event)| report::verify(&merged(events(change))).join("\n");
    let here = |event: &Event, name: &str| event.case.case.ends_with(name);
    let case = "capabilities::list_lanes_works_or_is_denied";
    let denied = || Outcome::Denied { op: "list_lanes".to_owned() };
    let whole = || Some(Declared::of(&MemoryBackend::new().capabilities()));
    let gated = Capability::of(Operation::ListLanes).unwrap();

    let hidden = wrong(&|event| {
        event.declared = whole();
        if here(event, case) {
            event.case.outcome = denied();
        }
    });
    assert!(hidden.contains("does not say that it lacks list_lanes"), "{hidden}");
    let undeclared = wrong(&|event| {
        event.declared = Some(lacking(gated));
        if here(event, case) {
            event.case.outcome = denied();
        }
    });
    assert!(undeclared.contains("passed, and the backend says that it lacks"), "{undeclared}");
    let unable = wrong(&|event| {
        if first(event) {
            event.case.outcome = Outcome::Ineligible { reason: "no time".to_owned() };
        }
    });
    assert!(unable.contains("all that it needs can exist there"), "{unable}");
    let claimed = wrong(&|event| {
        event.declared = whole();
        event.methods.entry("list_lanes".to_owned()).or_default().insert("Unavailable(list_lanes)".to_owned(), 1);
    });
    assert!(claimed.contains("list_lanes was not available"), "{claimed}");
    let mut unseen = merged(events(|_| {}));
    unseen.coverage.methods.remove("renew");
    assert!(report::verify(&unseen).iter().any(|text| text.contains("has no answer of it")));
}

/// A report with an outcome of every kind.
fn motley() -> Report {
    let path = |wanted: &dyn Fn(&Case) -> bool| CASES.iter().find(|case| wanted(case)).unwrap().path();
    let outcomes = [
        (CASES[0].path(), failure(CASES[0].covers[0])),
        (CASES[2].path(), Outcome::Errored { reason: "close: <script>alert(1)</script>".to_owned() }),
        (CASES[3].path(), Outcome::NotRun { reason: "no clock control".to_owned() }),
        (
            path(&|case| case.controls.contains(&Control::Address)),
            Outcome::Ineligible { reason: "no address control".to_owned() },
        ),
    ];
    let lanes = Capability::of(Operation::ListLanes).unwrap();
    merged(events(|event| {
        event.declared = Some(lacking(lanes));
        let needs = Case::find(&event.case.case).is_some_and(|case| case.needs.contains(&lanes));
        if needs || event.case.case == "capabilities::list_lanes_works_or_is_denied" {
            event.case.outcome = Outcome::Denied { op: "list_lanes".to_owned() };
        }
        if let Some((_, outcome)) = outcomes.iter().find(|(case, _)| *case == event.case.case) {
            event.case.outcome = outcome.clone();
            event.case.measurements.insert("round trips".to_owned(), 1);
            event.case.operations = vec![call(), Call { at_ms: None, answer: None, ..call() }];
        }
    }))
}

#[test]
fn a_report_is_of_its_schema_in_both_forms() {
    for report in [merged(events(|_| {})), motley(), motley().published()] {
        let text = report::text(&report).unwrap();
        assert_eq!(report::verify_text(&text), Vec::<String>::new());
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}

#[test]
fn a_text_that_was_written_by_hand_is_refused_with_its_place() {
    let text = report::text(&motley()).unwrap();
    for (old, new, part) in [
        ("\"schema\": \"ff-conformance-report/v1\"", "\"schema\": \"v2\"", "/schema"),
        ("\"outcome\":\"errored\"", "\"outcome\":\"skipped\"", "/cases/2"),
        ("\"kind\":\"check\",", "", "/cases/0"),
        ("\"ms\":1", "\"ms\":-1", "/cases/0/ms"),
        ("\"ms\":1", "\"ms\":1,\"note\":\"fine\"", "note"),
        ("\"complete\": true", "\"complete\": false", "/footer/complete"),
        ("\"footer\"", "\"foot\"", "footer"),
        ("\"failed\": 1", "\"failed\": 0", "counts"),
        ("\"verdict\": \"failed\"", "\"verdict\": \"certified\"", "failed follows from the cases"),
        ("FF-", "FX-", "/cases/0"),
        ("{", "", "no JSON"),
    ] {
        assert!(text.contains(old), "{old}");
        let wrong = report::verify_text(&text.replacen(old, new, 1)).join("\n");
        assert!(wrong.contains(part), "{old} as {new}: {wrong}");
    }
    let mut twice = motley();
    twice.cases.push(twice.cases[1].clone());
    assert!(report::verify(&twice).iter().any(|wrong| wrong.contains("stands twice")));
    let mut foreign = motley();
    foreign.suite.registry_sha256 = "0".repeat(64);
    assert!(report::verify(&foreign).iter().any(|wrong| wrong.contains("judged by suite")));
}

#[test]
fn a_committed_report_tells_no_time_of_a_case() {
    let (first, second) = (motley(), merged(events(|event| event.case.ms = Some(2))));
    assert!(first.cases.iter().all(|case| case.ms.is_some()));
    assert!(first.clone().published().cases.iter().all(|case| case.ms.is_none()));
    assert_eq!(report::diff(&first, &first.clone().published()), Vec::<String>::new());
    assert_ne!(report::diff(&first, &second), Vec::<String>::new());
}

#[test]
fn drift_is_told_by_profile_and_a_new_profile_is_none() {
    let named = |report: Report| (std::path::PathBuf::from("x.json"), report);
    let (committed, run) = ([named(merged(events(|_| {})))], [named(motley())]);
    assert_eq!(report::drift(&committed, &committed), Vec::<String>::new());
    let drift = report::drift(&committed, &run);
    assert!(drift.iter().all(|line| line.starts_with("memory: ")), "{drift:?}");
    assert!(drift.iter().any(|line| line.contains("passed, now denied")), "{drift:?}");
    assert_eq!(report::drift(&[], &run), Vec::<String>::new());
    let mut other = merged(events(|_| {}));
    other.declared = Some(Declared::of(&MemoryBackend::new().capabilities()));
    let absent = report::diff(&committed[0].1, &other);
    assert!(absent.contains(&"declared order: absent, now store".to_owned()), "{absent:?}");
}

#[test]
fn the_page_holds_everything_and_asks_nobody() {
    let page = report::html(&[merged(events(|_| {})), motley()]);
    for part in ["certified", "failed", "renew(Handle)", "+0 ms", "not known", "no clock control", "list_lanes"] {
        assert!(page.contains(part), "{part}");
    }
    for case in CASES {
        assert!(page.contains(&format!("id=\"case-{}\"", case.path())), "{}", case.path());
    }
    assert!(page.contains("Ok&lt;&amp;&gt;") && page.contains("&lt;script&gt;alert(1)"), "not escaped");
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("src=") && !page.contains("@import") && !page.contains("url("), "asks for a file");
    // Every link within the page leads somewhere.
    for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
    }
}
