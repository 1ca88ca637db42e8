//! What a run says about a backend: one event for each case, joined to one report for each profile.

mod badge;
mod diff;
mod event;
mod facts;
mod files;
mod git;
mod goals;
mod html;
mod junit;
mod layout;
mod lockstep;
mod markdown;
mod merge;
pub mod properties;
mod races;
#[cfg(feature = "command")]
mod schema;
mod tally;
mod verify;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

pub use badge::badge;
pub use diff::{REMEDY, diff, drift};
pub use event::{CaseReport, Event};
pub use facts::{Declared, Host, Profile, Provenance, Stopwatch, SuiteFacts, time_factor};
pub use files::{Found, folder, read_events, read_report, read_reports, run_id, write_file, write_report};
pub use goals::{refusals, refused};
pub use html::html;
pub use junit::junit;
pub use layout::text;
pub use markdown::{markdown, summary};
pub use merge::{Invalid, merge};
#[cfg(feature = "command")]
pub use schema::verify_text;
pub use tally::Tally;
pub use verify::verify;

use crate::{Hits, Identity, Outcome, Races, lockstep::Lockstep};

/// The schema that a report names.
pub const SCHEMA: &str = "ff-conformance-report/v1";

/// What one run says about one profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// `ff-conformance-report/v1`.
    pub schema: String,
    /// The suite that judged.
    pub suite: SuiteFacts,
    /// Who was judged.
    pub identity: Identity,
    /// On what.
    pub profile: Profile,
    /// When, where and how to do it again.
    pub run: RunFacts,
    /// What the backend says of itself; absent if no client could be made.
    pub declared: Option<Declared>,
    /// Every case of the suite, in the order of the registry.
    pub cases: Vec<CaseReport>,
    /// What was called, and what should have been and was not.
    pub coverage: Coverage,
    /// What came of tapes beside the executable specification, if the run played any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockstep: Option<Lockstep>,
    /// What came of bursts of calls at the same time, in each weather, if the run played any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub races: Vec<Races>,
    /// Every requirement of the suite.
    pub requirements: BTreeMap<String, Status>,
    /// The end: without it a report is not whole.
    pub footer: Footer,
}

/// When and where a run was, and how to do it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFacts {
    /// The run; its profiles share it.
    pub id: String,
    /// When it began, by the clock of the suite's machine.
    pub started: String,
    /// From the begin of the first case to the end of the last one.
    pub duration_ms: u64,
    /// The commit of the working tree, if there is one.
    pub commit: Option<String>,
    /// True if the working tree had changes.
    pub dirty: bool,
    /// The seeds that chose what the run did.
    pub seeds: Vec<u64>,
    /// By how much limits were stretched.
    pub time_factor: f64,
    /// The command that does it again.
    pub reproduce: String,
    /// The machine.
    pub host: Host,
}

/// What was called, and what should have been and was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// How often each method answered with which code.
    pub methods: Hits,
    /// Goals of the suite that the run did not meet.
    pub goals_unmet: Vec<String>,
}

/// What a run says of one requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A case covers it and passed, and none found it broken.
    Verified,
    /// The backend lacks what it is about, and says so.
    Denied,
    /// A check found it broken.
    Violated,
    /// A declared deviation with its own check.
    Quirk,
    /// Cases cover it and none could judge.
    NotRun,
    /// No case covers it.
    Untested,
}

impl Status {
    /// The sign in tables.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Verified => "✅",
            Self::Denied => "⛔",
            Self::Violated => "❌",
            Self::Quirk => "⚠️",
            Self::NotRun => "◻",
            Self::Untested => "❔",
        }
    }
}

/// The end of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footer {
    /// Always true: a report is written as a whole or not at all.
    pub complete: bool,
    /// How many cases ended how.
    pub counts: Tally,
    /// What follows.
    pub verdict: Conclusion,
}

/// The verdict over a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Everything that can exist there ran and held.
    Certified,
    /// Nothing is broken, and something did not run.
    Partial,
    /// A case or a tape failed or could not be judged.
    Failed,
}

impl Conclusion {
    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Certified => 0,
            Self::Failed => 1,
            Self::Partial => 2,
        }
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Certified => "certified",
            Self::Partial => "partial",
            Self::Failed => "failed",
        })
    }
}

/// The files of the bursts of `run` that broke a rule: names and texts, two for each.
#[must_use]
pub fn burst_files(profile: &str, run: &Races) -> Vec<(String, String)> {
    let files = run.violations.iter().flat_map(|broken| {
        let name = races::file(profile, broken.seed);
        [(format!("{name}.json"), broken.burst.clone()), (format!("{name}.html"), broken.page.clone())]
    });
    files.collect()
}

impl Report {
    /// The same with what came of bursts; a rule that they found broken is violated.
    #[must_use]
    pub fn with_races(mut self, races: Vec<Races>) -> Self {
        self.footer.verdict = self.footer.verdict.max(races::conclusion(&races));
        self.requirements = races::with_violated(self.requirements, &races);
        self.races = races;
        self
    }

    /// The form that is committed: without the time that each case took, which is another in each run.
    #[must_use]
    pub fn published(mut self) -> Self {
        self.cases.iter_mut().for_each(|case| case.ms = None);
        self
    }

    /// The counts of the cases of `stem`.
    #[must_use]
    pub fn tally(&self, stem: &str) -> Tally {
        Tally::of(self.cases.iter().filter(|case| case.stem() == stem))
    }

    /// True if a case of `stem` was run, or could not be for another reason than that nobody asked for it.
    #[must_use]
    pub fn executed(&self, stem: &str) -> bool {
        self.cases.iter().any(|case| case.stem() == stem && case.was_executed())
    }

    /// True if all cases of the rule `id` need what cannot exist where this store lives.
    #[must_use]
    pub fn cannot_judge(&self, id: &str) -> bool {
        let mut covering = self.cases.iter().filter(|case| case.covers.iter().any(|covered| covered == id)).peekable();
        covering.peek().is_some() && covering.all(|case| matches!(case.outcome, Outcome::Ineligible { .. }))
    }

    /// Why the whole column could not be judged, if no server was found: the reason that all cases share.
    #[must_use]
    pub fn no_server(&self) -> Option<&str> {
        let first = self.cases.first()?.no_server()?;
        self.cases.iter().all(|case| case.no_server() == Some(first)).then_some(first)
    }
}

/// The worst exit code of several reports: a failure before a partial one.
#[must_use]
pub fn exit_code<'a>(reports: impl IntoIterator<Item = &'a Report>) -> u8 {
    reports.into_iter().map(|report| report.footer.verdict).max().map_or(0, Conclusion::exit_code)
}
