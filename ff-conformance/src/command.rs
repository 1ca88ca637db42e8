//! The subcommands of `ff-conformance`, and what they share.

pub(crate) mod bench;
pub(crate) mod matrix;
pub(crate) mod migrate;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod servers;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use console::Term;
use ff_conformance::Matrix;

/// The exit code of what cannot be judged: bad arguments, missing, double or foreign files.
pub(crate) const INVALID: u8 = 3;

/// Says on stderr why nothing could be judged.
pub(crate) fn complain(text: &str) -> ExitCode {
    eprintln!("ff-conformance: {text}");
    ExitCode::from(INVALID)
}

/// The matrix as stdout shows it best: as wide as a terminal, and with colours there unless somebody said no.
pub(crate) fn shown(matrix: &Matrix) -> String {
    let no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let colours = io::stdout().is_terminal() && !no && !dumb;
    matrix.terminal(colours, Term::stdout().size_checked().map(|(_, columns)| usize::from(columns)))
}
