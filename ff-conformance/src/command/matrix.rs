//! `ff-conformance matrix`: the matrix of reports that exist.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use ff_conformance::{
    Matrix, Report,
    report::{self, Invalid},
};

use crate::command::{complain, shown};

/// The arguments of `ff-conformance matrix`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Reports, or folders of them; without any those of the last run in `target/ff-conformance`.
    reports: Vec<PathBuf>,
    /// Write Markdown.
    #[arg(long)]
    markdown: bool,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let reports = match read(&arguments.reports, &report::folder()) {
        Ok(reports) => reports,
        Err(invalid) => return complain(&invalid.to_string()),
    };
    let matrix = Matrix::of(&reports);
    if arguments.markdown {
        print!("{}", matrix.markdown());
    } else {
        print!("{}", shown(&matrix));
    }
    ExitCode::from(report::exit_code(&reports))
}

/// The reports that were named, else those that lie in `folder`.
pub(crate) fn read(given: &[PathBuf], folder: &Path) -> Result<Vec<Report>, Invalid> {
    let reports: Vec<_> = match given {
        [] => report::read_reports(folder)?.into_iter().map(|(_, report)| report).collect(),
        files => named(files)?.iter().map(|file| report::read_report(file)).collect::<Result<_, _>>()?,
    };
    if reports.is_empty() {
        return Err(Invalid::new(format!("no reports in {}: make them by `./dev run`", folder.display())));
    }
    Ok(reports)
}

/// The files that were named; a folder stands for the reports in it.
pub(crate) fn named(given: &[PathBuf]) -> Result<Vec<PathBuf>, Invalid> {
    let mut files = Vec::new();
    for path in given {
        if path.is_dir() {
            let unreadable = |error| Invalid::new(format!("{}: {error}", path.display()));
            let entries = path.read_dir().map_err(unreadable)?.flatten().map(|entry| entry.path());
            let mut reports: Vec<_> =
                entries.filter(|file| file.extension().is_some_and(|ending| ending == "json")).collect();
            if reports.is_empty() {
                return Err(Invalid::new(format!("no reports in {}", path.display())));
            }
            reports.sort();
            files.extend(reports);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}
