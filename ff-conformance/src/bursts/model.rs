//! The executable specification as the model of a burst: what one thread would see, and what it would tell.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use ff_backend_memory::{Answer, Interval, Judgement, Obs, Op, State, StoredExecution, accept_passing};
use ff_core::{CapabilitySet, ClaimForWorkerOutcome, ExecutionId, Handle, LifecyclePhase, TimestampMs};

use super::record::Told;
use crate::linear::Model;

/// A call as the model takes it.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// An operation, and what a claim may pass over.
    Call { op: Box<Op>, obs: Box<Obs>, over: Over },
    /// The clock was moved.
    Clock(TimestampMs),
    /// All events were read.
    Read,
}

/// What a claim may pass over, because calls that it overlaps are about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Over {
    /// Everything: the claim took nothing, and its answer was lost.
    All,
    /// Some of it.
    Some {
        /// Executions that another call names.
        named: Vec<ExecutionId>,
        /// Other claims: what their worker offers, and how many executions they may hold.
        claims: Vec<(CapabilitySet, usize)>,
    },
}

/// A store, and where its clock stands.
#[derive(Clone)]
pub(super) struct World {
    pub(super) state: State,
    pub(super) now: TimestampMs,
    /// How many events of each execution were told: leases, completions, operators, signals.
    told: BTreeMap<ExecutionId, [usize; 4]>,
}

impl World {
    pub(super) const fn new(state: State, now: TimestampMs) -> Self {
        Self { state, now, told: BTreeMap::new() }
    }
}

/// What was told is a prefix of the log, execution by execution: as long as the counts are equal, so are the events.
impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.now == other.now
            && self.told == other.told
            && self.state.keyring() == other.state.keyring()
            && self.state.executions().eq(other.state.executions())
    }
}

/// The specification beside the log of a burst.
pub(super) struct Spec<'a> {
    label: &'static str,
    log: &'a BTreeMap<ExecutionId, Told>,
}

impl<'a> Spec<'a> {
    pub(super) const fn new(label: &'static str, log: &'a BTreeMap<ExecutionId, Told>) -> Self {
        Self { label, log }
    }

    /// The states after a call, whatever is told of it; or what the call should have answered.
    fn outcomes(&self, world: &World, op: &Op, obs: &Obs, over: &Over) -> Result<Vec<State>, String> {
        let (mut found, mut objection) = (Vec::new(), None);
        for left in over.left(world, op) {
            match self.outcomes_leaving(world, op, obs, over, &left) {
                Ok(states) => found.extend(states),
                Err(expected) => drop(objection.get_or_insert(expected)),
            }
        }
        objection.filter(|_| found.is_empty()).map_or(Ok(found), Err)
    }

    /// The same where a claim leaves some of what has ended by time alone as it is.
    fn outcomes_leaving(
        &self,
        world: &World,
        op: &Op,
        obs: &Obs,
        over: &Over,
        left: &[ExecutionId],
    ) -> Result<Vec<State>, String> {
        let mut passed = Vec::new();
        loop {
            match accept_passing(&world.state, op, obs, Interval::at(world.now), &passed, left) {
                Judgement::Legal(states) => return Ok(states),
                Judgement::Illegal { expected } => {
                    let first = expected.first().and_then(|outcome| self.first_taken(outcome.as_ref().ok()?));
                    match first.filter(|first| !passed.contains(first) && over.allows(world, &passed, *first)) {
                        Some(first) => passed.push(first),
                        None => return Err(format!("{expected:?}")),
                    }
                }
            }
        }
    }

    /// What a claim would have taken.
    fn first_taken(&self, answer: &Answer) -> Option<ExecutionId> {
        let of = |handle: &Handle| handle.decode(self.label).ok().map(|held| held.execution_id);
        match answer {
            Answer::Claim(handle) => of(handle.as_ref()?),
            Answer::ClaimForWorker(ClaimForWorkerOutcome::Granted(grant)) => Some(grant.execution_id),
            _ => None,
        }
    }

    /// The events of a state, if the log begins with them.
    fn told(&self, state: &State) -> Option<BTreeMap<ExecutionId, [usize; 4]>> {
        let mut told: BTreeMap<ExecutionId, [usize; 4]> = BTreeMap::new();
        for event in state.lease_events() {
            let count = &mut told.entry(event.execution_id).or_default()[0];
            self.log.get(&event.execution_id)?.leases.get(*count).filter(|logged| **logged == event)?;
            *count += 1;
        }
        for event in state.completion_events() {
            let count = &mut told.entry(event.execution_id).or_default()[1];
            self.log.get(&event.execution_id)?.completions.get(*count).filter(|logged| **logged == event)?;
            *count += 1;
        }
        for event in state.operator_events() {
            let count = &mut told.entry(event.execution_id).or_default()[2];
            self.log.get(&event.execution_id)?.operators.get(*count).filter(|logged| **logged == event)?;
            *count += 1;
        }
        for event in state.signal_events() {
            let count = &mut told.entry(event.execution_id).or_default()[3];
            self.log.get(&event.execution_id)?.signals.get(*count).filter(|logged| **logged == event)?;
            *count += 1;
        }
        Some(told)
    }

    /// Why a call cannot have been next, for a reader.
    pub(super) fn objection(&self, world: &World, step: &Step) -> String {
        match step {
            Step::Call { op, obs, over } => match self.outcomes(world, op, obs, over) {
                Err(expected) => format!("the specification answers {expected}"),
                Ok(states) if states.iter().all(|state| self.told(state).is_none()) => {
                    "the answer is right, and the log does not tell of it in this place".to_owned()
                }
                Ok(_) => "nothing: what follows it is wrong".to_owned(),
            },
            Step::Clock(_) => "nothing: what follows it is wrong".to_owned(),
            Step::Read => format!("the log tells of other events than the {:?} that were told", world.told),
        }
    }
}

/// Executions of which a claim may leave any as they are; of more, it leaves none or all.
const MOST_LEFT: usize = 3;

impl Over {
    /// What a claim may leave as it is of what has ended by time alone, in every way: it may be held, or be written down
    /// by another.
    fn left(&self, world: &World, op: &Op) -> Vec<Vec<ExecutionId>> {
        if !matches!(op, Op::Claim { .. } | Op::ClaimForWorker(_) | Op::CompleteAndClaim { .. }) {
            return vec![Vec::new()];
        }
        let has_ended = |row: &&StoredExecution| {
            row.record.state.lifecycle_phase != LifecyclePhase::Terminal
                && row.record.state_at(world.now).lifecycle_phase == LifecyclePhase::Terminal
        };
        let ended = world.state.executions().filter(has_ended).map(|row| row.record.execution_id);
        let ended: Vec<_> = ended.filter(|id| self.allows(world, &[], *id)).collect();
        if ended.len() > MOST_LEFT {
            return vec![Vec::new(), ended];
        }
        let ways = (0..1_usize << ended.len()).map(|way| {
            let is_left = |(place, id): (usize, &ExecutionId)| (way >> place & 1 == 1).then_some(*id);
            ended.iter().enumerate().filter_map(is_left).collect()
        });
        ways.collect()
    }

    /// Whether the claim may pass over `id` as well.
    fn allows(&self, world: &World, passed: &[ExecutionId], id: ExecutionId) -> bool {
        let Self::Some { named, claims } = self else { return true };
        let row = |id: &ExecutionId| world.state.execution(id);
        // What has fallen due is written down by whichever claim comes first, as much of it as there is.
        let is_free = |id: &ExecutionId| {
            named.contains(id) || (!claims.is_empty() && row(id).is_some_and(|row| !row.place.ready))
        };
        let held: Vec<_> = passed.iter().chain([&id]).filter(|id| !is_free(id)).filter_map(row).collect();
        let covered = |(offered, most): &(CapabilitySet, usize)| {
            held.iter().filter(|row| offered.covers(&row.required)).count().min(*most)
        };
        held.is_empty() || claims.iter().map(covered).sum::<usize>() >= held.len()
    }
}

impl Model for Spec<'_> {
    type State = World;
    type Call = Step;

    fn step(&self, world: &World, step: &Step) -> Vec<World> {
        match step {
            Step::Call { op, obs, over } => {
                let states = self.outcomes(world, op, obs, over).unwrap_or_default();
                let seen = |state: State| Some(World { told: self.told(&state)?, state, now: world.now });
                states.into_iter().filter_map(seen).collect()
            }
            Step::Clock(now) => vec![World { now: *now, ..world.clone() }],
            Step::Read => {
                let counted = |id| world.told.get(id).copied().unwrap_or_default();
                let is_whole = self.log.iter().all(|(id, told)| counted(id) == told.counts());
                if is_whole { vec![world.clone()] } else { Vec::new() }
            }
        }
    }

    fn is_silent(&self, step: &Step) -> bool {
        match step {
            Step::Call { op, obs, .. } => matches!(**obs, Obs::Answered(Err(_))) || op.is_read(),
            Step::Clock(_) | Step::Read => false,
        }
    }

    fn digest(&self, world: &World) -> u64 {
        let mut hasher = DefaultHasher::new();
        world.now.as_ms().hash(&mut hasher);
        world.told.hash(&mut hasher);
        world.state.keyring().version.hash(&mut hasher);
        for row in world.state.executions() {
            row.record.execution_id.hash(&mut hasher);
            row.record.lease_epoch.0.hash(&mut hasher);
            row.record.priority.hash(&mut hasher);
            row.place.ready.hash(&mut hasher);
            row.mailbox.waitpoints.len().hash(&mut hasher);
            row.mailbox.signals.len().hash(&mut hasher);
        }
        hasher.finish()
    }
}
