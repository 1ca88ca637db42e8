//! What earlier steps returned, by the number of the step: leases, grants, waitpoints and places of scans.

use std::{collections::BTreeMap, fmt, str::FromStr};

use ff_backend_memory::{Answer, Op};
use ff_core::{
    AttemptIndex, BackendTag, ClaimExecutionResult, ClaimForWorkerOutcome, ClaimGrant, ExecutionId, Handle, HandleKind,
    HandlePayload, LeaseEpoch, ScanCursor, SuspendOutcome, WaitpointId, WaitpointToken,
};
use serde::{Deserialize, Serialize};

use super::names::{NOBODY, Unresolved, malformed};

/// In what way something is not what the step returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bend {
    /// Its last byte, or that of its token, is missing.
    Truncated,
    /// Another backend has given it, or another key has signed it.
    Foreign,
    /// Its lease, the key of the grant or the waitpoint is another.
    OtherId,
    /// Its epoch is one more.
    OtherEpoch,
    /// Its attempt is another.
    OtherAttempt,
    /// The index of its attempt is one more.
    OtherIndex,
    /// Its execution is another, which nobody has created.
    OtherExecution,
}

impl Bend {
    const ALL: [Self; 7] = [
        Self::Truncated,
        Self::Foreign,
        Self::OtherId,
        Self::OtherEpoch,
        Self::OtherAttempt,
        Self::OtherIndex,
        Self::OtherExecution,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Foreign => "foreign",
            Self::OtherId => "other_id",
            Self::OtherEpoch => "other_epoch",
            Self::OtherAttempt => "other_attempt",
            Self::OtherIndex => "other_index",
            Self::OtherExecution => "other_execution",
        }
    }
}

/// A step of the tape, and which of the things that it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) step: u32,
    pub(super) item: u32,
    pub(super) bend: Option<Bend>,
}

impl Place {
    pub(super) const fn of(step: u32, item: u32) -> Self {
        Self { step, item, bend: None }
    }

    fn show(&self, kind: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{kind}#{}", self.step)?;
        if self.item > 0 {
            write!(f, ".{}", self.item)?;
        }
        self.bend.map_or(Ok(()), |bend| write!(f, "/{}", bend.as_str()))
    }

    /// Reads `lease#3`, `lease#3.1` and `lease#3.1/truncated`.
    fn read(text: &str, kind: &str) -> Option<Self> {
        let rest = text.strip_prefix(kind)?.strip_prefix('#')?;
        let (place, bend) = rest.split_once('/').map_or((rest, None), |(place, bend)| (place, Some(bend)));
        let (step, item) = place.split_once('.').unwrap_or((place, "0"));
        let known = |name: &str| Bend::ALL.into_iter().find(|bend| bend.as_str() == name);
        let bend = match bend {
            Some(name) => Some(known(name)?),
            None => None,
        };
        Some(Self { step: step.parse().ok()?, item: item.parse().ok()?, bend })
    }
}

/// The step that a text of a tape refers to, if it does.
pub(super) fn step_of(text: &str) -> Option<u32> {
    ["lease", "grant", "scan", "door"].into_iter().find_map(|kind| Place::read(text, kind)).map(|place| place.step)
}

macro_rules! refs {
    ($($(#[$doc:meta])* $name:ident $kind:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(pub(super) Place);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.show($kind, f)
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Place::read(text, $kind).map(Self).ok_or_else(|| format!("{text:?}: the form is {}#3", $kind))
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    )* };
}

refs! {
    /// A lease that a step returned.
    LeaseRef "lease";
    /// A grant that a step returned.
    GrantRef "grant";
    /// Where the pass of a step stopped.
    ScanRef "scan";
    /// A waitpoint that a step opened.
    DoorRef "door";
}

/// What the steps of a tape have returned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    label: String,
    pub(super) leases: BTreeMap<(u32, u32), Handle>,
    pub(super) grants: BTreeMap<u32, ClaimGrant>,
    pub(super) scans: BTreeMap<u32, ScanCursor>,
    pub(super) doors: BTreeMap<(u32, u32), Door>,
}

/// A waitpoint, and what lets in there.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(super) execution_id: ExecutionId,
    pub(super) waitpoint_id: WaitpointId,
    pub(super) token: WaitpointToken,
}

impl Book {
    /// The empty book of a store of the backend called `label`.
    pub(super) fn new(label: &str) -> Self {
        Self { label: label.to_owned(), ..Self::default() }
    }

    /// Notes what step `n` returned.
    pub(super) fn note(&mut self, n: u32, op: &Op, answer: &Answer) {
        match answer {
            Answer::Suspend(outcome) => self.note_suspend(n, op, outcome),
            Answer::CreateWaitpoint(pending) => {
                let Some(execution_id) = self.execution_of(op) else { return };
                let door = Door { execution_id, waitpoint_id: pending.waitpoint_id, token: pending.hmac_token.clone() };
                self.doors.insert((n, 0), door);
            }
            Answer::Claim(Some(handle)) | Answer::ClaimExecution(ClaimExecutionResult::Claimed(handle)) => {
                self.leases.insert((n, 0), handle.clone());
            }
            Answer::ClaimMany(handles) => {
                self.leases.extend((0..).zip(handles).map(|(item, handle)| ((n, item), handle.clone())));
            }
            Answer::ClaimForWorker(ClaimForWorkerOutcome::Granted(grant)) => {
                self.grants.insert(n, grant.clone());
            }
            Answer::Scan(report) => {
                self.scans.extend(report.next_cursor.clone().map(|cursor| (n, cursor)));
            }
            _ => {}
        }
    }

    /// The waitpoints of a suspension, and its receipt in the place of a lease.
    fn note_suspend(&mut self, n: u32, op: &Op, outcome: &SuspendOutcome) {
        let Some(execution_id) = self.execution_of(op) else { return };
        let details = match outcome {
            SuspendOutcome::Suspended { details, handle } => {
                self.leases.insert((n, 0), handle.clone());
                details
            }
            SuspendOutcome::AlreadySatisfied { details } => details,
        };
        let primary = (details.waitpoint_id, &details.waitpoint_token);
        let others = details.additional_waitpoints.iter().map(|one| (one.waitpoint_id, &one.waitpoint_token));
        for (item, (waitpoint_id, token)) in (0..).zip([primary].into_iter().chain(others)) {
            self.doors.insert((n, item), Door { execution_id, waitpoint_id, token: token.clone() });
        }
    }

    /// Whose waitpoints an operation opens.
    fn execution_of(&self, op: &Op) -> Option<ExecutionId> {
        match op {
            Op::Suspend { handle, .. } | Op::CreateWaitpoint { handle, .. } => {
                self.read(handle).map(|held| held.execution_id)
            }
            Op::SuspendByTriple { id, .. } => Some(*id),
            _ => None,
        }
    }

    pub(super) fn door(&self, of: DoorRef) -> Result<Door, Unresolved> {
        let mut door = self.doors.get(&(of.0.step, of.0.item)).cloned().ok_or(Unresolved::Dangling)?;
        let text = door.token.expose();
        match of.0.bend {
            Some(Bend::Truncated) => {
                door.token = WaitpointToken::new(text.split_at_checked(text.len() - 1).map_or("", |(head, _)| head));
            }
            Some(Bend::Foreign) => door.token = WaitpointToken::new(format!("x{text}")),
            Some(Bend::OtherExecution) => door.execution_id = NOBODY.id()?,
            Some(_) => door.waitpoint_id = other(&door.waitpoint_id)?,
            None => {}
        }
        Ok(door)
    }

    /// What a handle of this store says.
    pub(super) fn read(&self, handle: &Handle) -> Option<HandlePayload> {
        handle.decode(&self.label).ok()
    }

    pub(super) fn lease(&self, of: LeaseRef) -> Result<Handle, Unresolved> {
        let handle = self.leases.get(&(of.0.step, of.0.item)).ok_or(Unresolved::Dangling)?;
        let Some(bend) = of.0.bend else { return Ok(handle.clone()) };
        let mut held = handle.decode(&self.label).map_err(malformed)?;
        let tag = BackendTag::try_new(self.label.as_str()).map_err(malformed)?;
        match bend {
            Bend::Truncated => {
                let bytes = handle.opaque().split_last().map(|(_, head)| head.to_vec()).unwrap_or_default();
                return Ok(Handle::from_parts(tag, handle.kind(), bytes));
            }
            Bend::Foreign => return Ok(held.seal(BackendTag::try_new("elsewhere").map_err(malformed)?, handle.kind())),
            Bend::OtherId => held.fence.lease_id = other(&held.fence.lease_id)?,
            Bend::OtherEpoch => held.fence.lease_epoch = LeaseEpoch(held.fence.lease_epoch.0 + 1),
            Bend::OtherAttempt => held.fence.attempt_id = other(&held.fence.attempt_id)?,
            Bend::OtherIndex => held.attempt_index = AttemptIndex(held.attempt_index.0 + 1),
            Bend::OtherExecution => held.execution_id = NOBODY.id()?,
        }
        Ok(held.seal(tag, HandleKind::Fresh))
    }

    pub(super) fn grant(&self, of: GrantRef) -> Result<ClaimGrant, Unresolved> {
        let mut grant = self.grants.get(&of.0.step).cloned().ok_or(Unresolved::Dangling)?;
        if of.0.bend.is_some() {
            grant.grant_key = other(&grant.grant_key)?;
        }
        Ok(grant)
    }

    pub(super) fn scan(&self, of: ScanRef) -> Result<ScanCursor, Unresolved> {
        let cursor = self.scans.get(&of.0.step).cloned().ok_or(Unresolved::Dangling)?;
        let cut = |cursor: &ScanCursor| ScanCursor::from_text(cursor.as_str().get(1..).unwrap_or_default());
        Ok(if of.0.bend.is_some() { cut(&cursor) } else { cursor })
    }
}

/// Another id, which nobody has.
fn other<T: FromStr + fmt::Display>(id: &T) -> Result<T, Unresolved> {
    let mut text = id.to_string();
    let last = if text.pop() == Some('0') { '1' } else { '0' };
    text.push(last);
    text.parse().map_err(|_| Unresolved::Malformed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_come_back_from_their_text() {
        for text in ["lease#3", "lease#3.1", "lease#30.2/truncated", "lease#0/other_epoch"] {
            assert_eq!(text.parse::<LeaseRef>().unwrap().to_string(), text);
            assert!(text.parse::<GrantRef>().is_err());
        }
        for text in ["lease", "lease#", "lease#x", "lease#1/crooked", "lease#1."] {
            assert!(text.parse::<LeaseRef>().is_err(), "{text}");
        }
        assert_eq!((step_of("grant#7"), step_of("scan#8/foreign"), step_of("grants")), (Some(7), Some(8), None));
    }
}
