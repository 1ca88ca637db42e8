//! What happened, in the order in which it was written.

use std::{collections::VecDeque, sync::Arc};

use ff_core::{
    AttemptIndex, CompletionEvent, ExecutionId, LeaseEpoch, LeaseEventKind, LeaseHistoryEvent, LeaseId, Namespace,
    OperatorEvent, OperatorEventKind, ReleaseReason, SignalDeliveryEvent, TerminalOutcome, TimestampMs,
    WorkerInstanceId,
};

use super::StoredExecution;

/// The event logs of one store; names are shared with the rows that they tell of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Events {
    pub(crate) lease: Log<LeaseEntry>,
    pub(crate) completion: Log<CompletionEntry>,
    pub(crate) operator: Log<OperatorEvent>,
    pub(crate) signal: Log<SignalDeliveryEvent>,
}

/// One family, oldest first; each event keeps its number when older ones are removed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Log<T> {
    removed: usize,
    kept: VecDeque<T>,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { removed: 0, kept: VecDeque::new() }
    }
}

impl<T> Log<T> {
    /// Writes one more event.
    pub(crate) fn push(&mut self, event: T) {
        self.kept.push_back(event);
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.kept.iter()
    }

    /// How many events were removed.
    pub(crate) fn removed(&self) -> usize {
        self.removed
    }

    /// How many events were ever written.
    pub(crate) fn written(&self) -> usize {
        self.removed + self.kept.len()
    }

    /// The events behind the first `passed` that were ever written.
    pub(crate) fn behind(&self, passed: usize) -> impl Iterator<Item = &T> {
        self.kept.range(passed.saturating_sub(self.removed).min(self.kept.len())..)
    }

    /// Removes, of the first `most` events, those up to the last that is old; tells how many.
    fn remove(&mut self, most: usize, is_old: impl Fn(&T) -> bool) -> usize {
        let found = self.kept.iter().take(most).enumerate().filter(|(_, event)| is_old(event)).last();
        let found = found.map_or(0, |(at, _)| at + 1);
        self.kept.drain(..found);
        self.removed += found;
        found
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LeaseEntry {
    execution_id: ExecutionId,
    namespace: Arc<Namespace>,
    kind: LeaseEventKind,
    lease_id: LeaseId,
    lease_epoch: LeaseEpoch,
    attempt_index: AttemptIndex,
    worker_instance_id: Arc<WorkerInstanceId>,
    reason: Option<ReleaseReason>,
    at: TimestampMs,
}

impl From<&LeaseEntry> for LeaseHistoryEvent {
    fn from(entry: &LeaseEntry) -> Self {
        Self {
            execution_id: entry.execution_id,
            namespace: Namespace::clone(&entry.namespace),
            kind: entry.kind,
            lease_id: entry.lease_id,
            lease_epoch: entry.lease_epoch,
            attempt_index: entry.attempt_index,
            worker_instance_id: WorkerInstanceId::clone(&entry.worker_instance_id),
            reason: entry.reason,
            at: entry.at,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CompletionEntry {
    execution_id: ExecutionId,
    namespace: Arc<Namespace>,
    outcome: TerminalOutcome,
    at: TimestampMs,
}

impl From<&CompletionEntry> for CompletionEvent {
    fn from(entry: &CompletionEntry) -> Self {
        Self {
            execution_id: entry.execution_id,
            namespace: Namespace::clone(&entry.namespace),
            outcome: entry.outcome,
            at: entry.at,
        }
    }
}

impl Events {
    /// Tells of the latest lease of an execution.
    pub(crate) fn lease(
        &mut self,
        row: &StoredExecution,
        kind: LeaseEventKind,
        reason: Option<ReleaseReason>,
        now: TimestampMs,
    ) {
        let Some(attempt) = row.attempts.last() else { return };
        self.lease.push(LeaseEntry {
            execution_id: row.record.execution_id,
            namespace: Arc::clone(&row.namespace),
            kind,
            lease_id: attempt.lease_id,
            lease_epoch: attempt.lease_epoch,
            attempt_index: attempt.attempt_index,
            worker_instance_id: Arc::clone(&attempt.worker_instance_id),
            reason,
            at: now,
        });
    }

    /// Tells that an execution ended.
    pub(crate) fn completion(&mut self, row: &StoredExecution, outcome: TerminalOutcome, now: TimestampMs) {
        self.completion.push(CompletionEntry {
            execution_id: row.record.execution_id,
            namespace: Arc::clone(&row.namespace),
            outcome,
            at: now,
        });
    }

    /// Tells what an operator did to an execution.
    pub(crate) fn operator(
        &mut self,
        row: &StoredExecution,
        kind: OperatorEventKind,
        detail: String,
        now: TimestampMs,
    ) {
        self.operator.push(OperatorEvent {
            execution_id: row.record.execution_id,
            namespace: Namespace::clone(&row.namespace),
            kind,
            detail,
            at: now,
        });
    }

    /// How many events of all families were ever written.
    pub(crate) fn written(&self) -> usize {
        self.lease.written() + self.completion.written() + self.operator.written() + self.signal.written()
    }

    /// Tells the latest event of a lease once more.
    #[cfg(feature = "flaws")]
    pub(crate) fn tell_again(&mut self) {
        self.lease.kept.extend(self.lease.kept.back().cloned());
    }

    /// Forgets the reason of the latest event of a lease.
    #[cfg(feature = "flaws")]
    pub(crate) fn forget_reason(&mut self) {
        if let Some(entry) = self.lease.kept.back_mut() {
            entry.reason = None;
        }
    }

    /// True if a lease was told of.
    pub(crate) fn knows_lease(&self, lease_id: LeaseId) -> bool {
        self.lease.iter().any(|entry| entry.lease_id == lease_id)
    }

    /// Gives a lease that was told of another id.
    pub(crate) fn rename_lease(&mut self, from: LeaseId, to: LeaseId) {
        self.lease.kept.iter_mut().filter(|entry| entry.lease_id == from).for_each(|entry| entry.lease_id = to);
    }

    /// Takes back the latest completion.
    #[cfg(feature = "flaws")]
    pub(crate) fn forget_completion(&mut self) {
        self.completion.kept.pop_back();
    }

    /// Removes, family by family and at most `most` in all, the oldest events up to the last that is old; tells how
    /// many they were.
    pub(crate) fn remove_old(&mut self, is_old: impl Fn(TimestampMs) -> bool, most: usize) -> usize {
        let mut removed = self.lease.remove(most, |entry| is_old(entry.at));
        removed += self.completion.remove(most - removed, |entry| is_old(entry.at));
        removed += self.operator.remove(most - removed, |event| is_old(event.at));
        removed + self.signal.remove(most - removed, |event| is_old(event.at))
    }

    /// Everything that was told of leases.
    pub(crate) fn lease_history(&self) -> impl Iterator<Item = LeaseHistoryEvent> {
        self.lease.iter().map(LeaseHistoryEvent::from)
    }

    /// Everything that was told of completions.
    pub(crate) fn completions(&self) -> impl Iterator<Item = CompletionEvent> {
        self.completion.iter().map(CompletionEvent::from)
    }

    /// Everything that was told of operators.
    pub(crate) fn operator_events(&self) -> impl Iterator<Item = OperatorEvent> {
        self.operator.iter().cloned()
    }
    /// Everything that was told of deliveries.
    pub(crate) fn signal_deliveries(&self) -> impl Iterator<Item = SignalDeliveryEvent> {
        self.signal.iter().cloned()
    }
}
