//! What a person sees while cases run: a bar for each backend on a terminal, a line for each elsewhere.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use ff_conformance::{CaseReport, Outcome};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The progress of all backends.
pub(super) struct Progress {
    bars: MultiProgress,
    shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { bars: MultiProgress::new(), shown: io::stderr().is_terminal() }
    }

    /// The progress of one backend over `cases` cases.
    pub(super) fn column(&self, title: String, cases: usize) -> Column {
        let bar = ProgressBar::new(cases as u64);
        let bar = if self.shown { self.bars.add(bar) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{prefix:<9} {bar:32} {pos:>4}/{len} {wide_msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_length(cases as u64);
        bar.set_prefix(title.clone());
        Column { bar, title, cases, shown: self.shown, red: 0 }
    }
}

/// The progress of one backend.
pub(super) struct Column {
    bar: ProgressBar,
    title: String,
    cases: usize,
    shown: bool,
    red: usize,
}

impl Column {
    /// Notes that a case ended.
    pub(super) fn ended(&mut self, case: &CaseReport) {
        if matches!(case.outcome, Outcome::Failed { .. } | Outcome::Errored { .. }) {
            self.red += 1;
            self.bar.set_message(format!("{} red, last {}", self.red, case.case));
        } else if self.red == 0 {
            self.bar.set_message(case.case.clone());
        }
        self.bar.inc(1);
    }

    /// Notes that all cases ended.
    pub(super) fn finish(self) {
        let text = if self.red == 0 { String::new() } else { format!(", {} red", self.red) };
        if self.shown {
            self.bar.finish_with_message(text.trim_start_matches([',', ' ']).to_owned());
        } else {
            eprintln!("{:<9} {} cases{text}", self.title, self.cases);
        }
    }
}

/// A spinner with words for a wait without measure.
pub(super) fn waiting(words: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(words);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
