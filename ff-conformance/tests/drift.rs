//! What a whole run of the tests says about each backend, compared with the reports that are committed.
//!
//! nextest runs this last (`.config/nextest.toml`), so that its summary counts the comparison like every other test.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

use std::path::{Path, PathBuf};

use ff_conformance::{
    CASES, Report,
    report::{self, Provenance},
};

/// The backends that `matrix.rs` judges.
const OURS: [&str; 3] = ["memory", "postgres", "valkey"];

/// The reports of this run, one for each profile.
fn reports() -> Vec<(PathBuf, Report)> {
    let profiles = std::fs::read_dir(report::folder()).into_iter().flatten().flatten();
    let runs = profiles.map(|profile| profile.path().join(report::run_id())).filter(|run| run.is_dir());
    let found = runs.flat_map(|run| report::read_events(&run).expect("events that can be read"));
    let merged = found.map(|found| (found.folder, report::merge(found.events, &Provenance::default())));
    let reports = merged.map(|(folder, report)| (folder, report.expect("events of one run")));
    reports.filter(|(_, report)| OURS.contains(&report.identity.name.as_str())).collect()
}

/// Why `report` has to be among the committed ones and is not.
fn uncommitted(report: &Report, committed: &[(PathBuf, Report)]) -> Option<String> {
    let profile = &report.profile;
    if committed.iter().any(|(_, committed)| committed.profile.id == profile.id) {
        return None;
    }
    // Images that nobody chose are those of the project; other servers are what a machine happens to have.
    let chosen = ["FF_POSTGRES_IMAGE", "FF_VALKEY_IMAGE"].iter().any(|name| std::env::var_os(name).is_some());
    if profile.source == "docker" && !chosen {
        return Some(format!("{}: no report is committed: {}", profile.id, report::REMEDY));
    }
    println!("{}: no report is committed, so there is nothing to compare", profile.id);
    None
}

#[test]
fn nothing_drifted() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reports");
    let committed = report::read_reports(&committed).expect("reports that can be read");
    let run = reports();
    let mut wrong = Vec::new();
    for name in OURS {
        let own = run.iter().filter(|(_, report)| report.identity.name == name).map(|(_, report)| report);
        let told = own.flat_map(|report| &report.cases).filter(|case| case.was_executed()).count();
        if told < CASES.len() {
            wrong.push(format!(
                "{name}: {told} of {} cases: this judges a whole run, as `./dev test` makes it",
                CASES.len()
            ));
        }
    }
    // The settings of a server given by URL are its owner's, and so is what the backend says of them.
    let (strange, run): (Vec<_>, Vec<_>) = run.into_iter().partition(|(_, report)| report.profile.source == "url");
    for (_, report) in strange {
        println!("{}: a server given by URL is not compared", report.profile.id);
    }
    wrong.extend(run.iter().filter_map(|(_, report)| uncommitted(report, &committed)));
    let drift = report::drift(&committed, &run);
    if !drift.is_empty() {
        wrong.extend(drift);
        wrong.push(report::REMEDY.to_owned());
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
