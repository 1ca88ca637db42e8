//! What git says of the working tree.

use std::process::Command;

/// The state of the working tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The commit, if this is a working tree.
    pub(crate) commit: Option<String>,
    /// True if something beside the generated documents differs from it.
    pub(crate) dirty: bool,
}

/// The state of the working tree around the current folder.
pub(crate) fn state() -> State {
    let commit = answer(&["rev-parse", "HEAD"]);
    let changes = answer(&["status", "--porcelain", "--", ":/", ":/!docs/reports", ":/!docs/parity.md"]);
    State { dirty: commit.is_some() && changes.is_none_or(|changes| !changes.is_empty()), commit }
}

fn answer(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
