//! Suspended work in a tape: who waits for what, who signals it, and which key signs.

use std::{fmt::Display, str::FromStr, time::Duration};

use ff_backend_memory::{Op, StoredExecution};
use ff_core::{
    CompositeBody, CountKind, DeliverSignalArgs, Kid, ListPendingWaitpointsArgs, Operation, PageLimit, ResumeCondition,
    ResumeExecutionArgs, ResumePolicy, RotateWaitpointHmacSecretAllArgs, SeedWaitpointHmacSecretArgs, SignalId,
    SignalMatcher, SigningSecret, SuspendArgs, SuspendedCursor, SuspensionId, SuspensionReasonCode, TimeoutBehavior,
    TimestampMs, WaitpointBinding, WaitpointId, WaitpointRecord, WaitpointState,
};
use serde::{Deserialize, Serialize};

use super::{
    dice::Dice,
    draw::{Draw, Intent},
    names::{Exec, TOO_LONG, Unresolved, bytes, from_now, is_default, malformed, text},
    refs::{Bend, Book, DoorRef, LeaseRef, Place},
};
use crate::suspensions::BEHAVIORS;

/// A call of the stem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitpointsCall {
    Suspend(Box<Suspend>),
    SuspendByTriple(Box<Suspend>),
    CreateWaitpoint { lease: LeaseRef, key: String, life_ms: u64 },
    ObserveSignals(LeaseRef),
    DeliverSignal(Box<Deliver>),
    ResumeExecution { execution: Exec, reason: String, delay_ms: Option<u64> },
    ListSuspended { after: Option<(Exec, i64)>, limit: u32 },
    ListPendingWaitpoints { execution: Exec, after: Option<DoorRef>, limit: u32 },
    SeedWaitpointHmacSecret(Key),
    RotateWaitpointHmacSecretAll { key: Key, grace_ms: u64 },
}

/// The beginning of a suspension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Suspend {
    lease: LeaseRef,
    suspension: u8,
    waitpoints: Vec<Binding>,
    condition: ResumeCondition,
    #[serde(default, skip_serializing_if = "is_default")]
    reason: Option<SuspensionReasonCode>,
    #[serde(default, skip_serializing_if = "is_default")]
    timeout_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "is_default")]
    behavior: Option<TimeoutBehavior>,
    #[serde(default, skip_serializing_if = "is_default")]
    resume_delay_ms: Option<u64>,
    /// Asks for what no backend does: that the waitpoints stay open.
    #[serde(default, skip_serializing_if = "is_default")]
    leaves_open: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pointer: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    key: Option<String>,
}

/// A waitpoint of a suspension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Binding {
    /// A new one with this number and key.
    Fresh(u8, String),
    /// One that a step has opened.
    Pending(DoorRef),
}

/// A signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deliver {
    door: DoorRef,
    signal: u8,
    name: String,
    #[serde(default, skip_serializing_if = "is_default")]
    source: u8,
    #[serde(default, skip_serializing_if = "is_default")]
    payload_bytes: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    dedup_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    delay_ms: Option<u64>,
}

/// A key by number, with one of the secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key(u8, u8);

/// The keys of waitpoints; few, so that conditions and waitpoints meet.
const KEYS: [&str; 3] = ["a", "b", "c"];
/// The names of signals.
const NAMES: [&str; 2] = ["go", "stop"];
/// One byte more than the payload of a signal may have.
const TOO_MANY_BYTES: u32 = 64 * 1024 + 1;

/// The id with a number, of what callers name themselves.
fn numbered<T: FromStr<Err: Display>>(kind: u8, number: u8) -> Result<T, Unresolved> {
    format!("00000000-{kind:04x}-4000-8000-{number:012x}").parse().map_err(malformed)
}

/// The waitpoint with a number.
fn waitpoint_id(number: u8) -> Result<WaitpointId, Unresolved> {
    numbered(1, number)
}

impl Key {
    fn parts(self) -> Result<(Kid, SigningSecret), Unresolved> {
        Ok((Kid::try_new(format!("k{}", self.0))?, SigningSecret::from_bytes([self.1; 32])?))
    }

    /// A key that mostly has its own secret.
    fn draw(draw: &mut Draw<'_>) -> Self {
        let number = u8::try_from(draw.dice.below(3)).unwrap_or_default();
        let wrong = draw.intent != Intent::Enabled && draw.dice.chance(50);
        Self(number, if wrong { 99 } else { number + 1 })
    }
}

impl WaitpointsCall {
    pub(super) fn resolve(&self, book: &Book, now: TimestampMs) -> Result<Op, Unresolved> {
        Ok(match self {
            Self::Suspend(suspend) => {
                Op::Suspend { handle: book.lease(suspend.lease)?, args: Box::new(suspend.args(book, now)?) }
            }
            Self::SuspendByTriple(suspend) => {
                let held = book.read(&book.lease(suspend.lease)?).ok_or(Unresolved::Dangling)?;
                Op::SuspendByTriple {
                    id: held.execution_id,
                    fence: held.fence,
                    args: Box::new(suspend.args(book, now)?),
                }
            }
            Self::CreateWaitpoint { lease, key, life_ms } => Op::CreateWaitpoint {
                handle: book.lease(*lease)?,
                waitpoint_key: text(key),
                expires_in: Duration::from_millis(*life_ms),
            },
            Self::ObserveSignals(lease) => Op::ObserveSignals(book.lease(*lease)?),
            Self::DeliverSignal(deliver) => Op::DeliverSignal(Box::new(deliver.args(book)?)),
            Self::ResumeExecution { execution, reason, delay_ms } => {
                let args = ResumeExecutionArgs::new(execution.id()?, text(reason));
                Op::ResumeExecution(match delay_ms {
                    Some(ms) => args.resume_delay(Duration::from_millis(*ms)),
                    None => args,
                })
            }
            Self::ListSuspended { after, limit } => {
                let cursor = |(execution, ms): &(Exec, i64)| {
                    let suspended_at = from_now(now, *ms);
                    execution.id().map(|execution_id| SuspendedCursor { suspended_at, execution_id })
                };
                Op::ListSuspended { cursor: after.as_ref().map(cursor).transpose()?, limit: PageLimit::new(*limit)? }
            }
            Self::ListPendingWaitpoints { execution, after, limit } => {
                let after = after.map(|door| book.door(door)).transpose()?.map(|door| door.waitpoint_id);
                let args = ListPendingWaitpointsArgs::new(execution.id()?).after(after);
                Op::ListPendingWaitpoints(args.limit(PageLimit::new(*limit)?))
            }
            Self::SeedWaitpointHmacSecret(key) => {
                let (kid, secret) = key.parts()?;
                Op::SeedWaitpointHmacSecret(SeedWaitpointHmacSecretArgs::new(kid, secret))
            }
            Self::RotateWaitpointHmacSecretAll { key, grace_ms } => {
                let (kid, secret) = key.parts()?;
                let grace = Duration::from_millis(*grace_ms);
                Op::RotateWaitpointHmacSecretAll(RotateWaitpointHmacSecretAllArgs::new(kid, secret, grace))
            }
        })
    }

    /// The first key with its own secret.
    pub(super) const fn seed() -> Self {
        Self::SeedWaitpointHmacSecret(Key(0, 1))
    }

    /// A call of `op`; none if it is of another stem, or there is nothing that it could be about.
    pub(super) fn draw(op: Operation, draw: &mut Draw<'_>) -> Option<Self> {
        Some(match op {
            Operation::Suspend => Self::Suspend(Box::new(Suspend::draw(draw)?)),
            Operation::SuspendByTriple => Self::SuspendByTriple(Box::new(Suspend::draw(draw)?)),
            Operation::CreateWaitpoint => {
                // What a store without a key refuses has a lease that works.
                let lacks_key = draw.intent == Intent::Refused && draw.state.keyring().current.is_none();
                let live = if lacks_key { draw.live_lease() } else { None };
                let lease = live.or_else(|| draw.lease())?;
                let key = if draw.spoils() { TOO_LONG } else { draw.dice.one(&KEYS).unwrap_or("a") };
                let life_ms = if draw.spoils() { 0 } else { draw.dice.number(1000, &[1, 50, 60_000]).unsigned_abs() };
                Self::CreateWaitpoint { lease, key: key.to_owned(), life_ms }
            }
            Operation::ObserveSignals => Self::ObserveSignals(draw.lease()?),
            Operation::DeliverSignal => Self::DeliverSignal(Box::new(Deliver::draw(draw)?)),
            Operation::ResumeExecution => {
                let execution = draw.suspended();
                let reason = if draw.spoils() { TOO_LONG } else { "go on" };
                let delay_ms = draw.dice.maybe(30, |dice| dice.number(0, &[1, 500]).unsigned_abs());
                Self::ResumeExecution { execution, reason: reason.to_owned(), delay_ms }
            }
            Operation::ListSuspended => {
                let after = draw.dice.chance(50).then(|| (draw.execution(), draw.dice.number(0, &[-1, -100, -2000])));
                Self::ListSuspended { after, limit: draw.limit() }
            }
            Operation::ListPendingWaitpoints => {
                let execution = draw.execution();
                let after = if draw.dice.chance(40) { draw.door() } else { None };
                Self::ListPendingWaitpoints { execution, after, limit: draw.limit() }
            }
            Operation::SeedWaitpointHmacSecret => Self::SeedWaitpointHmacSecret(Key::draw(draw)),
            Operation::RotateWaitpointHmacSecretAll => {
                let grace_ms =
                    if draw.spoils() { u64::MAX } else { draw.dice.number(0, &[1, 500, 60_000]).unsigned_abs() };
                Self::RotateWaitpointHmacSecretAll { key: Key::draw(draw), grace_ms }
            }
            _ => return None,
        })
    }
}

impl Suspend {
    fn args(&self, book: &Book, now: TimestampMs) -> Result<SuspendArgs, Unresolved> {
        let bindings: Result<Vec<_>, Unresolved> = self
            .waitpoints
            .iter()
            .map(|binding| match binding {
                Binding::Fresh(number, key) => {
                    Ok(WaitpointBinding::Fresh { waitpoint_id: waitpoint_id(*number)?, waitpoint_key: text(key) })
                }
                Binding::Pending(door) => Ok(WaitpointBinding::pending(book.door(*door)?.waitpoint_id)),
            })
            .collect();
        let reason = self.reason.unwrap_or(SuspensionReasonCode::WaitingForSignal);
        let suspension: SuspensionId = numbered(2, self.suspension)?;
        let mut args = SuspendArgs::new(suspension, bindings?, self.condition.clone(), reason);
        args.timeout_at = self.timeout_ms.map(|ms| from_now(now, ms));
        args.timeout_behavior = self.behavior;
        args.continuation_metadata_pointer = self.pointer.as_deref().map(text);
        args.idempotency_key.clone_from(&self.key);
        let mut policy = ResumePolicy::new();
        policy.close_waitpoint_on_resume = !self.leaves_open;
        Ok(args.resume_policy(match self.resume_delay_ms {
            Some(ms) => policy.resume_delay(Duration::from_millis(ms)),
            None => policy,
        }))
    }

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        // What refuses the rest of the arguments has a lease that works.
        let live = if draw.intent != Intent::Enabled && draw.dice.chance(70) { draw.live_lease() } else { None };
        let lease = live.or_else(|| draw.lease())?;
        let refused = draw.intent == Intent::Refused;
        let pending = if draw.dice.chance(if refused { 60 } else { 35 }) { draw.pending_door(lease) } else { None };
        let used = draw.used_waitpoints(lease);
        let known = draw.key_of(pending);
        let again = if refused { 60 } else { 2 };
        let dice = &mut *draw.dice;
        let count = dice.weighted(&[(60, 1), (30, 2), (10, 3)]).unwrap_or(1);
        let first = dice.below(KEYS.len());
        let keys: Vec<&str> = (0..count).filter_map(|at| KEYS.get((first + at) % KEYS.len()).copied()).collect();
        let mut waitpoints: Vec<Binding> = Vec::new();
        for key in &keys {
            let free = (0..u8::MAX).find(|number| {
                !used.contains(number)
                    && !waitpoints.iter().any(|one| matches!(one, Binding::Fresh(n, _) if n == number))
            });
            let taken = dice.one(&used).filter(|_| dice.chance(again));
            waitpoints.push(Binding::Fresh(taken.or(free).unwrap_or_default(), (*key).to_owned()));
        }
        let mut named: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        if let (Some(door), Some(slot)) = (pending, waitpoints.first_mut()) {
            *slot = Binding::Pending(door);
            if let (Some(key), Some(name)) = (known, named.first_mut()) {
                *name = key;
            }
        }
        let timeout_ms = dice.maybe(45, |dice| dice.number(100, &[0, 1, -5, 1000, 5000]));
        let condition = condition(dice, &named, timeout_ms.is_some());
        let mut suspend = Self {
            lease,
            suspension: u8::try_from(dice.below(6)).unwrap_or_default(),
            waitpoints,
            condition,
            reason: dice.maybe(30, |dice| dice.one(&REASONS)).flatten(),
            timeout_ms,
            behavior: dice.maybe(70, |dice| dice.one(&BEHAVIORS)).flatten(),
            resume_delay_ms: dice.maybe(15, |dice| dice.number(1, &[0, 300]).unsigned_abs()),
            leaves_open: false,
            pointer: dice.maybe(10, |_| "s3://there".to_owned()),
            key: dice.maybe(15, |dice| format!("key-{}", dice.below(2))),
        };
        if draw.is_junk() {
            suspend.spoil(draw.dice);
        } else if draw.intent == Intent::Refused && draw.dice.chance(15) {
            suspend.timeout_ms = Some(-11 * 60 * 1000);
        }
        Some(suspend)
    }

    /// Breaks one rule of the arguments.
    fn spoil(&mut self, dice: &mut Dice) {
        match dice.below(7) {
            0 => self.waitpoints.clear(),
            1 => self.waitpoints.extend(self.waitpoints.clone()),
            2 => self.condition = single("z", None),
            3 => self.leaves_open = true,
            4 => self.pointer = Some(TOO_LONG.to_owned()),
            5 => self.timeout_ms = Some(i64::MAX),
            _ => self.waitpoints = vec![Binding::Fresh(250, TOO_LONG.to_owned())],
        }
    }
}

/// What suspended executions wait for.
const REASONS: [SuspensionReasonCode; 4] = [
    SuspensionReasonCode::WaitingForApproval,
    SuspensionReasonCode::ManualPause,
    SuspensionReasonCode::PausedByBudget,
    SuspensionReasonCode::StepBoundary,
];

fn single(key: &str, name: Option<&str>) -> ResumeCondition {
    ResumeCondition::Single { waitpoint_key: key.to_owned(), matcher: matcher(name) }
}

fn matcher(name: Option<&str>) -> SignalMatcher {
    name.map_or(SignalMatcher::Wildcard, |name| SignalMatcher::ByName(name.to_owned()))
}

/// A condition that names every one of `keys`, as one over several waitpoints must.
fn condition(dice: &mut Dice, keys: &[String], times_out: bool) -> ResumeCondition {
    let part = |dice: &mut Dice, key: &String| {
        let name = dice.maybe(40, |dice| dice.one(&NAMES)).flatten();
        single(key, name)
    };
    match (keys, dice.below(10)) {
        ([_], 0) => ResumeCondition::OperatorOnly,
        ([_], 1) if times_out => ResumeCondition::TimeoutOnly,
        ([key], 2..=6) => part(dice, key),
        (_, 7..=9) => ResumeCondition::Composite(CompositeBody::AllOf {
            members: keys.iter().map(|key| part(dice, key)).collect(),
        }),
        _ => {
            let kinds = [CountKind::DistinctWaitpoints, CountKind::DistinctSignals, CountKind::DistinctSources];
            let count_kind = dice.one(&kinds).unwrap_or(CountKind::DistinctSignals);
            let most = if count_kind == CountKind::DistinctWaitpoints { keys.len() } else { 3 };
            ResumeCondition::Composite(CompositeBody::Count {
                n: u32::try_from(dice.below(most) + 1).unwrap_or(1),
                count_kind,
                matcher: dice.maybe(25, |dice| matcher(dice.one(&NAMES))),
                waitpoints: keys.to_vec(),
            })
        }
    }
}

impl Deliver {
    fn args(&self, book: &Book) -> Result<DeliverSignalArgs, Unresolved> {
        let door = book.door(self.door)?;
        let signal: SignalId = numbered(3, self.signal)?;
        let mut args =
            DeliverSignalArgs::new(door.execution_id, door.waitpoint_id, door.token, signal, text(&self.name))
                .source("sender", format!("{}", self.source));
        args.payload = self.payload_bytes.map(bytes);
        args.idempotency_key.clone_from(&self.key);
        args.dedup_ttl = self.dedup_ms.map(Duration::from_millis);
        args.resume_delay = self.delay_ms.map(Duration::from_millis);
        Ok(args)
    }

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let mut door = draw.door()?;
        if draw.is_junk() && draw.dice.chance(50) {
            let bends = [Bend::Truncated, Bend::Foreign, Bend::OtherId, Bend::OtherExecution];
            door.0.bend = draw.dice.one(&bends);
        }
        // Its name or its payload.
        let spoils = if draw.spoils() { Some(draw.dice.chance(50)) } else { None };
        let dice = &mut *draw.dice;
        Some(Self {
            door,
            signal: u8::try_from(dice.below(40)).unwrap_or_default(),
            name: if spoils == Some(true) { TOO_LONG } else { dice.one(&NAMES).unwrap_or("go") }.to_owned(),
            source: u8::try_from(dice.below(3)).unwrap_or_default(),
            payload_bytes: match spoils {
                Some(false) => Some(TOO_MANY_BYTES),
                _ => dice.maybe(30, |dice| dice.one(&[0, 7]).unwrap_or_default()),
            },
            key: dice.maybe(25, |dice| format!("key-{}", dice.below(3))),
            dedup_ms: dice.maybe(15, |dice| dice.number(0, &[1, 500]).unsigned_abs()),
            delay_ms: dice.maybe(12, |dice| dice.number(0, &[1, 300]).unsigned_abs()),
        })
    }
}

impl Draw<'_> {
    /// An execution that is suspended, where the call shall succeed and there is one.
    fn suspended(&mut self) -> Exec {
        let now = self.now;
        let suspended = self.known(|row| row.record.suspended_entry(now).is_some());
        match self.dice.one(&suspended).filter(|_| self.intent == Intent::Enabled) {
            Some(execution) => execution,
            None => self.execution(),
        }
    }

    /// A waitpoint that a step has handed out: mostly one of the last, and mostly an open one where that is wanted.
    fn door(&mut self) -> Option<DoorRef> {
        let is_open = |place: &(u32, u32)| self.state_of(*place) != Some(WaitpointState::Closed);
        let mut places: Vec<_> = self.book.doors.keys().copied().collect();
        if self.intent == Intent::Enabled && places.iter().any(&is_open) {
            places.retain(is_open);
        } else if self.intent == Intent::Refused && places.iter().any(|place| is_open(place) && self.is_full(*place)) {
            places.retain(|place| is_open(place) && self.is_full(*place));
        }
        let from = places.get(places.len().saturating_sub(4)..).unwrap_or_default();
        let from = if self.dice.chance(80) { from } else { &places[..] };
        let (step, item) = self.dice.one(from)?;
        Some(DoorRef(Place::of(step, item)))
    }

    /// A lease that works, of an execution that has had waitpoints if there is one.
    fn live_lease(&mut self) -> Option<LeaseRef> {
        let had_some = |place: &(u32, u32)| {
            let held = self.book.leases.get(place).and_then(|handle| self.book.read(handle));
            let row = held.and_then(|held| self.state.execution(&held.execution_id));
            row.is_some_and(|row| !row.mailbox.waitpoints.is_empty())
        };
        let mut places: Vec<_> = self.book.leases.keys().copied().filter(|place| self.is_live(*place)).collect();
        if places.iter().any(had_some) {
            places.retain(had_some);
        }
        let (step, item) = self.dice.one(&places)?;
        let bends = self.intent == Intent::Refused && self.dice.chance(15);
        Some(LeaseRef(Place { bend: bends.then_some(Bend::OtherIndex), ..Place::of(step, item) }))
    }

    /// A waitpoint of its execution for the suspension of a lease to take up: a pending one where that is wanted.
    fn pending_door(&mut self, lease: LeaseRef) -> Option<DoorRef> {
        let held = self.book.read(&self.book.lease(lease).ok()?)?;
        let wanted = self.intent != Intent::Refused;
        let fits = |place: &(u32, u32)| {
            (self.state_of(*place) == Some(WaitpointState::Pending)) == wanted
                && self.book.doors.get(place).is_some_and(|door| door.execution_id == held.execution_id)
        };
        let mut fitting: Vec<_> = self.book.doors.keys().copied().filter(fits).collect();
        if fitting.is_empty() && !wanted {
            fitting.extend(self.book.doors.keys());
        }
        // Those that no suspension took up have ended in more ways.
        let prefers = self.dice.chance(75);
        let is_left =
            |place: &(u32, u32)| self.record_of(*place).is_some_and(|(_, one)| one.suspension_number.is_none());
        if prefers && fitting.iter().any(is_left) {
            fitting.retain(is_left);
        }
        let (step, item) = self.dice.one(&fitting)?;
        let bend = (self.intent == Intent::Refused && self.dice.chance(20)).then_some(Bend::OtherId);
        Some(DoorRef(Place { bend, ..Place::of(step, item) }))
    }

    /// A waitpoint as the store has it, with its execution.
    fn record_of(&self, place: (u32, u32)) -> Option<(&StoredExecution, &WaitpointRecord)> {
        let door = self.book.doors.get(&place)?;
        let row = self.state.execution(&door.execution_id)?;
        row.mailbox.waitpoints.get(&door.waitpoint_id).map(|waitpoint| (row, waitpoint))
    }

    /// True if its execution takes no more signals.
    fn is_full(&self, place: (u32, u32)) -> bool {
        self.record_of(place).is_some_and(|(row, _)| {
            let most = row.mailbox.signals_max.and_then(|most| usize::try_from(most).ok());
            most.is_some_and(|most| row.mailbox.signals.len() >= most)
        })
    }

    fn state_of(&self, place: (u32, u32)) -> Option<WaitpointState> {
        self.record_of(place).map(|(row, waitpoint)| waitpoint.state(&row.record, self.now))
    }

    fn key_of(&self, door: Option<DoorRef>) -> Option<String> {
        let door = door?;
        self.record_of((door.0.step, door.0.item)).map(|(_, waitpoint)| waitpoint.waitpoint_key.clone())
    }

    /// The numbers of the waitpoints that the execution of a lease has had.
    fn used_waitpoints(&self, lease: LeaseRef) -> Vec<u8> {
        let held = self.book.lease(lease).ok().and_then(|handle| self.book.read(&handle));
        let row: Option<&StoredExecution> = held.and_then(|held| self.state.execution(&held.execution_id));
        let is_used = |number: &u8| {
            let id = waitpoint_id(*number);
            row.is_some_and(|row| id.is_ok_and(|id| row.mailbox.waitpoints.contains_key(&id)))
        };
        (0..u8::MAX).filter(is_used).collect()
    }
}
