//! The command as people run it: exit codes, files, and what stands where.
#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use ff_conformance::{CASES, report};

/// A folder of one test, empty at its begin and removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn of(test: &str) -> Self {
        let path = report::folder().join("tests").join(format!("{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays lies in the target folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn command(arguments: &[&str], folder: &Folder) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ff-conformance"))
        .args(arguments)
        .env("FF_CONFORMANCE_OUT", &folder.0)
        .env_remove("FF_CONFORMANCE_RUN")
        .output()
        .unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_run_on_memory_is_certified_and_writes_its_reports() {
    let folder = Folder::of("run");
    let output = command(&["run", "--backend", "memory", "--seed", "7"], &folder);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(code(&output), Some(0), "{out}{err}");
    assert!(out.contains("verdict") && out.contains("certified"), "{out}");
    assert!(!out.contains('\x1b') && !err.contains('\x1b'), "colours or bars in a pipe: {out}{err}");
    let report = report::read_report(&folder.0.join("memory.json")).unwrap();
    assert_eq!(report.cases.len(), CASES.len());
    assert_eq!(report.run.seeds, [7]);
    assert!(std::fs::read_to_string(folder.0.join("report.md")).unwrap().contains("| **verdict** | certified |"));
    assert!(std::fs::read_to_string(folder.0.join("report.html")).unwrap().contains("certified"));
    let again = command(&["matrix"], &folder);
    assert_eq!((code(&again), text(&again.stdout).contains("certified")), (Some(0), true));
    // A folder stands for the reports in it.
    let there = folder.0.to_str().unwrap();
    let rendered = command(&["report", "render", there, "--as", "markdown"], &folder);
    assert_eq!((code(&rendered), text(&rendered.stdout).contains("certified")), (Some(0), true));
    let verified = text(&command(&["report", "verify", there], &folder).stdout);
    assert!(verified.starts_with(there) && verified.contains("memory.json: "), "{verified}");
    let file = folder.0.join("memory.json").display().to_string();
    assert_eq!(code(&command(&["report", "diff", &file, &file], &folder)), Some(0));
}

#[test]
fn a_report_is_rendered_in_every_form() {
    let folder = Folder::of("render");
    let run = command(&["run", "--backend", "memory", "--case", &CASES[0].path()], &folder);
    assert_eq!(code(&run), Some(2), "{}", text(&run.stdout));
    let out = folder.0.join("elsewhere");
    let file = folder.0.join("memory.json").display().to_string();
    for (form, part) in [
        ("markdown", "# Conformance"),
        ("html", "<!doctype html>"),
        ("junit", "<testsuite "),
        ("badge", "schemaVersion"),
    ] {
        let shown = command(&["report", "render", &file, "--as", form], &folder);
        assert!(code(&shown) == Some(0) && text(&shown.stdout).contains(part), "{form}: {}", text(&shown.stderr));
    }
    let written = command(&["report", "render", &file, "--out", &out.display().to_string()], &folder);
    assert_eq!(code(&written), Some(0), "{}", text(&written.stderr));
    assert!(out.join("report.html").is_file() && out.join("report.md").is_file());
}

#[test]
fn a_run_of_some_cases_is_partial() {
    let folder = Folder::of("some");
    let output = command(&["run", "--backend", "memory", "--case", &CASES[0].path()], &folder);
    assert_eq!(code(&output), Some(2), "{}", text(&output.stdout));
}

#[test]
fn what_cannot_be_judged_exits_with_3_and_says_what_to_do() {
    let folder = Folder::of("invalid");
    for (arguments, part) in [
        (["run", "--backend", "memory", "--case", "no such case"].as_slice(), "the stems are"),
        (&["report", "merge"], "run the tests first"),
        (&["matrix"], "./dev run"),
        (&["report", "verify", "absent.json"], "absent.json"),
        (&["run", "--backend", "memory", "--case", "leases", "--reports", "absent"], "one of all cases"),
    ] {
        let output = command(arguments, &folder);
        let err = text(&output.stderr);
        assert!(code(&output) == Some(3) && err.contains(part), "{arguments:?}: {:?} {err}", code(&output));
    }
}

#[test]
fn a_missing_server_fails_the_run_and_the_others_still_run() {
    let folder = Folder::of("missing");
    // Nobody listens on port 1, and no other source stands in for an address that was given.
    let arguments = ["run", "--backend", "memory", "--backend", "valkey", "--url", "valkey=redis://127.0.0.1:1"];
    let output = command(&arguments, &folder);
    let out = text(&output.stdout);
    assert_eq!(code(&output), Some(1), "{out}");
    assert!(out.contains("errored: no server") && out.contains("certified"), "{out}");
    let report = report::read_report(&folder.0.join("memory.json")).unwrap();
    assert_eq!(report::exit_code([&report]), 0);
}
