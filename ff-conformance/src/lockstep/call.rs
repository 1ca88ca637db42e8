//! One call of a tape, of whatever stem.

use ff_backend_memory::Op;
use ff_core::{Operation, Stem, TimestampMs};
use serde::{Deserialize, Serialize};

use super::{
    attempts::AttemptsCall, claims::ClaimsCall, draw::Draw, executions::ExecutionsCall, leases::LeasesCall,
    names::Unresolved, refs::Book, scanners::ScannersCall, waitpoints::WaitpointsCall,
};

/// A call that names what earlier steps returned by the numbers of those steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Call {
    Executions(ExecutionsCall),
    Attempts(AttemptsCall),
    Leases(LeasesCall),
    Claims(ClaimsCall),
    Scanners(ScannersCall),
    Waitpoints(WaitpointsCall),
}

impl Call {
    /// The operation with what the steps before have returned; instants count from `now`.
    pub(super) fn resolve(&self, book: &Book, now: TimestampMs) -> Result<Op, Unresolved> {
        match self {
            Self::Executions(call) => call.resolve(book, now),
            Self::Attempts(call) => call.resolve(book, now),
            Self::Leases(call) => call.resolve(book),
            Self::Claims(call) => call.resolve(book),
            Self::Scanners(call) => call.resolve(book),
            Self::Waitpoints(call) => call.resolve(book, now),
        }
    }

    /// The call that lets a store suspend.
    pub(super) const fn seed() -> Self {
        Self::Waitpoints(WaitpointsCall::seed())
    }

    /// A call of `op`, if there is something that it could be about.
    pub(super) fn draw(op: Operation, draw: &mut Draw<'_>) -> Option<Self> {
        match op.stem() {
            Stem::Executions => ExecutionsCall::draw(op, draw).map(Self::Executions),
            Stem::Attempts => AttemptsCall::draw(op, draw).map(Self::Attempts),
            Stem::Leases => LeasesCall::draw(op, draw).map(Self::Leases),
            Stem::Claims => ClaimsCall::draw(op, draw).map(Self::Claims),
            Stem::Scanners => ScannersCall::draw(op, draw).map(Self::Scanners),
            Stem::Waitpoints => WaitpointsCall::draw(op, draw).map(Self::Waitpoints),
            // What these tell is compared after the steps, and the ends of clients are cases of their own.
            Stem::Backend | Stem::Subscriptions => None,
        }
    }
}
