//! The few names that tapes use, so that their operations meet.

use std::fmt::Display;

use ff_core::{ClaimPolicy, EngineError, ExecutionId, LaneId, Namespace, TimestampMs, WorkerId, WorkerInstanceId};
use serde::{Deserialize, Serialize};

/// Why a call of a tape cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// It names what no step before has returned.
    Dangling,
    /// It is no call at all.
    Malformed(String),
}

/// An error of a constructor: the tape is at fault.
pub(super) fn malformed(error: impl Display) -> Unresolved {
    Unresolved::Malformed(error.to_string())
}

/// True for what a tape leaves out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An execution by number; from [`Exec::FOREIGN`] on it lies in a partition that no store has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Exec(pub(super) u32);

impl Exec {
    pub(super) const FOREIGN: u32 = 1000;

    pub(super) fn id(self) -> Result<ExecutionId, Unresolved> {
        let partition = if self.0 < Self::FOREIGN { 0 } else { u16::MAX };
        format!("{{fp:{partition}}}:00000000-0000-4000-8000-{:012x}", self.0).parse().map_err(malformed)
    }
}

/// An execution that no tape creates.
pub(super) const NOBODY: Exec = Exec(Exec::FOREIGN - 1);

/// A lane by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lane(pub(super) u8);

impl Lane {
    pub(super) fn id(self) -> Result<LaneId, Unresolved> {
        LaneId::try_new(format!("lane-{}", self.0)).map_err(malformed)
    }
}

/// A namespace by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Space(pub(super) u8);

impl Space {
    pub(super) fn name(self) -> Result<Namespace, Unresolved> {
        Namespace::try_new(format!("space-{}", self.0)).map_err(malformed)
    }
}

/// A worker process by number: two are of one worker each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Worker(pub(super) u8);

impl Worker {
    pub(super) fn names(self) -> Result<(WorkerId, WorkerInstanceId), Unresolved> {
        let (worker, process) = (self.0 / 2, self.0 % 2);
        let id = WorkerId::try_new(format!("worker-{worker}")).map_err(malformed)?;
        Ok((id, WorkerInstanceId::try_new(format!("worker-{worker}-{process}")).map_err(malformed)?))
    }

    pub(super) fn policy(self, ttl_ms: u64) -> Result<ClaimPolicy, Unresolved> {
        let (worker_id, worker_instance_id) = self.names()?;
        Ok(ClaimPolicy::new(worker_id, worker_instance_id, std::time::Duration::from_millis(ttl_ms)))
    }
}

/// The instant `offset_ms` from `now`.
pub(super) const fn from_now(now: TimestampMs, offset_ms: i64) -> TimestampMs {
    TimestampMs::from_ms(now.as_ms().saturating_add(offset_ms))
}

/// Bytes of every value, `count` of them.
pub(super) fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|at| u8::try_from(at.wrapping_mul(31).wrapping_add(count) % 256).unwrap_or_default()).collect()
}

/// A text that is too long for every field.
pub(super) fn text(text: &str) -> String {
    if text == TOO_LONG { "x".repeat(4097) } else { text.to_owned() }
}

/// What stands in a tape for a text that no field takes.
pub(super) const TOO_LONG: &str = "(too long)";

impl From<EngineError> for Unresolved {
    fn from(error: EngineError) -> Self {
        malformed(error)
    }
}
