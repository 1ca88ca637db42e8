//! What git says of the working tree.

use std::process::Command;

use super::Provenance;

impl Provenance {
    /// A run on the working tree around the current folder, that the command `reproduce` does again.
    #[must_use]
    pub fn here(reproduce: impl Into<String>) -> Self {
        let commit = answer(&["rev-parse", "HEAD"]);
        let changes = answer(&["status", "--porcelain", "--", ":/", ":/!docs/reports", ":/!docs/parity.md"]);
        let dirty = commit.is_some() && changes.is_none_or(|changes| !changes.is_empty());
        Self { commit, dirty, seeds: Vec::new(), reproduce: reproduce.into() }
    }

    /// A seed that follows from the commit: another one for each change, the same for each run on it.
    #[must_use]
    pub fn seed(&self) -> u64 {
        // 52 bits, so that no reader of JSON rounds it.
        let digits = self.commit.as_deref().and_then(|commit| commit.get(..13));
        digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(1)
    }
}

fn answer(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
