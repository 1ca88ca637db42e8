//! Suspensions and signals: one end for each suspension, and each signal told once, with what it did.

use std::collections::{BTreeMap, BTreeSet};

use ff_backend_memory::{Answer, Obs, Op};
use ff_core::{
    DeliverSignalArgs, DeliverSignalResult, ExecutionId, LeaseEventKind, OperatorEventKind, ReleaseReason,
    SignalDeliveryEffect, SignalEffect, SignalId, SuspendOutcome, SuspensionId, WaitpointId,
};

use super::{Calls, Finding};
use crate::bursts::{Recorded, Told};

const NAME: &str = "waitpoints";

pub(super) fn check(calls: &Calls<'_>) -> Option<Finding> {
    let told = calls.burst.log.by_execution();
    let sent = Sent::of(calls);
    let suspensions = suspensions(calls);
    one_end(&suspensions, &told)
        .or_else(|| resumed(&told))
        .or_else(|| told_once(&sent, &told))
        .or_else(|| repeats(&sent, &told))
        .or_else(|| closed(&suspensions, &sent))
}

/// Which suspension a waitpoint belongs to.
type Suspensions = BTreeMap<WaitpointId, SuspensionId>;

/// As answers showed it.
fn suspensions(calls: &Calls<'_>) -> Suspensions {
    let mut known = BTreeMap::new();
    for (_, _, obs) in calls.all() {
        let Obs::Answered(Ok(Answer::Suspend(outcome))) = obs else { continue };
        let (SuspendOutcome::Suspended { details, .. } | SuspendOutcome::AlreadySatisfied { details }) = &**outcome;
        let others = details.additional_waitpoints.iter().map(|other| other.waitpoint_id);
        let all = others.chain([details.waitpoint_id]);
        known.extend(all.map(|waitpoint| (waitpoint, details.suspension_id)));
    }
    known
}

/// By the log: signals end each suspension once, and signals and operators together no more than have begun.
fn one_end(suspensions: &Suspensions, told: &BTreeMap<ExecutionId, Told>) -> Option<Finding> {
    for (id, told) in told {
        let mut ended = BTreeSet::new();
        let ends = told.signals.iter().filter(|event| event.effect == SignalDeliveryEffect::Satisfied);
        for event in ends.clone() {
            let suspension = suspensions.get(&event.waitpoint_id);
            if suspension.is_some_and(|suspension| !ended.insert(*suspension)) {
                let text = format!("{id}: a suspension was ended by signal {} and by one before it", event.signal_id);
                return Some(Finding::new("FF-WPT-004", NAME, text));
            }
        }
        let operators = told.operators.iter().filter(|event| event.kind == OperatorEventKind::Resumed).count();
        let begun = told.leases.iter().filter(|event| event.reason == Some(ReleaseReason::Suspend)).count();
        let signals = ends.count();
        if signals + operators > begun {
            let text =
                format!("{id}: {begun} suspensions began, {signals} were ended by signals, {operators} by operators");
            return Some(Finding::new("FF-WPT-004", NAME, text));
        }
    }
    None
}

/// By the log: what was suspended goes on as the same attempt under the next epoch, unless it ran again from its end.
fn resumed(told: &BTreeMap<ExecutionId, Told>) -> Option<Finding> {
    told.iter().find_map(|(id, told)| {
        let replays = told.operators.iter().any(|event| event.kind == OperatorEventKind::Replayed);
        let next = told.leases.windows(2).find(|pair| {
            let goes_on =
                pair[1].kind == LeaseEventKind::Acquired && (pair[1].attempt_index == pair[0].attempt_index || replays);
            pair[0].reason == Some(ReleaseReason::Suspend) && !goes_on
        })?;
        let (epoch, kind, index) = (next[1].lease_epoch.0, next[1].kind, next[1].attempt_index.0);
        let text = format!("{id}: epoch {epoch} follows a suspension and is {kind} as attempt {index}");
        Some(Finding::new("FF-WPT-002", NAME, text))
    })
}

/// Deliveries by what came of them.
struct Sent<'a> {
    accepted: Vec<(&'a Recorded, &'a DeliverSignalArgs, SignalEffect)>,
    repeated: Vec<(&'a DeliverSignalArgs, SignalId)>,
    lost: BTreeSet<(WaitpointId, SignalId)>,
}

impl<'a> Sent<'a> {
    fn of(calls: &Calls<'a>) -> Self {
        let mut sent = Self { accepted: Vec::new(), repeated: Vec::new(), lost: BTreeSet::new() };
        for (recorded, op, obs) in calls.all() {
            let Op::DeliverSignal(args) = op else { continue };
            match obs {
                Obs::Answered(Ok(Answer::DeliverSignal(DeliverSignalResult::Accepted { effect, .. }))) => {
                    sent.accepted.push((recorded, &**args, *effect));
                }
                Obs::Answered(Ok(Answer::DeliverSignal(DeliverSignalResult::Duplicate { existing_signal_id }))) => {
                    sent.repeated.push((&**args, *existing_signal_id));
                }
                Obs::Lost => drop(sent.lost.insert((args.waitpoint_id, args.signal_id))),
                Obs::Answered(_) | Obs::NotDone => {}
            }
        }
        sent
    }
}

/// By both: every signal that was accepted is told once, as what it did, and no other is.
fn told_once(sent: &Sent<'_>, told: &BTreeMap<ExecutionId, Told>) -> Option<Finding> {
    let mut events = BTreeMap::new();
    for event in told.values().flat_map(|told| &told.signals) {
        let is_new = event.effect != SignalDeliveryEffect::Deduped;
        if is_new && events.insert((event.waitpoint_id, event.signal_id), event.effect).is_some() {
            let text = format!("{}: signal {} was taken twice", event.execution_id, event.signal_id);
            return Some(Finding::new("FF-WPT-008", NAME, text));
        }
    }
    for (_, args, effect) in &sent.accepted {
        let (id, signal) = (args.execution_id, args.signal_id);
        let seen = events.remove(&(args.waitpoint_id, signal));
        if seen != Some(as_told(*effect)) {
            let text = format!("{id}: signal {signal} was answered {effect}, and is told as {seen:?}");
            return Some(Finding::new("FF-WPT-027", NAME, text));
        }
    }
    events.into_keys().find(|told| !sent.lost.contains(told)).map(|(_, signal)| {
        Finding::new("FF-WPT-027", NAME, format!("signal {signal} is told, and nobody was told that it was accepted"))
    })
}

/// How a signal with that effect is told.
const fn as_told(effect: SignalEffect) -> SignalDeliveryEffect {
    match effect {
        SignalEffect::ResumeConditionSatisfied => SignalDeliveryEffect::Satisfied,
        SignalEffect::SignalIgnoredNotInCondition | SignalEffect::SignalIgnoredMatcherFailed => {
            SignalDeliveryEffect::Ignored
        }
        SignalEffect::AppendedToWaitpoint
        | SignalEffect::AppendedToWaitpointDuplicate
        | SignalEffect::BufferedForPendingWaitpoint => SignalDeliveryEffect::Buffered,
    }
}

/// By both: at one waitpoint a signal and a key are accepted once, and a repeat names what was.
fn repeats(sent: &Sent<'_>, told: &BTreeMap<ExecutionId, Told>) -> Option<Finding> {
    let mut keys = BTreeMap::new();
    for (_, args, _) in &sent.accepted {
        let (id, signal) = (args.execution_id, args.signal_id);
        let Some((key, _)) = args.dedup() else { continue };
        if let Some(other) = keys.insert((args.waitpoint_id, key), signal) {
            let text = format!("{id}: signals {other} and {signal} have the key {key:?}, and both were accepted");
            return Some(Finding::new("FF-WPT-008", NAME, text));
        }
    }
    let events = told.values().flat_map(|told| &told.signals);
    let taken = events.filter(|event| event.effect != SignalDeliveryEffect::Deduped);
    let taken: BTreeSet<_> = taken.map(|event| (event.waitpoint_id, event.signal_id)).collect();
    let unknown = sent.repeated.iter().find(|(args, first)| !taken.contains(&(args.waitpoint_id, *first)));
    unknown.map(|(args, first)| {
        let text = format!("{}: a repeat names signal {first}, which was never taken", args.execution_id);
        Finding::new("FF-WPT-008", NAME, text)
    })
}

/// By the answers: once a signal has ended a suspension, its waitpoints take no other.
fn closed(suspensions: &Suspensions, sent: &Sent<'_>) -> Option<Finding> {
    let mut ends = BTreeMap::new();
    for (recorded, args, effect) in &sent.accepted {
        let suspension = suspensions.get(&args.waitpoint_id);
        if let (Some(suspension), SignalEffect::ResumeConditionSatisfied) = (suspension, effect) {
            ends.insert(*suspension, recorded.returned);
        }
    }
    let is_late = |(recorded, args, _): &&(&Recorded, &DeliverSignalArgs, SignalEffect)| {
        let ended = suspensions.get(&args.waitpoint_id).and_then(|suspension| ends.get(suspension).copied().flatten());
        ended.is_some_and(|ended| ended < recorded.invoked)
    };
    sent.accepted.iter().find(is_late).map(|(_, args, _)| {
        let (id, signal) = (args.execution_id, args.signal_id);
        let text = format!("{id}: signal {signal} was accepted after another had ended its suspension");
        Finding::new("FF-WPT-009", NAME, text)
    })
}
