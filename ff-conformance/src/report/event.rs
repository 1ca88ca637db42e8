//! How one case of one run ended, as its test writes it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use ff_core::Operation;
use serde::{Deserialize, Serialize};

use super::{Declared, Host, Profile, Stopwatch, SuiteFacts, files, time_factor};
use crate::{Call, Case, Control, Harness, Hits, Identity, Outcome, Recorder, Requirement, expect::excerpts};

/// The schema that an event names.
pub(crate) const SCHEMA: &str = "ff-conformance-event/v1";

/// What begins the reason of a case that no server was found for.
pub(crate) const NO_SERVER: &str = "no server";

/// How a case ended that nobody ran.
pub(crate) fn not_executed() -> Outcome {
    Outcome::NotRun { reason: "not executed".to_owned() }
}

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseReport {
    /// `stem::name`.
    pub case: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The requirements that it covers.
    pub covers: Vec<String>,
    /// How long it took, store included; a committed report does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// The operations that it called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Numbers that it noted, such as the round trips of an operation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measurements: BTreeMap<String, u64>,
    /// The last calls before it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Call>,
}

impl CaseReport {
    /// The report on `case` without any call.
    #[must_use]
    pub fn of(case: &Case, outcome: Outcome) -> Self {
        Self {
            case: case.path(),
            outcome,
            covers: case.covers.iter().map(|&id| id.to_owned()).collect(),
            ms: None,
            methods: Vec::new(),
            measurements: BTreeMap::new(),
            operations: Vec::new(),
        }
    }

    /// True if it called `op`.
    #[must_use]
    pub fn calls(&self, op: Operation) -> bool {
        self.methods.iter().any(|method| method == op.as_str())
    }

    /// True unless nobody ran it.
    #[must_use]
    pub fn was_executed(&self) -> bool {
        self.outcome != not_executed()
    }

    /// The stem of the case.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.case.split_once("::").map_or("", |(stem, _)| stem)
    }

    /// Why there was no server, if that is how it ended.
    #[must_use]
    pub fn no_server(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Errored { reason } if reason.starts_with(NO_SERVER) => Some(reason),
            _ => None,
        }
    }

    /// The outcome for a reader: what broke, what was expected, what came, every call, and how to see it again.
    #[must_use]
    pub fn text(&self, backend: &str, reproduce: &str) -> String {
        self.told(backend, reproduce, usize::MAX, usize::MAX)
    }

    /// The same for a terminal: the last calls only, and long values cut around what differs.
    #[must_use]
    pub fn brief(&self, backend: &str, reproduce: &str) -> String {
        self.told(backend, reproduce, 10, 240)
    }

    fn told(&self, backend: &str, reproduce: &str, calls: usize, most: usize) -> String {
        let case = &self.case;
        let mut text = match &self.outcome {
            Outcome::Passed => format!("{case} passed on {backend}"),
            Outcome::Denied { op } => format!("{case}: {backend} denies {op}"),
            Outcome::NotRun { reason } => format!("{case} did not run on {backend}: {reason}"),
            Outcome::Ineligible { reason } => format!("{case} cannot run on {backend}: {reason}"),
            Outcome::Errored { reason } => format!("{case} could not be judged on {backend}: {reason}"),
            Outcome::Failed { failure, .. } => {
                let rule = Requirement::find(&failure.requirement).map_or("", |requirement| requirement.text);
                let (wanted, got) = excerpts(&failure.expectation, &failure.got, most);
                format!(
                    "{case} violates {} on {backend}\n  rule      {rule}\n  checked   {}\n  expected  {wanted}\n  got       {got}\n  at        {}",
                    failure.requirement,
                    failure.subject,
                    failure.place.as_str(),
                )
            }
        };
        if !matches!(self.outcome, Outcome::Failed { .. } | Outcome::Errored { .. }) {
            return text;
        }
        if !self.operations.is_empty() {
            text.push_str("\n  calls, the last one last");
            let hidden = self.operations.len().saturating_sub(calls);
            if hidden > 0 {
                text.push_str(&format!("\n    … {hidden} more before"));
            }
            for operation in self.operations.iter().skip(hidden) {
                text.push_str(&format!("\n    {}", cut(&operation.to_string(), most)));
            }
        }
        text.push_str("\n  again     ");
        text.push_str(reproduce);
        text
    }
}

/// The begin and the end of a long text: a call and its answer.
fn cut(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let half: usize = most / 2;
    let begin: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(length - half).collect();
    format!("{begin} … {end}")
}

/// How one case of one run ended, with everything that a report needs to know about the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// `ff-conformance-event/v1`.
    pub schema: String,
    /// The run.
    pub run: String,
    /// When the case began, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// By how much limits were stretched.
    pub time_factor: f64,
    /// The machine.
    pub host: Host,
    /// The suite that judged.
    pub suite: SuiteFacts,
    /// Who was judged.
    pub identity: Identity,
    /// On what.
    pub profile: Profile,
    /// What the backend says of itself; absent if no client was made.
    pub declared: Option<Declared>,
    /// How it ended.
    pub case: CaseReport,
    /// How often each method answered with which code.
    pub methods: Hits,
}

impl Event {
    /// The event of a case that ended like `case`.
    #[must_use]
    pub(crate) fn of(
        harness: &dyn Harness,
        case: CaseReport,
        recorder: &Recorder,
        controls: &[Control],
        watch: &Stopwatch,
    ) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            run: files::run_id(),
            started_ms: watch.started_ms(),
            time_factor: time_factor(),
            host: Host::current(),
            suite: SuiteFacts::current(),
            identity: harness.identity(),
            profile: Profile::of(harness.environment(), controls),
            declared: recorder.declared().as_ref().map(Declared::of),
            case,
            methods: recorder.hits(),
        }
    }

    /// The event of a case that no server was found for; `text` says what was tried and what to do.
    #[must_use]
    pub fn no_server(harness: &dyn Harness, case: &Case, text: &str) -> Self {
        let reason = format!("{NO_SERVER}: {text}");
        Self::of(
            harness,
            CaseReport::of(case, Outcome::Errored { reason }),
            &Recorder::default(),
            &[],
            &Stopwatch::start(),
        )
    }

    /// Writes the event below `folder`, as `<profile>/<run>/<stem>.<case>.json`, and returns the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        let name = format!("{}.json", self.case.case.replace("::", "."));
        let file = folder.join(&self.profile.id).join(&self.run).join(name);
        let mut text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        text.push('\n');
        files::write_file(&file, &text)?;
        Ok(file)
    }
}
