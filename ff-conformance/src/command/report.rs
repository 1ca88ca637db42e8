//! `ff-conformance report`: joins events, shows reports in other forms, checks and compares them.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};
use ff_conformance::{
    Matrix,
    report::{self, Found, Invalid, Provenance},
};

use crate::command::{INVALID, colours, complain};

/// The arguments of `ff-conformance report`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Join the events of the newest run of each profile: report, Markdown, JUnit and badge.
    Merge {
        /// The folder of events; `target/ff-conformance` without it.
        folder: Option<PathBuf>,
    },
    /// Check that reports can be believed and published.
    Verify {
        /// The reports.
        #[arg(required = true)]
        reports: Vec<PathBuf>,
    },
    /// Say what differs between two reports on one profile, times and machines aside.
    Diff {
        /// The report that is committed.
        old: PathBuf,
        /// The report of a run.
        new: PathBuf,
    },
    /// Show a report in another form.
    Render {
        /// The report.
        report: PathBuf,
        /// The form.
        #[arg(long = "as", value_enum, default_value = "markdown")]
        form: Form,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// A document.
    Markdown,
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
        Task::Render { report, form } => render(&report, form),
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
    print!("\n{}", Matrix::of(&reports).terminal(colours(&io::stdout())));
    print!("{}", report::summary(&reports));
    Ok(ExitCode::from(report::exit_code(&reports)))
}

fn verify(files: &[PathBuf]) -> Result<ExitCode, Invalid> {
    let mut good = true;
    for file in files {
        let wrong = report::verify(&report::read_report(file)?);
        good &= wrong.is_empty();
        let text = if wrong.is_empty() { "can be believed".to_owned() } else { wrong.join("\n  ") };
        println!("{}: {text}", file.display());
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(INVALID) })
}

fn diff(old: &Path, new: &Path) -> Result<ExitCode, Invalid> {
    let differences = report::diff(&report::read_report(old)?, &report::read_report(new)?);
    if differences.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", differences.join("\n"));
    eprintln!(
        "ff-conformance: {} says something else than {}: run `./dev reports` and commit what it writes if this is meant",
        new.display(),
        old.display()
    );
    Ok(ExitCode::FAILURE)
}

fn render(file: &Path, form: Form) -> Result<ExitCode, Invalid> {
    let report = report::read_report(file)?;
    match form {
        Form::Markdown => print!("{}", report::markdown(&[report])),
        Form::Junit => print!("{}", report::junit(&report)),
        Form::Badge => println!("{}", report::badge(&report)),
    }
    Ok(ExitCode::SUCCESS)
}
