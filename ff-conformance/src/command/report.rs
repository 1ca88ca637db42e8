//! `ff-conformance report`: joins events, shows reports in other forms, checks and compares them.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};
use ff_conformance::{
    BurstVerdict, Matrix, Violation, lockstep,
    report::{self, Found, Invalid, Provenance},
};

use crate::command::{INVALID, complain, matrix, shown};

/// The arguments of `ff-conformance report`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Join the events of the newest run of each profile: report, Markdown, HTML, JUnit and badge.
    Merge {
        /// The folder of events; `target/ff-conformance` without it.
        folder: Option<PathBuf>,
    },
    /// Check that reports can be believed and published.
    Verify {
        /// The reports, or folders of them.
        #[arg(required = true)]
        reports: Vec<PathBuf>,
    },
    /// Say what differs between two reports on one profile, times and machines aside; or between two folders of them.
    Diff {
        /// The report that is committed, or the folder of those.
        old: PathBuf,
        /// The report of a run, or the folder of those.
        new: PathBuf,
    },
    /// Judge what was seen of a run again, without a store: `target/ff-conformance/lockstep/….trace.jsonl`, or
    /// `target/ff-conformance/….burst-….json`.
    Recheck {
        /// The trace or the burst.
        trace: PathBuf,
    },
    /// Show reports in other forms: writes `report.md` and `report.html`, or prints one form.
    Render {
        /// The reports, or folders of them; without any those of the last run in `target/ff-conformance`.
        reports: Vec<PathBuf>,
        /// Print this form and write nothing; JUnit and badge are those of one report.
        #[arg(long = "as", value_enum)]
        form: Option<Form>,
        /// Write into this folder instead of `target/ff-conformance`.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// A document.
    Markdown,
    /// A page for a browser.
    Html,
    /// XML for CI systems.
    Junit,
    /// The endpoint document of a badge.
    Badge,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let code = match arguments.task {
        Task::Merge { folder } => merge(&folder.unwrap_or_else(report::folder)),
        Task::Verify { reports } => verify(&reports),
        Task::Diff { old, new } => diff(&old, &new),
        Task::Recheck { trace } => recheck(&trace),
        Task::Render { reports, form: Some(form), .. } => print(&reports, form),
        Task::Render { reports, form: None, out } => render(&reports, &out.unwrap_or_else(report::folder)),
    };
    code.unwrap_or_else(|invalid| complain(&invalid.to_string()))
}

fn merge(folder: &Path) -> Result<ExitCode, Invalid> {
    let provenance = Provenance::here("cargo nextest run");
    let mut reports = Vec::new();
    for Found { folder, events } in report::read_events(folder)? {
        let report = report::merge(events, &provenance)?;
        let written = report::write_report(&folder, &report);
        let written = written.map_err(|error| Invalid::new(format!("{}: {error}", folder.display())))?;
        written.iter().for_each(|file| println!("wrote {}", file.display()));
        reports.push(report);
    }
    if reports.is_empty() {
        return Err(Invalid::new(format!("{} holds no events: run the tests first", folder.display())));
    }
    print!("\n{}", shown(&Matrix::of(&reports)));
    print!("{}", report::summary(&reports));
    Ok(ExitCode::from(report::exit_code(&reports)))
}

/// Writes a file and says so.
fn write(file: &Path, text: &str) -> Result<(), Invalid> {
    report::write_file(file, text).map_err(|error| Invalid::new(format!("{}: {error}", file.display())))?;
    println!("wrote {}", file.display());
    Ok(())
}

fn verify(files: &[PathBuf]) -> Result<ExitCode, Invalid> {
    let mut good = true;
    for file in matrix::named(files)? {
        let text =
            std::fs::read_to_string(&file).map_err(|error| Invalid::new(format!("{}: {error}", file.display())))?;
        let wrong = report::verify_text(&text);
        good &= wrong.is_empty();
        let text = if wrong.is_empty() { "can be believed".to_owned() } else { wrong.join("\n  ") };
        println!("{}: {text}", file.display());
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(INVALID) })
}

fn diff(old: &Path, new: &Path) -> Result<ExitCode, Invalid> {
    let differences = if old.is_dir() && new.is_dir() {
        report::drift(&report::read_reports(old)?, &report::read_reports(new)?)
    } else {
        report::diff(&report::read_report(old)?, &report::read_report(new)?)
    };
    if differences.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", differences.join("\n"));
    eprintln!("ff-conformance: {} says something else than {}: {}", new.display(), old.display(), report::REMEDY);
    Ok(ExitCode::FAILURE)
}

/// Judges a burst again, and writes its timeline beside it if it broke a rule.
fn recheck_burst(file: &Path, text: &str) -> Result<ExitCode, Invalid> {
    let rechecked = ff_conformance::recheck_burst(text);
    let (verdict, page) = rechecked.map_err(|error| Invalid::new(format!("{}: {error}", file.display())))?;
    let (told, code) = match verdict {
        BurstVerdict::Ok => ("one order explains all of it".to_owned(), ExitCode::SUCCESS),
        BurstVerdict::Unknown => {
            ("no order was found in time, and none was excluded".to_owned(), ExitCode::from(INVALID))
        }
        BurstVerdict::Violated(violation) => {
            let Violation { requirement, checker, text, .. } = *violation;
            (format!("{requirement} is broken, found by {checker}:\n{text}"), ExitCode::FAILURE)
        }
    };
    println!("{}: {told}", file.display());
    if let Some(page) = page {
        write(&file.with_extension("html"), &page)?;
    }
    Ok(code)
}

fn recheck(trace: &Path) -> Result<ExitCode, Invalid> {
    let invalid = |error: String| Invalid::new(format!("{}: {error}", trace.display()));
    let text = std::fs::read_to_string(trace).map_err(|error| invalid(error.to_string()))?;
    if trace.extension().is_some_and(|ending| ending == "json") {
        return recheck_burst(trace, &text);
    }
    match lockstep::recheck(&text).map_err(invalid)? {
        Ok(calls) => {
            println!("{}: the contract allows all {calls} calls", trace.display());
            Ok(ExitCode::SUCCESS)
        }
        Err(found) => {
            println!("{}: {found}", trace.display());
            Ok(ExitCode::FAILURE)
        }
    }
}

fn render(given: &[PathBuf], folder: &Path) -> Result<ExitCode, Invalid> {
    let reports = matrix::read(given, folder)?;
    for (name, text) in [("report.md", report::markdown(&reports)), ("report.html", report::html(&reports))] {
        write(&folder.join(name), &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(given: &[PathBuf], form: Form) -> Result<ExitCode, Invalid> {
    let reports = matrix::read(given, &report::folder())?;
    let text = match (form, reports.as_slice()) {
        (Form::Markdown, reports) => report::markdown(reports),
        (Form::Html, reports) => report::html(reports),
        (Form::Junit, [one]) => report::junit(one),
        (Form::Badge, [one]) => format!("{}\n", report::badge(one)),
        (Form::Junit | Form::Badge, _) => return Err(Invalid::new("this form is that of one report: name it")),
    };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}
