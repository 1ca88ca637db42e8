//! How a case ends.

use std::panic::Location;

use ff_core::EngineError;
use serde::{Deserialize, Serialize};

use crate::HarnessError;

/// What a case answers: `Ok` after its last check held.
pub type Verdict = Result<(), Stop>;

/// Why a case ended before its last check held.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// A check did not hold: the backend breaks a requirement.
    Failed(Box<Failure>),
    /// A call that leads up to a check was refused: the backend fails the case's first requirement.
    Refused(EngineError, Place),
    /// The harness failed: nothing is said about the backend.
    Errored(String),
    /// A control that the case needs is not there.
    NotRun(String),
    /// What the case needs cannot exist where the store lives; the case does not count.
    Ineligible(String),
}

/// A place in the source of the suite, `leases.rs:40`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(String);

impl Place {
    /// The place of the caller.
    #[must_use]
    #[track_caller]
    pub fn here() -> Self {
        let place = Location::caller();
        let file = place.file().rsplit(['/', '\\']).next().unwrap_or_default();
        Self(format!("{file}:{}", place.line()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A check that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The requirement that the check names.
    pub requirement: String,
    /// What was checked, as it stands in the source.
    pub subject: String,
    /// What was expected.
    pub expectation: String,
    /// What came.
    pub got: String,
    /// Where the check stands.
    pub place: Place,
}

impl From<HarnessError> for Stop {
    fn from(error: HarnessError) -> Self {
        Self::Errored(error.to_string())
    }
}

impl From<EngineError> for Stop {
    #[track_caller]
    fn from(error: EngineError) -> Self {
        Self::Refused(error, Place::here())
    }
}
