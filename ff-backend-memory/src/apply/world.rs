//! A world of one state, one clock and one mint, driven step by step.

use std::time::Duration;

use crate::{Answer, Op, Outcome, SeededMint, State, apply};
use ff_core::{
    CapabilitySet, ClaimPolicy, CreateExecutionArgs, ExecutionId, Handle, LaneId, LeaseEventKind, Limits, Namespace,
    ReleaseReason, TimestampMs, WorkerId, WorkerInstanceId,
};

/// The life of every lease that a world hands out.
pub(crate) const TTL_MS: i64 = 1000;

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: i64,
    mint: SeededMint,
}

impl World {
    pub(crate) fn of(state: State) -> Self {
        Self { state, now: 1_000_000, mint: SeededMint::new(7) }
    }

    pub(crate) fn new() -> Self {
        Self::of(State::new(Limits::of_partitions(1)))
    }

    pub(crate) fn apply(&mut self, op: &Op) -> Outcome {
        let now = self.at(0);
        apply(&mut self.state, op, now, &mut self.mint)
    }

    /// The instant `offset` milliseconds from now.
    pub(crate) fn at(&self, offset: i64) -> TimestampMs {
        TimestampMs::from_ms(self.now + offset)
    }

    pub(crate) fn create(&mut self, args: CreateExecutionArgs) {
        self.apply(&Op::CreateExecution(Box::new(args))).unwrap();
    }

    pub(crate) fn claim_with(&mut self, tokens: &[&str]) -> Option<Handle> {
        match self.apply(&claim_op(tokens)).unwrap() {
            Answer::Claim(handle) => handle,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn claim(&mut self) -> Option<Handle> {
        self.claim_with(&[])
    }

    pub(crate) fn lease_log(&self) -> Vec<(LeaseEventKind, u64, Option<ReleaseReason>)> {
        self.state.lease_events().map(|event| (event.kind, event.lease_epoch.0, event.reason)).collect()
    }
}

pub(crate) fn lane() -> LaneId {
    LaneId::try_new("mail").unwrap()
}

/// The id with the number `n`; ids order as their numbers.
pub(crate) fn id(n: u32) -> ExecutionId {
    format!("{{fp:0}}:00000000-0000-4000-8000-{n:012x}").parse().unwrap()
}

pub(crate) fn args(n: u32) -> CreateExecutionArgs {
    CreateExecutionArgs::new(id(n), Namespace::try_new("shop").unwrap(), lane(), "kind")
}

pub(crate) fn tokens(tokens: &[&str]) -> CapabilitySet {
    CapabilitySet::try_new(tokens.iter().copied()).unwrap()
}

pub(crate) fn claim_op(offered: &[&str]) -> Op {
    let policy = ClaimPolicy::new(
        WorkerId::try_new("w").unwrap(),
        WorkerInstanceId::try_new("w-1").unwrap(),
        Duration::from_millis(TTL_MS.unsigned_abs()),
    );
    Op::Claim { lane: lane(), capabilities: tokens(offered), policy }
}

/// The execution behind a handle.
pub(crate) fn taken(handle: Option<&Handle>) -> Option<ExecutionId> {
    handle.map(|handle| handle.decode("memory").unwrap().execution_id)
}
