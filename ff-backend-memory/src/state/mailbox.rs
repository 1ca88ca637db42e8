//! What was delivered to an execution: its waitpoints, their signals and what suspensions answered.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use ff_core::{
    ConditionSignal, ExecutionId, ExecutionPolicy, HandlePayload, Kid, ResumeSignal, SuspensionEnd, SuspensionId,
    SuspensionPolicy, TerminalOutcome, TimestampMs, WaitpointId, WaitpointRecord,
};

use super::StoredExecution;

/// The waitpoints and signals of one execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mailbox {
    /// What holds for suspensions that do not say otherwise.
    pub policy: Option<SuspensionPolicy>,
    /// How many signals it takes; `None` is no limit.
    pub signals_max: Option<u32>,
    /// All waitpoints that it ever had, by id.
    pub waitpoints: BTreeMap<WaitpointId, WaitpointRecord>,
    /// All signals that it accepted, in their order.
    pub signals: Vec<SignalRecord>,
    /// What the suspend of the latest suspension answered.
    pub latest: Option<FirstSuspension>,
    /// What suspends answered, by idempotency key.
    pub keys: BTreeMap<String, (FirstSuspension, TimestampMs)>,
}

/// An accepted signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalRecord {
    /// The waitpoint that it was delivered to.
    pub waitpoint_id: WaitpointId,
    /// Its idempotency key, and when that lapses.
    pub dedup: Option<(String, TimestampMs)>,
    /// What a resumed worker sees of it.
    pub signal: ResumeSignal,
}

/// What the first of equal suspends answered; tokens are signed anew from the keys that signed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstSuspension {
    /// The suspension.
    pub suspension_id: SuspensionId,
    /// Its waitpoints in the order of their bindings: id, key and the key that signed.
    pub waitpoints: Vec<(WaitpointId, String, Kid)>,
    /// True if nothing was suspended.
    pub already_satisfied: bool,
    /// The content of the receipt.
    pub receipt: HandlePayload,
}

impl Mailbox {
    pub(crate) fn new(policy: &ExecutionPolicy) -> Self {
        Self { policy: policy.suspension_policy, signals_max: policy.signals_max(), ..Self::default() }
    }

    /// What a condition sees of a signal.
    pub(crate) fn seen(&self, record: &SignalRecord) -> Option<ConditionSignal> {
        let waitpoint = self.waitpoints.get(&record.waitpoint_id)?;
        Some(ConditionSignal {
            waitpoint_key: waitpoint.waitpoint_key.clone(),
            signal_id: record.signal.signal_id,
            signal_name: record.signal.signal_name.clone(),
            source_type: record.signal.source_type.clone(),
            source_identity: record.signal.source_identity.clone(),
        })
    }

    /// The signals at the waitpoints of the suspension with that number, in the order of their acceptance.
    pub(crate) fn signals_of(&self, number: u32) -> impl Iterator<Item = &SignalRecord> {
        let is_its_own = move |id: &WaitpointId| {
            self.waitpoints.get(id).is_some_and(|waitpoint| waitpoint.suspension_number == Some(number))
        };
        self.signals.iter().filter(move |record| is_its_own(&record.waitpoint_id))
    }

    pub(super) fn write_dump(&self, out: &mut String, id: &ExecutionId) -> fmt::Result {
        writeln!(out, "suspensions {id} {:?} {:?}", self.policy, self.signals_max)?;
        for waitpoint in self.waitpoints.values() {
            writeln!(out, "waitpoint {id} {waitpoint:?}")?;
        }
        for signal in &self.signals {
            writeln!(out, "signal {id} {signal:?}")?;
        }
        writeln!(out, "suspended {id} {:?}", self.latest)?;
        for (key, first) in &self.keys {
            writeln!(out, "suspend_key {id} {key:?} {first:?}")?;
        }
        Ok(())
    }
}

impl StoredExecution {
    /// Ends the open suspension of an execution that ends, if there is one and its time-out has not ended it before.
    pub(crate) fn close_suspension(&mut self, outcome: TerminalOutcome, at: TimestampMs, now: TimestampMs) {
        self.record.settle_suspension(now);
        let end = match outcome {
            TerminalOutcome::Cancelled => SuspensionEnd::Cancelled,
            _ => SuspensionEnd::ExecutionDeadline,
        };
        if let Some(suspension) = self.record.suspension.as_mut().filter(|suspension| suspension.ended.is_none()) {
            suspension.ended = Some((end, at));
        }
    }
}
