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
    /// An operation that is not declared is denied in a wrong way, or not at all.
    Denial(FailureKind, Box<Failure>),
    /// The operation is not declared, and is denied as the contract wants it.
    Denied(String),
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

/// What kind of failure a report tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A check of the case did not hold, or a call that leads up to it was refused.
    Check,
    /// A declared capability is not there.
    FalseClaim,
    /// An operation that was denied works.
    UndeclaredSupport,
    /// A denied operation changed the store.
    DeniedWithEffect,
    /// A denied operation was refused in another way than `Unavailable`.
    WrongDenial,
    /// The case passed and left a state that no store may have.
    Invariant,
    /// A history that no order of its operations explains.
    History,
    /// A deviation that was declared does not exist any more.
    StaleQuirk,
}

/// How one case of one run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Every check held, and every invariant afterwards.
    Passed,
    /// The backend does not have the operation, says so, and refuses it as the contract wants.
    Denied {
        /// The operation.
        op: String,
    },
    /// The backend breaks a requirement.
    Failed {
        /// In what way.
        kind: FailureKind,
        /// What it breaks, and how that was seen.
        #[serde(flatten)]
        failure: Failure,
    },
    /// The suite or the harness failed; nothing is said about the backend.
    Errored {
        /// What happened.
        reason: String,
    },
    /// It could have run and did not.
    NotRun {
        /// Why.
        reason: String,
    },
    /// It needs what cannot exist where this store lives.
    Ineligible {
        /// What that is.
        reason: String,
    },
}

impl Outcome {
    /// The word that reports use.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Denied { .. } => "denied",
            Self::Failed { .. } => "failed",
            Self::Errored { .. } => "errored",
            Self::NotRun { .. } => "not_run",
            Self::Ineligible { .. } => "ineligible",
        }
    }
}
