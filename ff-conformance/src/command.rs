//! The subcommands of `ff-conformance`, and what they share.

pub(crate) mod matrix;
pub(crate) mod migrate;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod servers;

use std::{io::IsTerminal, process::ExitCode};

/// The exit code of what cannot be judged: bad arguments, missing, double or foreign files.
pub(crate) const INVALID: u8 = 3;

/// Says on stderr why nothing could be judged.
pub(crate) fn complain(text: &str) -> ExitCode {
    eprintln!("ff-conformance: {text}");
    ExitCode::from(INVALID)
}

/// True if colours are wanted on `stream`: a terminal, and nobody said no.
pub(crate) fn colours(stream: &impl IsTerminal) -> bool {
    let no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !no && !dumb
}
