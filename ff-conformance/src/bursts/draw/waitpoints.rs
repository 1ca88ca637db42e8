//! Calls about suspended work: who waits for what, who signals it, and who ends it another way.

use std::time::Duration;

use ff_backend_memory::{Answer, Op};
use ff_core::{
    CancelExecutionArgs, CompositeBody, CountKind, DeliverSignalArgs, EngineError, ExecutionId, ExecutionPolicy,
    Handle, Kid, ListPendingWaitpointsArgs, ResumeCondition, ResumeExecutionArgs, ResumePolicy, RevokeLeaseArgs,
    RotateWaitpointHmacSecretAllArgs, SeedWaitpointHmacSecretArgs, SignalId, SignalMatcher, SigningSecret, SuspendArgs,
    SuspendOutcome, SuspensionId, SuspensionPolicy, SuspensionReasonCode, TimestampMs, WaitpointBinding, WaitpointId,
    WaitpointToken,
};

use super::{LONG_MS, SHORT_MS, World};
use crate::{draw::Draw, suspensions::BEHAVIORS};

/// The keys of waitpoints; few, so that conditions and waitpoints meet.
const KEYS: [&str; 2] = ["a", "b"];
/// The last of the waitpoints, signals and suspends that calls are about.
const LAST: usize = 3;

/// A waitpoint whose token somebody was told.
#[derive(Clone)]
struct Door {
    execution_id: ExecutionId,
    waitpoint_id: WaitpointId,
    key: String,
    token: WaitpointToken,
    /// Whether it was opened before its suspension.
    pending: bool,
}

/// What the clients of a burst know of suspended work.
#[derive(Default)]
pub(super) struct Waiting {
    doors: Vec<Door>,
    /// What suspends handed out in the place of a lease.
    receipts: Vec<Handle>,
    /// Deliveries that were sent, whether or not an answer came.
    sent: Vec<DeliverSignalArgs>,
    /// Suspends that were sent.
    begun: Vec<Op>,
    /// How often another key was asked for.
    rotations: usize,
}

impl Waiting {
    /// Lets everybody know what an answer hands out.
    pub(super) fn learn(&mut self, op: &Op, answer: &Answer, label: &str) {
        let of = |handle: &Handle| handle.decode(label).ok().map(|held| held.execution_id);
        let execution_id = match op {
            Op::Suspend { handle, .. } | Op::CreateWaitpoint { handle, .. } => of(handle),
            Op::SuspendByTriple { id, .. } => Some(*id),
            _ => None,
        };
        let Some(execution_id) = execution_id else { return };
        let door = |waitpoint_id, key: &str, token: &WaitpointToken, pending| Door {
            execution_id,
            waitpoint_id,
            key: key.to_owned(),
            token: token.clone(),
            pending,
        };
        match (op, answer) {
            (Op::CreateWaitpoint { waitpoint_key, .. }, Answer::CreateWaitpoint(opened)) => {
                self.note(door(opened.waitpoint_id, waitpoint_key, &opened.hmac_token, true));
            }
            (_, Answer::Suspend(outcome)) => {
                let details = match &**outcome {
                    SuspendOutcome::Suspended { details, handle } => {
                        self.receipts.push(handle.clone());
                        details
                    }
                    SuspendOutcome::AlreadySatisfied { details } => details,
                };
                self.note(door(details.waitpoint_id, &details.waitpoint_key, &details.waitpoint_token, false));
                for other in &details.additional_waitpoints {
                    self.note(door(other.waitpoint_id, &other.waitpoint_key, &other.waitpoint_token, false));
                }
            }
            _ => {}
        }
    }

    /// The latest comes last, and each waitpoint once.
    fn note(&mut self, door: Door) {
        self.doors.retain(|known| known.waitpoint_id != door.waitpoint_id);
        self.doors.push(door);
    }

    /// What a suspend handed out, where a lease is expected.
    pub(super) fn receipt(&self, draw: &mut Draw) -> Option<Handle> {
        one_of_the_last(&self.receipts, draw).cloned()
    }
}

fn one_of_the_last<'a, T>(all: &'a [T], draw: &mut Draw) -> Option<&'a T> {
    let last = all.get(all.len().saturating_sub(LAST)..).filter(|last| !last.is_empty())?;
    Some(draw.one(last))
}

impl World {
    /// What anybody does about suspended work, if there is any.
    pub(super) fn outside(&self, draw: &mut Draw) -> Result<Option<Op>, EngineError> {
        let door = one_of_the_last(&self.known().waiting.doors, draw).cloned();
        let Some(door) = door else { return Ok(None) };
        let id = door.execution_id;
        let handle = self.handle(draw);
        Ok(Some(match (draw.below(100), handle) {
            (60..=68, _) => {
                let args = ResumeExecutionArgs::new(id, "burst");
                let delayed = draw.percent(20);
                Op::ResumeExecution(if delayed { args.resume_delay(Duration::from_millis(SHORT_MS)) } else { args })
            }
            (69..=75, _) => Op::CancelExecution(CancelExecutionArgs::new(id, "burst")),
            (76..=80, _) => Op::RevokeLease(RevokeLeaseArgs::new(id, "burst")),
            (81..=87, _) => Op::ListPendingWaitpoints(ListPendingWaitpointsArgs::new(id)),
            (88..=94, Some(handle)) => Op::ObserveSignals(handle),
            (95..=96, _) => self.rotate(draw)?,
            _ => self.deliver(door, draw),
        }))
    }

    /// A signal: a new one, one that was sent before, or one with a token that opens nothing.
    fn deliver(&self, mut door: Door, draw: &mut Draw) -> Op {
        let mut known = self.known();
        if draw.percent(20)
            && let Some(args) = one_of_the_last(&known.waiting.sent, draw)
        {
            return Op::DeliverSignal(Box::new(args.clone()));
        }
        if draw.percent(8) {
            let text = door.token.expose();
            match draw.below(3) {
                0 => door.token = WaitpointToken::new(format!("x{text}")),
                1 => door.token = WaitpointToken::new(text.get(1..).unwrap_or_default()),
                _ => door.execution_id = *draw.one(&self.ids),
            }
        }
        let name = *draw.one(&["go", "go", "stop"]);
        let (to, at) = (door.execution_id, door.waitpoint_id);
        let mut args = DeliverSignalArgs::new(to, at, door.token, SignalId::new(), name);
        args = args.source("burst", *draw.one(&["x", "y"]));
        if draw.percent(50) {
            args = args.idempotency_key(*draw.one(&["one", "two"]));
        }
        if draw.percent(12) {
            args = args.resume_delay(Duration::from_millis(*draw.one(&[0, SHORT_MS])));
        }
        if draw.percent(20) {
            args = args.payload(draw.any().to_le_bytes());
        }
        known.waiting.sent.push(args.clone());
        Op::DeliverSignal(Box::new(args))
    }

    /// What a holder does about its own wait.
    pub(super) fn wait(&self, handle: Handle, draw: &mut Draw) -> Result<Op, EngineError> {
        if draw.percent(18) {
            let waitpoint_key = (*draw.one(&KEYS)).to_owned();
            let expires_in = Duration::from_millis(*draw.one(&[SHORT_MS, LONG_MS]));
            return Ok(Op::CreateWaitpoint { handle, waitpoint_key, expires_in });
        }
        let mut known = self.known();
        if draw.percent(15)
            && let Some(op) = one_of_the_last(&known.waiting.begun, draw)
        {
            return Ok(op.clone());
        }
        let held = handle.decode(self.label)?;
        let pending = known.waiting.doors.iter().rev();
        let mut pending = pending.filter(|door| door.pending && door.execution_id == held.execution_id);
        let pending = if draw.percent(75) { pending.next() } else { None };
        let args = Box::new(self.suspension(pending, known.now, draw));
        let op = if draw.percent(25) {
            Op::SuspendByTriple { id: held.execution_id, fence: held.fence, args }
        } else {
            Op::Suspend { handle, args }
        };
        known.waiting.begun.push(op.clone());
        Ok(op)
    }

    /// A suspension of one waitpoint or two, of which the first may be a pending one.
    fn suspension(&self, pending: Option<&Door>, now: TimestampMs, draw: &mut Draw) -> SuspendArgs {
        let first = pending.map_or(KEYS[0], |door| if door.key == KEYS[1] { KEYS[1] } else { KEYS[0] });
        let second = if first == KEYS[0] { KEYS[1] } else { KEYS[0] };
        let primary = pending.map_or_else(
            || WaitpointBinding::fresh_with_key(first),
            |door| WaitpointBinding::pending(door.waitpoint_id),
        );
        let mut waitpoints = vec![primary];
        let mut keys = vec![first];
        if draw.percent(30) {
            waitpoints.push(WaitpointBinding::fresh_with_key(second));
            keys.push(second);
        }
        let reason = SuspensionReasonCode::WaitingForSignal;
        let mut args = SuspendArgs::new(SuspensionId::new(), waitpoints, condition(&keys, draw), reason);
        if draw.percent(45) {
            // Its time-out may have come already.
            let timeout_ms = *draw.one(&[0, SHORT_MS, SHORT_MS, LONG_MS]);
            args = args.timeout(now.plus(Duration::from_millis(timeout_ms)), *draw.one(&BEHAVIORS));
        }
        if draw.percent(25) {
            args = args.idempotency_key(*draw.one(&["one", "two"]));
        }
        if draw.percent(10) {
            args = args.resume_policy(ResumePolicy::new().resume_delay(Duration::from_millis(SHORT_MS)));
        }
        args
    }

    /// Another key signs, or the same once more; tokens of the one before are valid for a while, or not at all.
    fn rotate(&self, draw: &mut Draw) -> Result<Op, EngineError> {
        let mut known = self.known();
        let number =
            if draw.percent(70) { known.waiting.rotations + 1 } else { draw.below(known.waiting.rotations + 1) };
        known.waiting.rotations = known.waiting.rotations.max(number);
        let grace = Duration::from_millis(*draw.one(&[0, SHORT_MS, LONG_MS]));
        Ok(Op::RotateWaitpointHmacSecretAll(self.key(number, grace)?))
    }

    /// The key that signs at first, if work is suspended.
    pub(in crate::bursts) fn first_key(&self) -> Result<Option<RotateWaitpointHmacSecretAllArgs>, EngineError> {
        if self.waits { self.key(0, Duration::ZERO).map(Some) } else { Ok(None) }
    }

    /// The key with that number of the burst.
    fn key(&self, number: usize, grace: Duration) -> Result<RotateWaitpointHmacSecretAllArgs, EngineError> {
        let kid = Kid::try_new(format!("{}-{number}", self.lane.as_str()))?;
        Ok(RotateWaitpointHmacSecretAllArgs::new(kid, SigningSecret::from_bytes([7; 32])?, grace))
    }
}

/// What lets `key` sign, and no other key count, whatever a store has had before.
pub(in crate::bursts) fn first_keys(key: &RotateWaitpointHmacSecretAllArgs) -> Vec<Op> {
    let seed = Kid::try_new("before").map(|kid| SeedWaitpointHmacSecretArgs::new(kid, key.new_secret.clone()));
    let seed = seed.map(Op::SeedWaitpointHmacSecret).ok();
    seed.into_iter().chain([Op::RotateWaitpointHmacSecretAll(key.clone())]).collect()
}

/// A condition that names all of `keys`.
fn condition(keys: &[&str], draw: &mut Draw) -> ResumeCondition {
    let single = |key: &&str, draw: &mut Draw| {
        let matcher = if draw.percent(60) { SignalMatcher::ByName("go".to_owned()) } else { SignalMatcher::Wildcard };
        ResumeCondition::Single { waitpoint_key: (*key).to_owned(), matcher }
    };
    match (keys, draw.below(10)) {
        ([key], 0..=6) => single(key, draw),
        ([_], 7) => ResumeCondition::OperatorOnly,
        (_, 5..) => {
            let kinds = [CountKind::DistinctSignals, CountKind::DistinctSources];
            let (n, count_kind) = (1 + u32::from(draw.percent(70)), *draw.one(&kinds));
            let waitpoints = keys.iter().map(|key| (*key).to_owned()).collect();
            ResumeCondition::Composite(CompositeBody::Count { n, count_kind, matcher: None, waitpoints })
        }
        _ => {
            let members = keys.iter().map(|key| single(key, draw)).collect();
            ResumeCondition::Composite(CompositeBody::AllOf { members })
        }
    }
}

/// The same policy with few signals, or with a time-out for suspensions that name none, now and then.
pub(super) fn policy(mut policy: ExecutionPolicy, draw: &mut Draw) -> ExecutionPolicy {
    if draw.percent(15) {
        policy = policy.max_signals_per_execution(2);
    }
    if draw.percent(15) {
        let default_timeout_ms = Some(*draw.one(&[SHORT_MS, LONG_MS]));
        policy = policy.suspensions(SuspensionPolicy { default_timeout_ms, timeout_behavior: *draw.one(&BEHAVIORS) });
    }
    policy
}
