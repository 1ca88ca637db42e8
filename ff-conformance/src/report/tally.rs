//! How many cases ended how, and the cell of a table that says so.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::CaseReport;
use crate::Outcome;

/// How many cases ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Every check held.
    pub passed: usize,
    /// The operation is denied, and properly so.
    pub denied: usize,
    /// A requirement is broken.
    pub failed: usize,
    /// The suite or the harness failed.
    pub errored: usize,
    /// It could have run and did not.
    pub not_run: usize,
    /// It cannot run there.
    pub ineligible: usize,
}

impl Tally {
    /// The counts of `cases`.
    #[must_use]
    pub fn of<'a>(cases: impl IntoIterator<Item = &'a CaseReport>) -> Self {
        let mut tally = Self::default();
        for case in cases {
            *match case.outcome {
                Outcome::Passed => &mut tally.passed,
                Outcome::Denied { .. } => &mut tally.denied,
                Outcome::Failed { .. } => &mut tally.failed,
                Outcome::Errored { .. } => &mut tally.errored,
                Outcome::NotRun { .. } => &mut tally.not_run,
                Outcome::Ineligible { .. } => &mut tally.ineligible,
            } += 1;
        }
        tally
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.passed + self.denied + self.failed + self.errored + self.not_run + self.ineligible
    }

    /// True if a case failed or could not be judged.
    #[must_use]
    pub const fn is_red(&self) -> bool {
        self.red() > 0
    }

    /// The cases that failed or could not be judged.
    #[must_use]
    pub const fn red(&self) -> usize {
        self.failed + self.errored
    }
}

/// The cell of a table: `✅ 24`, `✅ 22 ⛔ 2`, `❌ 2/24`, `◻ 20 · 4 not run`, `✅ 22 — 2`, `—`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, denied, not_run, ineligible, .. } = *self;
        if self.is_red() {
            return write!(f, "❌ {}/{}", self.red(), self.total() - ineligible);
        }
        match (passed, denied, not_run, ineligible) {
            (0, 0, 0, 0) => f.write_str("❔"),
            (0, 0, 0, _) => f.write_str("—"),
            (0, 0, _, _) => write!(f, "◻ {not_run} not run"),
            (_, 0, 0, 0) => write!(f, "✅ {passed}"),
            (_, 0, 0, _) => write!(f, "✅ {passed} — {ineligible}"),
            (0, _, 0, _) => write!(f, "⛔ {denied}"),
            (_, _, 0, _) => write!(f, "✅ {passed} ⛔ {denied}"),
            (_, _, _, _) => write!(f, "◻ {} · {not_run} not run", passed + denied),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn no_cell_is_blank() {
        let none = Tally::default();
        for (tally, cell) in [
            (none, "❔"),
            (Tally { passed: 3, ..none }, "✅ 3"),
            (Tally { passed: 3, denied: 1, ..none }, "✅ 3 ⛔ 1"),
            (Tally { passed: 3, ineligible: 2, ..none }, "✅ 3 — 2"),
            (Tally { ineligible: 2, ..none }, "—"),
            (Tally { not_run: 2, ..none }, "◻ 2 not run"),
            (Tally { passed: 3, not_run: 2, ..none }, "◻ 3 · 2 not run"),
            (Tally { passed: 3, denied: 4, failed: 1, errored: 1, not_run: 2, ineligible: 9 }, "❌ 2/11"),
        ] {
            assert_eq!(tally.to_string(), cell);
        }
    }
}
