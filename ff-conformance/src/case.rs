//! What the registry lists: cases and requirements.

use ff_core::{Capability, Operation};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::{CASES, Control, Cx, REQUIREMENTS, Topology, Verdict};

/// One case of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The concept it belongs to, and the file it stands in.
    pub stem: &'static str,
    /// Its name, a sentence.
    pub name: &'static str,
    /// What it shows, in one sentence.
    pub summary: &'static str,
    /// The requirements that it checks; the first one is broken when a call that leads up to a check is refused.
    pub covers: &'static [&'static str],
    /// What the backend must be able to do.
    pub needs: &'static [Capability],
    /// What the suite must be able to do to the store.
    pub controls: &'static [Control],
    /// The case itself.
    pub run: for<'a> fn(&'a Cx) -> BoxFuture<'a, Verdict>,
}

impl Case {
    /// The case called `stem::name`.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        let (stem, name) = path.split_once("::")?;
        CASES.iter().find(|case| case.stem == stem && case.name == name)
    }

    /// The name in reports: `stem::name`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}::{}", self.stem, self.name)
    }
}

/// How binding a requirement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Every backend does so.
    Must,
    /// A backend does so unless it names a reason.
    Should,
    /// A backend may do so.
    May,
}

/// One rule of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its id, `FF-LSE-004`; never used for another rule.
    pub id: &'static str,
    /// How binding it is.
    pub level: Level,
    /// The rule.
    pub text: &'static str,
}

/// The refusals that the docs of an operation list; a whole run sees each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// The operation.
    pub op: Operation,
    /// Their codes, or families where the docs name no more.
    pub codes: &'static [&'static str],
}

/// What no run sees, and why: a line of `ineligible.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemption {
    /// The operation.
    pub op: Operation,
    /// The refusal; the whole operation without it.
    pub code: Option<&'static str>,
    /// Where it cannot be seen; nowhere without it.
    pub topology: Option<Topology>,
    /// Why.
    pub reason: &'static str,
}

impl Requirement {
    /// The requirement of that id.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        REQUIREMENTS.iter().find(|requirement| requirement.id == id)
    }
}
