//! What was seen of one burst.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use ff_backend_memory::{Obs, Op};
use ff_core::{
    CompletionEvent, ExecutionId, LeaseHistoryEvent, Limits, OperatorEvent, RotateWaitpointHmacSecretAllArgs,
    SignalDeliveryEvent, TimestampMs,
};
use serde::{Deserialize, Serialize};

/// One burst: every call with its answer, and what the store told of it afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// The seed from which its calls were drawn.
    pub seed: u64,
    /// The label of the backend whose handles it holds.
    pub label: String,
    /// Where the store's clock stood at first.
    pub begin: TimestampMs,
    /// The key that signs tokens at first, if work is suspended.
    pub key: Option<RotateWaitpointHmacSecretAllArgs>,
    /// What was done, by the order in which it began.
    pub calls: Vec<Recorded>,
    /// The events of its executions, read when all was over.
    pub log: Log,
    /// What subscribers saw that lost their connection now and then.
    pub feeds: Vec<Log>,
}

/// One thing that a client did, or the harness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Who: a number of a client.
    pub client: usize,
    /// When it began; a counter orders all begins and ends.
    pub invoked: u64,
    /// When its answer came.
    pub returned: Option<u64>,
    /// What.
    pub deed: Deed,
}

/// What can be done in a burst.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// An operation of the contract, and what was seen of it.
    Call {
        /// The operation.
        op: Box<Op>,
        /// What came back.
        obs: Box<Obs>,
    },
    /// The store's clock was moved, while no call was under way.
    Clock(TimestampMs),
}

/// Events, each family in the order in which a subscriber got it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// What happened to leases.
    pub leases: Vec<LeaseHistoryEvent>,
    /// What ended.
    pub completions: Vec<CompletionEvent>,
    /// What operators did.
    pub operators: Vec<OperatorEvent>,
    /// What was delivered to waitpoints.
    pub signals: Vec<SignalDeliveryEvent>,
    /// Whether the subscriber got in each family the event that was written behind all others.
    pub is_whole: bool,
}

/// The events of one execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) leases: Vec<LeaseHistoryEvent>,
    pub(crate) completions: Vec<CompletionEvent>,
    pub(crate) operators: Vec<OperatorEvent>,
    pub(crate) signals: Vec<SignalDeliveryEvent>,
}

impl Told {
    /// How many there are of each family: leases, completions, operators, signals.
    pub(crate) fn counts(&self) -> [usize; 4] {
        [self.leases.len(), self.completions.len(), self.operators.len(), self.signals.len()]
    }
}

impl Log {
    /// The events by execution: between two executions there is no order.
    pub(crate) fn by_execution(&self) -> BTreeMap<ExecutionId, Told> {
        let mut told: BTreeMap<ExecutionId, Told> = BTreeMap::new();
        for event in &self.leases {
            told.entry(event.execution_id).or_default().leases.push(event.clone());
        }
        for event in &self.completions {
            told.entry(event.execution_id).or_default().completions.push(event.clone());
        }
        for event in &self.operators {
            told.entry(event.execution_id).or_default().operators.push(event.clone());
        }
        for event in &self.signals {
            told.entry(event.execution_id).or_default().signals.push(event.clone());
        }
        told
    }
}

/// The limits of a store whose bursts are judged.
pub(crate) fn limits() -> Limits {
    Limits::of_partitions(1)
}

/// Writes down what happens, in the order in which it does.
#[derive(Debug, Default)]
pub(crate) struct Tape(Mutex<(u64, Vec<Recorded>)>);

impl Tape {
    /// Notes that `client` begins `deed`, and returns its number.
    pub(crate) fn begins(&self, client: usize, deed: Deed) -> usize {
        let (count, calls) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        calls.push(Recorded { client, invoked: *count, returned: None, deed });
        calls.len() - 1
    }

    /// Notes the end of the deed of that number, with what was seen of it.
    pub(crate) fn ends(&self, number: usize, seen: Option<Obs>) {
        let (count, calls) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        let Some(recorded) = calls.get_mut(number) else { return };
        if let (Deed::Call { obs, .. }, Some(seen)) = (&mut recorded.deed, seen) {
            **obs = seen;
        }
        recorded.returned = match &recorded.deed {
            Deed::Call { obs, .. } if **obs == Obs::Lost => None,
            Deed::Call { .. } | Deed::Clock(_) => Some(*count),
        };
    }

    /// Everything that was noted.
    pub(crate) fn calls(&self) -> Vec<Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}
