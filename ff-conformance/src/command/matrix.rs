//! `ff-conformance matrix`: the matrix of reports that exist.

use std::{io, path::PathBuf, process::ExitCode};

use clap::Args;
use ff_conformance::{
    Matrix, Report,
    report::{self, Invalid},
};

use crate::command::{colours, complain};

/// The arguments of `ff-conformance matrix`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Reports; without them those of the last run in `target/ff-conformance`.
    reports: Vec<PathBuf>,
    /// Write Markdown.
    #[arg(long)]
    markdown: bool,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let reports = match read(&arguments.reports) {
        Ok(reports) => reports,
        Err(invalid) => return complain(&invalid.to_string()),
    };
    let matrix = Matrix::of(&reports);
    if arguments.markdown {
        print!("{}", matrix.markdown());
    } else {
        print!("{}", matrix.terminal(colours(&io::stdout())));
    }
    ExitCode::from(report::exit_code(&reports))
}

fn read(given: &[PathBuf]) -> Result<Vec<Report>, Invalid> {
    let folder = report::folder();
    let files = if given.is_empty() { reports_in(&folder) } else { given.to_vec() };
    if files.is_empty() {
        return Err(Invalid::new(format!("no reports in {}: make them by `./dev run`", folder.display())));
    }
    files.iter().map(|file| report::read_report(file)).collect()
}

fn reports_in(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    files.sort();
    files
}
