//! What a client does next: drawn from its dice and from what all clients of the burst know by then.

mod waitpoints;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ff_backend_memory::{Answer, Obs, Op};
use ff_core::{
    Backoff, CancelExecutionArgs, CapabilitySet, ChangePriorityArgs, ClaimExecutionArgs, ClaimExecutionResult,
    ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimGrant, ClaimPolicy, CompleteArgs, CreateExecutionArgs,
    EngineBackend, EngineError, ExecutionId, ExecutionPolicy, FailureClass, FailureReason, Handle, LaneId, Namespace,
    Operation, PageLimit, PartitionConfig, ReplayExecutionArgs, RetryPolicy, RevokeLeaseArgs, SetExecutionTagArgs,
    Supports, TimestampMs, WorkerId, WorkerInstanceId,
};

use self::waitpoints::Waiting;
pub(super) use self::waitpoints::first_keys;
use crate::draw::Draw;

/// Executions of a burst.
const MOST: usize = 8;
/// The shorter life of a lease, and the longest that anything is put off.
pub(super) const SHORT_MS: u64 = 1_000;
/// What some work requires.
const GPU: &str = "gpu";
/// The longer one.
pub(super) const LONG_MS: u64 = 60_000;

/// The names of one burst, and what its clients know.
pub(super) struct World {
    pub(super) lane: LaneId,
    pub(super) namespace: Namespace,
    /// All executions that may ever exist in it.
    pub(super) ids: Vec<ExecutionId>,
    /// Whether work is suspended, and signals meet.
    pub(super) waits: bool,
    label: &'static str,
    supports: Supports,
    known: Mutex<Known>,
}

struct Known {
    now: TimestampMs,
    claims: usize,
    handles: Vec<Handle>,
    grants: Vec<(ClaimGrant, WorkerInstanceId)>,
    waiting: Waiting,
}

impl World {
    /// The world of a burst called `name`, with suspended work if `waits` and the backend offers that.
    pub(super) fn new(name: &str, now: TimestampMs, of: &dyn EngineBackend, waits: bool) -> Result<Self, EngineError> {
        let (supports, label) = (of.capabilities().supports, of.backend_label());
        let waits = waits && supports.offers(Operation::Suspend);
        let lane = LaneId::try_new(name)?;
        let ids = (0..MOST).map(|_| ExecutionId::solo(&lane, PartitionConfig::default())).collect();
        let waiting = Waiting::default();
        let known = Mutex::new(Known { now, claims: 0, handles: Vec::new(), grants: Vec::new(), waiting });
        Ok(Self { lane, namespace: Namespace::try_new(name)?, ids, waits, label, supports, known })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where the store's clock stands from now on.
    pub(super) fn moved_to(&self, now: TimestampMs) {
        self.known().now = now;
    }

    pub(super) fn now(&self) -> TimestampMs {
        self.known().now
    }

    /// Lets everybody know what an answer hands out.
    pub(super) fn learn(&self, op: &Op, obs: &Obs) {
        let Obs::Answered(Ok(answer)) = obs else { return };
        let mut known = self.known();
        known.waiting.learn(op, answer, self.label);
        match answer {
            Answer::Claim(Some(handle)) | Answer::ClaimExecution(ClaimExecutionResult::Claimed(handle)) => {
                known.handles.push(handle.clone());
            }
            Answer::ClaimMany(handles) => known.handles.extend(handles.iter().cloned()),
            Answer::ClaimForWorker(ClaimForWorkerOutcome::Granted(grant)) => {
                if let Op::ClaimForWorker(args) = op {
                    known.grants.push((grant.clone(), args.worker_instance_id.clone()));
                }
            }
            _ => {}
        }
    }

    /// The create of the execution with that number.
    pub(super) fn create(&self, number: usize, draw: &mut Draw) -> CreateExecutionArgs {
        let id = self.ids[number % self.ids.len()];
        let mut args = CreateExecutionArgs::new(id, self.namespace.clone(), self.lane.clone(), "burst");
        let policy = policy(draw);
        let policy = if self.waits { waitpoints::policy(policy, draw) } else { policy };
        args = args.priority(*draw.one(&[-1, 0, 0, 1])).policy(policy);
        if draw.percent(15) {
            args = args.delay_until(self.now().plus(Duration::from_millis(SHORT_MS)));
        }
        args
    }

    /// A claim that takes whatever can be taken.
    pub(super) fn last_claim(&self) -> Result<Op, EngineError> {
        let (worker, process) = self.process()?;
        let policy = ClaimPolicy::new(worker, process, Duration::from_millis(SHORT_MS));
        Ok(Op::Claim { lane: self.lane.clone(), capabilities: CapabilitySet::try_new([GPU])?, policy })
    }

    /// The next call; one that the backend does not offer is never drawn.
    pub(super) fn call(&self, draw: &mut Draw) -> Result<Op, EngineError> {
        loop {
            let op = self.any(draw)?;
            if self.supports.offers(op.operation()) {
                return Ok(op);
            }
        }
    }

    fn any(&self, draw: &mut Draw) -> Result<Op, EngineError> {
        if self.waits
            && draw.percent(45)
            && let Some(op) = self.outside(draw)?
        {
            return Ok(op);
        }
        let id = *draw.one(&self.ids);
        let handle = self.handle(draw);
        let number = draw.below(MOST);
        Ok(match (draw.below(100), handle) {
            (0..=19, _) | (60.., None) => {
                Op::Claim { lane: self.lane.clone(), capabilities: offers(draw)?, policy: self.policy(draw)? }
            }
            (20..=24, _) => Op::CreateExecution(Box::new(self.create(number, draw))),
            (25..=28, _) => Op::ReplayExecution(ReplayExecutionArgs::new(id)),
            (29..=31, _) => Op::ChangePriority(ChangePriorityArgs::new(id, *draw.one(&[-1, 0, 2]))),
            (32..=33, _) => Op::CancelExecution(CancelExecutionArgs::new(id, "burst")),
            (34..=36, _) => Op::RevokeLease(RevokeLeaseArgs::new(id, "burst")),
            (37..=38, _) => Op::ReadExecutionInfo(id),
            (39, _) => Op::DescribeExecution(id),
            (40, _) => Op::ReadExecutionState(id),
            (41, _) => Op::GetExecutionResult(id),
            (42, _) => Op::ListAttempts { id, cursor: None, limit: PageLimit::MAX },
            (43, _) => Op::SetExecutionTag(SetExecutionTagArgs::new(id, "burst.word", format!("{number}"))),
            (44, _) => Op::ExplainUnclaimed { id, capabilities: offers(draw)? },
            (45..=49, _) => self.reserve(draw)?,
            (50..=54, _) => return self.redeem(draw).map_or_else(|| self.reserve(draw), Ok),
            (55..=57, _) => Op::ClaimMany {
                lane: self.lane.clone(),
                capabilities: offers(draw)?,
                policy: self.policy(draw)?,
                limit: PageLimit::new(1 + u32::from(draw.percent(50)))?,
            },
            (58..=59, _) => Op::CreateExecutions(vec![self.create(number, draw), self.create(number + 1, draw)]),
            (_, Some(handle)) => self.hold(handle, draw)?,
        })
    }

    /// What a holder does.
    fn hold(&self, handle: Handle, draw: &mut Draw) -> Result<Op, EngineError> {
        if self.waits && draw.percent(60) {
            return self.wait(handle, draw);
        }
        let payload = Some(draw.any().to_le_bytes().to_vec());
        Ok(match draw.below(50) {
            0..=13 => Op::Complete { handle, payload },
            14..=18 => {
                Op::CompleteAndClaim { handle, payload, capabilities: offers(draw)?, policy: self.policy(draw)? }
            }
            19..=25 => Op::Fail {
                handle,
                reason: FailureReason::new("burst"),
                classification: *draw.one(&[FailureClass::Transient, FailureClass::Transient, FailureClass::Permanent]),
            },
            26..=31 => {
                Op::Delay { handle, delay_until: self.now().plus(Duration::from_millis(*draw.one(&[0, 0, SHORT_MS]))) }
            }
            32..=33 => Op::WaitChildren { handle },
            34..=39 => Op::Renew { handle },
            40..=42 => Op::Progress { handle, percent: Some(50), message: None },
            43..=45 => Op::Cancel { handle, reason: "burst".to_owned() },
            46..=47 => {
                let other = self.handle(draw).unwrap_or_else(|| handle.clone());
                Op::CompleteMany(vec![CompleteArgs::new(handle, payload), CompleteArgs::new(other, None)])
            }
            _ => {
                let other = self.handle(draw).unwrap_or_else(|| handle.clone());
                Op::RenewMany(vec![handle, other])
            }
        })
    }

    /// A handle that somebody has got, mostly one of the last.
    fn handle(&self, draw: &mut Draw) -> Option<Handle> {
        let known = self.known();
        if self.waits && draw.percent(5) {
            return known.waiting.receipt(draw);
        }
        let from = if draw.percent(80) { known.handles.len().saturating_sub(4) } else { 0 };
        let handles = known.handles.get(from..).filter(|handles| !handles.is_empty())?;
        Some(draw.one(handles).clone())
    }

    fn reserve(&self, draw: &mut Draw) -> Result<Op, EngineError> {
        let (worker, process) = self.process()?;
        let life = Duration::from_millis(*draw.one(&[SHORT_MS, LONG_MS]));
        let args = ClaimForWorkerArgs::new(self.lane.clone(), worker, process, life);
        Ok(Op::ClaimForWorker(Box::new(args.worker_capabilities(offers(draw)?))))
    }

    /// A grant is redeemed once or twice.
    fn redeem(&self, draw: &mut Draw) -> Option<Op> {
        let mut known = self.known();
        let place = known.grants.len().checked_sub(1)?;
        let (grant, process) =
            if draw.percent(30) { known.grants.get(place)?.clone() } else { known.grants.swap_remove(place) };
        drop(known);
        let worker = WorkerId::try_new("w").ok()?;
        let life = Duration::from_millis(*draw.one(&[SHORT_MS, LONG_MS]));
        let args = Box::new(ClaimExecutionArgs::new(grant, worker, process, life));
        Some(match if self.waits { draw.below(10) } else { 0 } {
            6..=7 => Op::ClaimResumedExecution(args),
            8..=9 => Op::ClaimFromReclaim(args),
            _ => Op::ClaimExecution(args),
        })
    }

    fn policy(&self, draw: &mut Draw) -> Result<ClaimPolicy, EngineError> {
        let (worker, process) = self.process()?;
        Ok(ClaimPolicy::new(worker, process, Duration::from_millis(*draw.one(&[SHORT_MS, LONG_MS]))))
    }

    /// A worker process that nobody else is: the lease history tells whose claim it was.
    fn process(&self) -> Result<(WorkerId, WorkerInstanceId), EngineError> {
        let mut known = self.known();
        known.claims += 1;
        Ok((WorkerId::try_new("w")?, WorkerInstanceId::try_new(format!("w-{}", known.claims))?))
    }
}

fn offers(draw: &mut Draw) -> Result<CapabilitySet, EngineError> {
    if draw.percent(70) { CapabilitySet::try_new([GPU]) } else { Ok(CapabilitySet::default()) }
}

fn policy(draw: &mut Draw) -> ExecutionPolicy {
    let backoff = Backoff::Fixed { delay_ms: *draw.one(&[0, SHORT_MS]) };
    let mut policy = ExecutionPolicy::new().retry(RetryPolicy { max_retries: 2, backoff, ..RetryPolicy::default() });
    if let (true, Ok(gpu)) = (draw.percent(30), CapabilitySet::try_new([GPU])) {
        policy = policy.required_capabilities(gpu);
    }
    policy
}
