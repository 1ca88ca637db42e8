//! What a report says of tapes.

use std::fmt::Write;

use super::{Conclusion, Report};
use crate::lockstep::Lockstep;

/// Goals that a line names; the report has all.
const NAMED: usize = 3;

impl Report {
    /// The same with what came of tapes; a tape that failed or said nothing is a failure of the run.
    #[must_use]
    pub fn with_lockstep(mut self, lockstep: Lockstep) -> Self {
        self.footer.verdict = self.footer.verdict.max(conclusion(Some(&lockstep)));
        self.lockstep = Some(lockstep);
        self
    }
}

/// The verdict over tapes alone. A goal that was not met says how far a run came, not that something is wrong.
pub(super) fn conclusion(lockstep: Option<&Lockstep>) -> Conclusion {
    match lockstep {
        Some(run) if !run.failures.is_empty() || !run.errored.is_empty() => Conclusion::Failed,
        _ => Conclusion::Certified,
    }
}

/// One line on a run.
pub(super) fn line(run: &Lockstep) -> String {
    let plateau = if run.plateau { "nothing new in the last ones" } else { "still finding new ones" };
    let mut text = format!(
        "lock-step: {} tapes and {} of the corpus, {} steps, {} signatures ({plateau}), seed {}: {}",
        run.tapes,
        run.corpus,
        run.steps,
        run.signatures,
        run.seed,
        outcome(run),
    );
    if !run.goals_unmet.is_empty() {
        let named: Vec<_> = run.goals_unmet.iter().take(NAMED).map(String::as_str).collect();
        let more = run.goals_unmet.len() - named.len();
        let _ = write!(text, "; not reached: {}", named.join(", "));
        if more > 0 {
            let _ = write!(text, " and {more} more");
        }
    }
    text
}

/// How it ended, in a few words.
pub(super) fn outcome(run: &Lockstep) -> String {
    match (run.failures.len(), run.errored.len()) {
        (0, 0) => "no disagreement".to_owned(),
        (failures, 0) => format!("{failures} failed"),
        (failures, errored) => format!("{failures} failed, {errored} said nothing"),
    }
}

/// The line, what failed and what said nothing, for a terminal and for Markdown.
pub(super) fn text(run: &Lockstep) -> String {
    let failures = run.failures.iter().map(|failure| format!("\n{}", failure.text()));
    let errored = run.errored.iter().map(|reason| format!("\ncould not be judged: {reason}\n"));
    format!("{}\n{}", line(run), failures.chain(errored).collect::<String>())
}
