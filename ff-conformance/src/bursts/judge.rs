//! The verdict over one burst: the checkers first, then the search for an order.

use std::collections::BTreeMap;

use ff_backend_memory::{Answer, Obs, Op, SeededMint, State, apply};
use ff_core::{
    AttemptIndex, BackendTag, CapabilitySet, ClaimExecutionResult, ContentionKind, EngineError, ExecutionId, Handle,
    HandleKind, HandlePayload, LeaseEventKind, LeaseFence, LeaseHistoryEvent, WorkerInstanceId,
};
use serde::{Deserialize, Serialize};

use super::{
    Burst, Deed, Recorded,
    draw::first_keys,
    model::{Over, Spec, Step, World},
    record::limits,
};
use crate::{
    checkers::{self, Finding},
    linear::{Found, Model, Span, search},
};

/// What a burst is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BurstVerdict {
    /// One order explains all of it.
    Ok,
    /// A rule was broken.
    Violated(Box<Violation>),
    /// No order was found in time, and none was excluded.
    Unknown,
}

/// How a burst broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Violation {
    /// The rule.
    pub requirement: String,
    /// Which checker found it.
    pub checker: String,
    /// What is wrong.
    pub text: String,
    /// The longest order of calls that can be explained, by their places in the burst; empty if a checker found it.
    pub prefix: Vec<usize>,
    /// The calls that could come next, none of which the specification explains.
    pub stuck: Vec<usize>,
}

/// A call of the history and its place in the burst; a batch is as many calls as it has items.
struct Placed {
    place: usize,
    span: Span<Step>,
}

/// Judges a burst of the backend called `label`, with so many steps of the search at most.
pub(crate) fn judge(burst: &Burst, label: &'static str, mut steps: u64) -> BurstVerdict {
    if let Some(finding) = checkers::check(burst, label) {
        return BurstVerdict::Violated(Box::new(of_checker(finding)));
    }
    let log = burst.log.by_execution();
    let spec = Spec::new(label, &log);
    let initial = World::new(empty(burst, label), burst.begin);
    let history = History { burst, label, names: names(burst) }.placed();
    let spans: Vec<_> = history.iter().map(|placed| placed.span.clone()).collect();
    let is_over = || {
        steps = steps.saturating_sub(1);
        steps == 0
    };
    match search(&spec, initial.clone(), &spans, is_over) {
        Found::Order(_) => BurstVerdict::Ok,
        Found::Unknown => BurstVerdict::Unknown,
        Found::Violated { prefix, stuck } => {
            let mut world = Some(initial);
            for &call in &prefix {
                world = world.and_then(|world| spec.step(&world, &spans[call].call).pop());
            }
            let object = |&call: &usize| {
                let why = world.as_ref().map(|world| spec.objection(world, &spans[call].call));
                format!("call {}: {}", history[call].place, why.unwrap_or_default())
            };
            let place = |call: &usize| history[*call].place;
            BurstVerdict::Violated(Box::new(Violation {
                requirement: "FF-CON-001".to_owned(),
                checker: "order".to_owned(),
                text: stuck.iter().map(object).collect::<Vec<_>>().join("\n"),
                prefix: prefix.iter().map(place).collect(),
                stuck: stuck.iter().map(place).collect(),
            }))
        }
    }
}

/// A store with nothing but keys.
fn empty(burst: &Burst, label: &'static str) -> State {
    let mut state = State::of_backend(label, limits());
    for op in burst.key.iter().flat_map(first_keys) {
        // A key that is refused signs nothing: the first token tells.
        let _refused = apply(&mut state, &op, burst.begin, &mut SeededMint::new(0));
    }
    state
}

fn of_checker(finding: Finding) -> Violation {
    let Finding { requirement, checker, text } = finding;
    let (requirement, checker) = (requirement.to_owned(), checker.to_owned());
    Violation { requirement, checker, text, prefix: Vec::new(), stuck: Vec::new() }
}

/// The attempt ids that the last reads showed.
type Names = BTreeMap<(ExecutionId, AttemptIndex), ff_core::AttemptId>;

fn names(burst: &Burst) -> Names {
    let mut names = Names::new();
    for recorded in &burst.calls {
        if let Deed::Call { op, obs } = &recorded.deed
            && let (Op::ListAttempts { id, .. }, Obs::Answered(Ok(Answer::ListAttempts(page)))) = (&**op, &**obs)
        {
            names.extend(page.attempts.iter().map(|attempt| ((*id, attempt.attempt_index), attempt.attempt_id)));
        }
    }
    names
}

/// A burst on its way to a history that the search takes.
struct History<'a> {
    burst: &'a Burst,
    label: &'static str,
    names: Names,
}

impl History<'_> {
    /// The calls as single steps, and the reading of the log behind them all.
    fn placed(&self) -> Vec<Placed> {
        let mut all = Vec::new();
        for (place, recorded) in self.burst.calls.iter().enumerate() {
            let span = |call| Span { invoked: recorded.invoked, returned: recorded.returned, call };
            match &recorded.deed {
                Deed::Clock(now) => all.push(Placed { place, span: span(Step::Clock(*now)) }),
                Deed::Call { op, obs } => {
                    let over = self.over(place, recorded);
                    for (item, (op, obs)) in singles(op, obs, self.label).into_iter().enumerate() {
                        all.extend(self.bound(op, obs, item, &over).map(|call| Placed { place, span: span(call) }));
                    }
                }
            }
        }
        let last = all.iter().filter_map(|placed| placed.span.returned).max().unwrap_or_default();
        let read = Span { invoked: last + 1, returned: Some(last + 2), call: Step::Read };
        all.push(Placed { place: self.burst.calls.len(), span: read });
        all
    }

    /// The step of one call, which is an item of a batch perhaps; none if it did not happen.
    fn bound(&self, op: Op, obs: Obs, item: usize, over: &Over) -> Option<Step> {
        let obs = match obs {
            Obs::NotDone => return None,
            Obs::Lost if op.is_read() => return None,
            // Nothing was written, because another call was about the same execution.
            Obs::Answered(Err(EngineError::Contention(ContentionKind::LeaseConflict)))
                if !matches!(op, Op::ClaimExecution(_) | Op::ClaimResumedExecution(_))
                    && over.names_one_of(&subjects(&op, self.label)) =>
            {
                return None;
            }
            Obs::Lost => match claimer(&op) {
                Some((process, is_redeemed)) => match self.handle_of(&op, process, item) {
                    Some(handle) => Obs::Answered(Ok(handed_out(&op, handle))),
                    None if is_redeemed => return None,
                    // It may have written down what had fallen due, or ended what it was to hand over.
                    None => {
                        let obs = Box::new(Obs::Answered(Ok(Answer::Claim(None))));
                        return Some(Step::Call { op: Box::new(op), obs, over: Over::All });
                    }
                },
                None => Obs::Lost,
            },
            obs @ Obs::Answered(_) => obs,
        };
        Some(Step::Call { op: Box::new(op), obs: Box::new(obs), over: over.clone() })
    }

    /// The handle that a lost claim of that worker process handed out as its `item`th, as the log tells.
    fn handle_of(&self, op: &Op, process: &WorkerInstanceId, item: usize) -> Option<Handle> {
        let takes = |kind| matches!(kind, LeaseEventKind::Acquired | LeaseEventKind::Reclaimed);
        let leases = &self.burst.log.leases;
        let is_its = |event: &&LeaseHistoryEvent| takes(event.kind) && event.worker_instance_id == *process;
        let event = leases.iter().filter(is_its).nth(item)?;
        let of_attempt = |other: &&LeaseHistoryEvent| {
            takes(other.kind)
                && (other.execution_id, other.attempt_index) == (event.execution_id, event.attempt_index)
                && other.lease_epoch < event.lease_epoch
        };
        let kind = if event.kind == LeaseEventKind::Reclaimed {
            HandleKind::Reclaimed
        } else if leases.iter().any(|other| of_attempt(&other)) {
            HandleKind::Resumed
        } else {
            HandleKind::Fresh
        };
        let attempt_id = *self.names.get(&(event.execution_id, event.attempt_index))?;
        let (lane_id, lease_ttl) = match op {
            Op::Claim { lane, policy, .. } => (lane.clone(), policy.lease_ttl),
            Op::CompleteAndClaim { handle, policy, .. } => (handle.decode(self.label).ok()?.lane_id, policy.lease_ttl),
            Op::ClaimExecution(args) | Op::ClaimResumedExecution(args) | Op::ClaimFromReclaim(args) => {
                (args.grant.lane_id.clone(), args.lease_ttl)
            }
            _ => return None,
        };
        let payload = HandlePayload {
            execution_id: event.execution_id,
            attempt_index: event.attempt_index,
            fence: LeaseFence { lease_id: event.lease_id, lease_epoch: event.lease_epoch, attempt_id },
            lease_ttl,
            lane_id,
            worker_instance_id: process.clone(),
        };
        Some(payload.seal(BackendTag::try_new(self.label).ok()?, kind))
    }

    /// What the call in that place may find held: by the calls that it overlaps, itself included if it is a batch.
    fn over(&self, place: usize, recorded: &Recorded) -> Over {
        let (mut named, mut claims) = (Vec::new(), Vec::new());
        let ends_before = |one: &Recorded, other: &Recorded| one.returned.is_some_and(|end| end < other.invoked);
        for (other_place, other) in self.burst.calls.iter().enumerate() {
            let Deed::Call { op, .. } = &other.deed else { continue };
            let is_batch = matches!(**op, Op::ClaimMany { .. });
            let overlaps = !ends_before(other, recorded) && !ends_before(recorded, other);
            if !overlaps || (other_place == place && !is_batch) {
                continue;
            }
            named.extend(subjects(op, self.label));
            claims.extend(looks(op));
        }
        Over::Some { named, claims }
    }
}

impl Over {
    fn names_one_of(&self, ids: &[ExecutionId]) -> bool {
        match self {
            Self::All => true,
            Self::Some { named, claims } => !claims.is_empty() || ids.iter().any(|id| named.contains(id)),
        }
    }
}

/// A batch as the calls of its items, which depend on nothing but themselves, and `complete_and_claim` as the two that
/// it is where its claim has to look again; any other call as it is.
fn singles(op: &Op, obs: &Obs, label: &str) -> Vec<(Op, Obs)> {
    let item = |outcome: Option<Result<Answer, EngineError>>| outcome.map_or(Obs::Lost, Obs::Answered);
    match (op, obs) {
        (_, Obs::Answered(Err(_)) | Obs::NotDone) => vec![(op.clone(), obs.clone())],
        (Op::CreateExecutions(batch), _) => {
            let answers = match obs {
                Obs::Answered(Ok(Answer::CreateExecutions(answers))) => answers.as_slice(),
                _ => &[],
            };
            let answer = |at: usize| item(answers.get(at).map(|answer| answer.clone().map(Answer::CreateExecution)));
            let single = |(at, args): (usize, &_)| (Op::CreateExecution(Box::new(Clone::clone(args))), answer(at));
            batch.iter().enumerate().map(single).collect()
        }
        (Op::CompleteMany(batch), _) => {
            let answers = match obs {
                Obs::Answered(Ok(Answer::CompleteMany(answers))) => answers.as_slice(),
                _ => &[],
            };
            let answer = |at: usize| item(answers.get(at).map(|answer| answer.clone().map(|()| Answer::Done)));
            let single = |(at, args): (usize, &ff_core::CompleteArgs)| {
                (Op::Complete { handle: args.handle.clone(), payload: args.payload.clone() }, answer(at))
            };
            batch.iter().enumerate().map(single).collect()
        }
        (Op::RenewMany(handles), _) => {
            let answers = match obs {
                Obs::Answered(Ok(Answer::RenewMany(answers))) => answers.as_slice(),
                _ => &[],
            };
            let answer = |at: usize| item(answers.get(at).map(|answer| answer.clone().map(Answer::Renew)));
            let single = |(at, handle): (usize, &Handle)| (Op::Renew { handle: handle.clone() }, answer(at));
            handles.iter().enumerate().map(single).collect()
        }
        (Op::CompleteAndClaim { handle, payload, capabilities, policy }, obs) => {
            let Ok(held) = handle.decode(label) else { return vec![(op.clone(), obs.clone())] };
            let complete = Op::Complete { handle: handle.clone(), payload: payload.clone() };
            let claim = Op::Claim { lane: held.lane_id, capabilities: capabilities.clone(), policy: policy.clone() };
            let done = if matches!(obs, Obs::Answered(_)) { Obs::Answered(Ok(Answer::Done)) } else { Obs::Lost };
            // The claim comes first: a lease that nobody was told of is found by its place among those of the call.
            vec![(claim, obs.clone()), (complete, done)]
        }
        (Op::ClaimMany { lane, capabilities, policy, limit }, obs) => {
            let op = Op::Claim { lane: lane.clone(), capabilities: capabilities.clone(), policy: policy.clone() };
            let Obs::Answered(Ok(Answer::ClaimMany(handles))) = obs else {
                return vec![(op, Obs::Lost); usize::from(limit.get())];
            };
            let claim = |handle| (op.clone(), Obs::Answered(Ok(Answer::Claim(handle))));
            let short = (handles.len() < usize::from(limit.get())).then_some(None);
            handles.iter().cloned().map(Some).chain(short).map(claim).collect()
        }
        _ => vec![(op.clone(), obs.clone())],
    }
}

/// The worker process of a claim, and whether it redeems a grant.
fn claimer(op: &Op) -> Option<(&WorkerInstanceId, bool)> {
    match op {
        Op::Claim { policy, .. } | Op::ClaimMany { policy, .. } | Op::CompleteAndClaim { policy, .. } => {
            Some((&policy.worker_instance_id, false))
        }
        Op::ClaimExecution(args) | Op::ClaimResumedExecution(args) | Op::ClaimFromReclaim(args) => {
            Some((&args.worker_instance_id, true))
        }
        _ => None,
    }
}

/// What a claim answers that hands out a lease.
fn handed_out(op: &Op, handle: Handle) -> Answer {
    match op {
        Op::ClaimExecution(_) | Op::ClaimResumedExecution(_) => {
            Answer::ClaimExecution(ClaimExecutionResult::Claimed(handle))
        }
        _ => Answer::Claim(Some(handle)),
    }
}

/// What a claim looks for: what its worker offers, and how much it wants.
fn looks(op: &Op) -> Option<(CapabilitySet, usize)> {
    match op {
        Op::Claim { capabilities, .. } | Op::CompleteAndClaim { capabilities, .. } => Some((capabilities.clone(), 1)),
        Op::ClaimMany { capabilities, limit, .. } => Some((capabilities.clone(), usize::from(limit.get()))),
        Op::ClaimForWorker(args) => Some((args.worker_capabilities.clone(), 1)),
        _ => None,
    }
}

/// The executions that a writing call names.
pub(crate) fn subjects(op: &Op, label: &str) -> Vec<ExecutionId> {
    let of = |handle: &Handle| handle.decode(label).ok().map(|held| held.execution_id);
    match op {
        Op::CreateExecution(args) => vec![args.execution_id],
        Op::CreateExecutions(batch) => batch.iter().map(|args| args.execution_id).collect(),
        Op::CancelExecution(args) => vec![args.execution_id],
        Op::ChangePriority(args) => vec![args.execution_id],
        Op::ReplayExecution(args) => vec![args.execution_id],
        Op::SetExecutionTag(args) => vec![args.execution_id],
        Op::RevokeLease(args) => vec![args.execution_id],
        Op::Progress { handle, .. }
        | Op::Complete { handle, .. }
        | Op::CompleteAndClaim { handle, .. }
        | Op::Fail { handle, .. }
        | Op::Cancel { handle, .. }
        | Op::Delay { handle, .. }
        | Op::WaitChildren { handle }
        | Op::Suspend { handle, .. }
        | Op::CreateWaitpoint { handle, .. }
        | Op::Renew { handle } => of(handle).into_iter().collect(),
        Op::CompleteMany(batch) => batch.iter().filter_map(|args| of(&args.handle)).collect(),
        Op::RenewMany(handles) => handles.iter().filter_map(of).collect(),
        Op::ClaimExecution(args) => vec![args.grant.execution_id],
        Op::ClaimResumedExecution(args) => vec![args.grant.execution_id],
        Op::ClaimFromReclaim(token) => vec![token.grant.execution_id],
        Op::SuspendByTriple { id, .. } => vec![*id],
        Op::DeliverSignal(args) => vec![args.execution_id],
        Op::ResumeExecution(args) => vec![args.execution_id],
        Op::DescribeExecution(_)
        | Op::ReadExecutionState(_)
        | Op::ReadExecutionInfo(_)
        | Op::GetExecutionResult(_)
        | Op::ListExecutions { .. }
        | Op::ListLanes { .. }
        | Op::ListAttempts { .. }
        | Op::Claim { .. }
        | Op::ClaimMany { .. }
        | Op::ClaimForWorker(_)
        | Op::ExplainUnclaimed { .. }
        | Op::ObserveSignals(_)
        | Op::ListSuspended { .. }
        | Op::ListPendingWaitpoints(_)
        | Op::SeedWaitpointHmacSecret(_)
        | Op::RotateWaitpointHmacSecretAll(_)
        | Op::Scan { .. } => Vec::new(),
    }
}
