//! What must hold after every case: predicates over what a store holds and tells, whatever way it came there.

mod attempts;
mod claims;
mod executions;
mod leases;
#[cfg(test)]
mod tests;
mod waitpoints;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use ff_core::{
    AttemptIndex, AttemptState, AttemptType, Capability, CompletionEvent, EngineBackend, ExecutionId, ExecutionInfo,
    ExecutionSnapshot, LaneId, LeaseHistoryEvent, LifecyclePhase, OperatorEvent, OperatorEventKind,
    PendingWaitpointInfo, PublicState, SignalDeliveryEvent, SuspendedExecutionEntry, TimestampMs,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{AttemptFacts, Cx, Dump, Expect, Stop, Verdict, check, cx::OBSERVER, satisfies};

/// Executions up to which all are read; beyond, a sample is.
const ALL_ARE_READ: usize = 200;
/// Executions of the sample.
const SAMPLE: usize = 50;
/// Executions up to which the walk is repeated with small pages.
const SMALL_WALK: usize = 50;

/// Checks all that can be told of a store after a case; it writes nothing.
///
/// What only a dump can show is not checked where there is none.
///
/// # Errors
/// `Stop::Failed` with the requirement that does not hold.
pub(crate) async fn check_all(cx: &Cx) -> Verdict {
    let client = cx.client(OBSERVER).await?;
    let before = dumped(cx).await?;
    let world = World::look(cx, &client, before).await?;
    let after = dumped(cx).await?;
    let moved = world.dump.as_ref().zip(after.as_ref()).and_then(|(before, after)| difference(before, after));
    check!(cx, "FF-EXE-010", moved, holds("reads write nothing", moved.is_none()));
    world.check(cx)
}

async fn dumped(cx: &Cx) -> Result<Option<Dump>, Stop> {
    match cx.controls().dump {
        Some(_) => cx.dump().await.map(Some),
        None => Ok(None),
    }
}

/// The first thing that one dump holds and the other does not.
fn difference(before: &Dump, after: &Dump) -> Option<String> {
    let lines: HashSet<&str> = before.lines.iter().map(String::as_str).collect();
    if let Some(line) = after.lines.iter().find(|line| !lines.contains(line.as_str())) {
        return Some(format!("new: {line}"));
    }
    (before != after).then(|| "something is gone or stands elsewhere".to_owned())
}

/// `holds` is true; the words say what it stands for.
fn holds<T>(words: &'static str, holds: bool) -> impl Expect<T> {
    satisfies(words, move |_: &T| holds)
}

/// What every read tells of one execution at one instant.
#[derive(Clone, Debug)]
struct Reads {
    info: ExecutionInfo,
    snapshot: ExecutionSnapshot,
    state: PublicState,
    result: Option<Vec<u8>>,
    /// Its open waitpoints, where the store has them.
    waitpoints: Option<Vec<PendingWaitpointInfo>>,
}

impl Reads {
    /// True if the time-out of its suspension has ended it.
    fn ended_suspended(&self) -> bool {
        let by_timeout =
            |text: &Option<String>| text.as_ref().is_some_and(|text| text.starts_with("suspension_timeout:"));
        by_timeout(&self.info.failure_reason) || by_timeout(&self.info.cancellation_reason)
    }
}

/// What a dump tells of one execution, oldest first.
#[derive(Clone, Debug, Default)]
struct History {
    leases: Vec<LeaseHistoryEvent>,
    completions: Vec<CompletionEvent>,
    operators: Vec<OperatorEvent>,
    attempts: Vec<AttemptFacts>,
    signals: Vec<SignalDeliveryEvent>,
    /// How far a later instant may lie before an earlier one.
    slack: Duration,
}

/// The latest run of an execution: what happened since it was created or last replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// It began with this attempt.
    Began(AttemptIndex),
    /// It has had no attempt.
    Unclaimed,
    /// It ended at the instant at which it was replayed, as far as the clock tells: it may have begun with this attempt
    /// or had none.
    Unclear(AttemptIndex),
}

impl History {
    /// The replays, oldest first.
    fn replays(&self) -> impl Iterator<Item = &OperatorEvent> {
        self.operators.iter().filter(|event| event.kind == OperatorEventKind::Replayed)
    }

    /// Leaves out what was told until an instant.
    fn forget(&mut self, until: TimestampMs) {
        self.leases.retain(|event| event.at > until);
        self.completions.retain(|event| event.at > until);
        self.operators.retain(|event| event.at > until);
        self.signals.retain(|event| event.at > until);
    }

    /// True if no end of the latest run was told.
    fn is_untold(&self) -> bool {
        self.completions.len() == self.replays().count()
    }

    /// The latest run of the execution of `info`.
    fn run(&self, info: &ExecutionInfo) -> Run {
        let begins =
            |attempt: &&AttemptFacts| matches!(attempt.attempt_type, AttemptType::Initial | AttemptType::Replay);
        let Some(first) = self.attempts.iter().rev().find(begins) else { return Run::Unclaimed };
        let Some(replay) = self.replays().last() else { return Run::Began(first.attempt_index) };
        if info.state.attempt_state == AttemptState::PendingReplayAttempt {
            Run::Unclaimed
        } else if info.state.lifecycle_phase != LifecyclePhase::Terminal
            || first.started_at > replay.at.plus(self.slack)
        {
            Run::Began(first.attempt_index)
        } else if first.started_at.plus(self.slack) < replay.at {
            Run::Unclaimed
        } else {
            Run::Unclear(first.attempt_index)
        }
    }
}

/// What a store holds and tells.
#[derive(Clone, Debug, Default)]
struct World {
    /// All executions, where the store lists them.
    ids: Option<Vec<ExecutionId>>,
    /// All lanes, where the store lists them.
    lanes: Option<Vec<LaneId>>,
    /// All suspended executions, where the store lists them.
    suspended: Option<Vec<SuspendedExecutionEntry>>,
    reads: Vec<Reads>,
    dump: Option<Dump>,
    /// The dump by execution.
    histories: HashMap<ExecutionId, History>,
    /// The store's now, if it stands still.
    now: Option<TimestampMs>,
    /// How far a later instant may lie before an earlier one.
    slack: Duration,
}

impl World {
    async fn look(cx: &Cx, client: &Arc<dyn EngineBackend>, dump: Option<Dump>) -> Result<Self, Stop> {
        let mut world = Self { slack: cx.stepped_back(), ..Self::default() };
        if let Some(clock) = &cx.controls().clock {
            world.now = Some(clock.now().await?);
        }
        if client.capabilities().supports.has(Capability::Listings) {
            world.ids = Some(executions::walk(cx, client).await?);
            world.lanes = Some(executions::walk_lanes(cx, client).await?);
        }
        if client.capabilities().supports.has(Capability::Waitpoints) {
            world.suspended = Some(waitpoints::walk(cx, client).await?);
        }
        world.take(dump);
        let known = world.ids.clone().unwrap_or_else(|| world.histories.keys().copied().collect());
        let step = if known.len() > ALL_ARE_READ { known.len().div_ceil(SAMPLE) } else { 1 };
        let still = world.now.is_some();
        let reads = known.into_iter().step_by(step).map(|id| read(cx, Arc::clone(client), id, still));
        world.reads = stream::iter(reads).buffered(4).try_collect().await?;
        world.forget(cx.removed_until());
        Ok(world)
    }

    /// Sorts a dump by execution.
    fn take(&mut self, dump: Option<Dump>) {
        let Some(dump) = dump else { return };
        for event in &dump.lease_history {
            self.histories.entry(event.execution_id).or_default().leases.push(event.clone());
        }
        for event in &dump.completions {
            self.histories.entry(event.execution_id).or_default().completions.push(event.clone());
        }
        for event in &dump.operator_events {
            self.histories.entry(event.execution_id).or_default().operators.push(event.clone());
        }
        for attempt in &dump.attempts {
            self.histories.entry(attempt.execution_id).or_default().attempts.push(attempt.clone());
        }
        for event in &dump.signal_deliveries {
            self.histories.entry(event.execution_id).or_default().signals.push(event.clone());
        }
        self.dump = Some(dump);
    }

    /// Leaves out the histories that the case let be removed, wholly or in part: also what an execution left behind whose
    /// id another one has now.
    fn forget(&mut self, until: TimestampMs) {
        if until > TimestampMs::from_ms(i64::MIN) {
            let last = until.plus(self.slack);
            self.reads.retain(|reads| reads.info.created_at > last.plus(self.slack));
            let kept: HashSet<_> = self.reads.iter().map(|reads| reads.info.execution_id).collect();
            self.histories.retain(|id, _| kept.contains(id));
            self.histories.values_mut().for_each(|history| history.forget(last));
        }
    }

    /// Every execution that was read, with its history; nothing without a dump.
    fn told(&self) -> impl Iterator<Item = (&Reads, History)> {
        let there = self.dump.is_some();
        self.reads.iter().filter(move |_| there).map(|reads| {
            let history = self.histories.get(&reads.info.execution_id).cloned().unwrap_or_default();
            (reads, History { slack: self.slack, ..history })
        })
    }

    /// True if `earlier` may have been written before `later`.
    fn in_order(&self, earlier: TimestampMs, later: TimestampMs) -> bool {
        earlier <= later.plus(self.slack)
    }

    fn check(&self, cx: &Cx) -> Verdict {
        executions::check(cx, self)?;
        attempts::check(cx, self)?;
        leases::check(cx, self)?;
        claims::check(cx, self)?;
        waitpoints::check(cx, self)
    }
}

/// All reads of one execution that must exist, at one instant.
async fn read(cx: &Cx, client: Arc<dyn EngineBackend>, id: ExecutionId, still: bool) -> Result<Reads, Stop> {
    // Where time goes on, a due instant may fall between two reads; they are repeated until none did.
    for _ in 0..MOST_LOOKS {
        let info = client.read_execution_info(&id).await?;
        let snapshot = client.describe_execution(&id).await?;
        let state = client.read_execution_state(&id).await?;
        let result = client.get_execution_result(&id).await?;
        if !still && client.read_execution_info(&id).await? != info {
            continue;
        }
        let found = (info.is_some(), snapshot.is_some(), state.is_some());
        check!(cx, "FF-EXE-004", (id, found), holds("every read finds it", found == (true, true, true)));
        if let (Some(info), Some(snapshot), Some(state)) = (info, snapshot, state) {
            let waitpoints = waitpoints::open(&client, &info).await?;
            return Ok(Reads { info, snapshot, state, result, waitpoints });
        }
    }
    Err(Stop::Errored(format!("{id} did not stand still for {MOST_LOOKS} looks")))
}

/// Looks at an execution that time changes meanwhile.
const MOST_LOOKS: u32 = 5;
