//! The arguments of a drawn call, from what the store holds at that point of the tape.

use ff_backend_memory::{State, StoredExecution};
use ff_core::{AttemptState, CapabilitySet, ClaimGrant, EngineError, TimestampMs};

use super::{
    dice::Dice,
    names::{Exec, Lane, Space, Worker},
    refs::{Bend, Book, GrantRef, LeaseRef, Place},
};

/// What a call is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// To succeed.
    Enabled,
    /// To be refused for the state that the store is in.
    Refused,
    /// To be refused whatever the store holds.
    Junk,
}

/// In what ways a lease is another that nobody has.
const BENT: [Bend; 5] = [Bend::OtherId, Bend::OtherEpoch, Bend::OtherAttempt, Bend::OtherIndex, Bend::OtherExecution];

/// Numbers of executions; a number says nothing about the order of creation.
const NUMBERS: u32 = 64;

/// One call under way.
pub(super) struct Draw<'a> {
    pub(super) dice: &'a mut Dice,
    pub(super) state: &'a State,
    pub(super) book: &'a Book,
    pub(super) now: TimestampMs,
    pub(super) intent: Intent,
    /// Executions beyond which no further one is created.
    pub(super) most: usize,
}

impl Draw<'_> {
    pub(super) fn is_junk(&self) -> bool {
        self.intent == Intent::Junk
    }

    /// True if an argument of a call that shall be junk is spoilt: not all are at once.
    pub(super) fn spoils(&mut self) -> bool {
        self.is_junk() && self.dice.chance(50)
    }

    fn exec() -> impl Iterator<Item = Exec> {
        (0..NUMBERS).map(Exec)
    }

    fn row(&self, execution: Exec) -> Option<&StoredExecution> {
        self.state.execution(&execution.id().ok()?)
    }

    /// The executions that exist and are like that.
    pub(super) fn known(&self, is_so: impl Fn(&StoredExecution) -> bool) -> Vec<Exec> {
        Self::exec().filter(|execution| self.row(*execution).is_some_and(&is_so)).collect()
    }

    /// An execution that exists, or one that does not.
    pub(super) fn execution(&mut self) -> Exec {
        if self.is_junk() && self.dice.chance(50) {
            return Exec(Exec::FOREIGN);
        }
        let known = self.known(|_| true);
        let unknown = if self.intent == Intent::Enabled { 3 } else { 15 };
        if self.dice.chance(unknown) { self.new_number() } else { self.dice.one(&known).unwrap_or_default() }
    }

    /// An execution that does not exist, unless there are enough.
    pub(super) fn new_execution(&mut self) -> Exec {
        if self.state.executions().count() < self.most { self.new_number() } else { self.execution() }
    }

    fn new_number(&mut self) -> Exec {
        let free: Vec<_> = Self::exec().filter(|execution| self.row(*execution).is_none()).collect();
        self.dice.one(&free).unwrap_or_default()
    }

    pub(super) fn lane(&mut self) -> Lane {
        Lane(u8::from(self.dice.chance(20)))
    }

    pub(super) fn namespace(&mut self) -> Space {
        Space(u8::from(self.dice.chance(25)))
    }

    pub(super) fn worker(&mut self) -> Worker {
        Worker(self.dice.one(&[0, 1, 2, 3]).unwrap_or_default())
    }

    pub(super) fn offers(&mut self) -> CapabilitySet {
        let sets: [&[&str]; 5] = [&[], &["gpu"], &["eu", "gpu"], &["eu", "gpu"], &["eu"]];
        CapabilitySet::try_new(self.dice.one(&sets).unwrap_or_default().iter().copied()).unwrap_or_default()
    }

    pub(super) fn ttl_ms(&mut self) -> u64 {
        if self.spoils() { 0 } else { self.dice.number(1000, &[1, 100, 1000, 30_000]).unsigned_abs() }
    }

    pub(super) fn limit(&mut self) -> u32 {
        self.dice.one(&[0, 1, 2, 3, 1000]).unwrap_or(1)
    }

    /// What the handle of a lease meets at this point.
    fn fence(&self, place: (u32, u32)) -> Option<Result<(), EngineError>> {
        let held = self.book.read(self.book.leases.get(&place)?)?;
        Some(self.state.execution(&held.execution_id)?.record.check_fence(&held.fence, self.now))
    }

    /// A lease that a step has returned: one that is live where the call shall succeed.
    pub(super) fn lease(&mut self) -> Option<LeaseRef> {
        // One that works, or one of the few whose execution somebody else works on.
        let wanted = match self.intent {
            Intent::Enabled => self.dice.chance(92),
            Intent::Refused => self.dice.chance(60),
            Intent::Junk => false,
        };
        let fits = |place: &(u32, u32)| match self.fence(*place) {
            Some(Ok(())) => self.intent == Intent::Enabled,
            Some(Err(EngineError::State(_))) => self.intent == Intent::Refused,
            _ => false,
        };
        let mut places: Vec<_> = self.book.leases.keys().copied().collect();
        if wanted && places.iter().any(&fits) {
            places.retain(fits);
        } else if wanted && self.intent == Intent::Enabled {
            // Another operation has something that it could be about.
            return None;
        }
        // Mostly one of the last.
        let last = places.len().saturating_sub(5);
        let from = if self.dice.chance(80) { places.get(last..).unwrap_or_default() } else { &places[..] };
        let (step, item) = self.dice.one(from)?;
        let (bends, kinds): (_, &[Bend]) = match self.intent {
            Intent::Enabled => (0, &[]),
            Intent::Refused => (25, &BENT),
            Intent::Junk => (50, &[Bend::Truncated, Bend::Foreign]),
        };
        let bend = if self.dice.chance(bends) { self.dice.one(kinds) } else { None };
        Some(LeaseRef(Place { bend, ..Place::of(step, item) }))
    }

    /// The execution of a lease.
    pub(super) fn execution_of(&self, lease: LeaseRef) -> Option<Exec> {
        let held = self.book.read(self.book.leases.get(&(lease.0.step, lease.0.item))?)?;
        Self::exec().find(|execution| execution.id().is_ok_and(|id| id == held.execution_id))
    }

    /// A lease of that execution.
    pub(super) fn lease_of(&mut self, execution: Exec) -> Option<LeaseRef> {
        let id = execution.id().ok()?;
        let is_of = |handle| self.book.read(handle).is_some_and(|held| held.execution_id == id);
        let mut places: Vec<_> =
            self.book.leases.iter().filter(|(_, handle)| is_of(handle)).map(|(at, _)| *at).collect();
        if self.intent == Intent::Enabled {
            places.drain(..places.len().saturating_sub(1));
        }
        let (step, item) = self.dice.one(&places)?;
        Some(LeaseRef(Place::of(step, item)))
    }

    /// A grant that a step has returned, of an interrupted attempt where that is wanted, and the worker that it names as
    /// far as the store remembers.
    pub(super) fn grant(&mut self, interrupted: bool) -> Option<(GrantRef, Worker)> {
        let is_interrupted = |grant: &ClaimGrant| {
            let row = self.state.execution(&grant.execution_id);
            row.is_some_and(|row| row.record.state.attempt_state == AttemptState::AttemptInterrupted)
        };
        let mut steps: Vec<_> = self.book.grants.keys().copied().collect();
        if interrupted && self.dice.chance(80) && self.book.grants.values().any(is_interrupted) {
            steps.retain(|step| self.book.grants.get(step).is_some_and(is_interrupted));
        }
        let has_lapsed = |grant: &ClaimGrant| grant.expires_at.has_come(self.now);
        if self.intent == Intent::Refused && self.dice.chance(40) && self.book.grants.values().any(has_lapsed) {
            steps.retain(|step| self.book.grants.get(step).is_some_and(has_lapsed));
        }
        let last = steps.len().saturating_sub(2);
        let from = if self.dice.chance(80) { steps.get(last..).unwrap_or_default() } else { &steps[..] };
        let step = self.dice.one(from)?;
        let execution_id = self.book.grants.get(&step)?.execution_id;
        let stored = self.state.execution(&execution_id).and_then(|row| row.record.grant.as_ref());
        let is_named = |worker: &Worker| {
            worker.names().is_ok_and(|(_, process)| stored.is_some_and(|grant| grant.worker_instance_id == process))
        };
        let worker = (0..4).map(Worker).find(is_named).unwrap_or_default();
        let bends = if self.intent == Intent::Refused { 15 } else { 0 };
        let bend = self.dice.chance(bends).then_some(Bend::OtherId);
        Some((GrantRef(Place { bend, ..Place::of(step, 0) }), worker))
    }
}
