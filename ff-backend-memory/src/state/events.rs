//! What happened, in the order in which it was written.

use std::sync::Arc;

use ff_core::{
    AttemptIndex, CompletionEvent, ExecutionId, LeaseEpoch, LeaseEventKind, LeaseHistoryEvent, LeaseId, Namespace,
    OperatorEvent, OperatorEventKind, ReleaseReason, TerminalOutcome, TimestampMs, WorkerInstanceId,
};

use super::StoredExecution;

/// The event logs of one store; names are shared with the rows that they tell of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Events {
    lease: Vec<LeaseEntry>,
    completion: Vec<CompletionEntry>,
    operator: Vec<OperatorEntry>,
}

#[derive(Clone, Debug, PartialEq)]
struct LeaseEntry {
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

#[derive(Clone, Debug, PartialEq)]
struct CompletionEntry {
    execution_id: ExecutionId,
    namespace: Arc<Namespace>,
    outcome: TerminalOutcome,
    at: TimestampMs,
}

#[derive(Clone, Debug, PartialEq)]
struct OperatorEntry {
    execution_id: ExecutionId,
    namespace: Arc<Namespace>,
    kind: OperatorEventKind,
    detail: String,
    at: TimestampMs,
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
        self.operator.push(OperatorEntry {
            execution_id: row.record.execution_id,
            namespace: Arc::clone(&row.namespace),
            kind,
            detail,
            at: now,
        });
    }

    /// Takes back the latest completion.
    #[cfg(feature = "flaws")]
    pub(crate) fn forget_completion(&mut self) {
        self.completion.pop();
    }

    /// Removes, family by family and at most `most` in all, the oldest events up to the last that is old; tells how
    /// many they were.
    pub(crate) fn remove_old(&mut self, is_old: impl Fn(TimestampMs) -> bool, most: usize) -> usize {
        let leases = until_last(&self.lease, most, |entry| is_old(entry.at));
        self.lease.drain(..leases);
        let completions = until_last(&self.completion, most - leases, |entry| is_old(entry.at));
        self.completion.drain(..completions);
        leases + completions
    }

    /// Everything that was told of leases.
    pub(crate) fn lease_history(&self) -> impl Iterator<Item = LeaseHistoryEvent> {
        self.lease.iter().map(|entry| LeaseHistoryEvent {
            execution_id: entry.execution_id,
            namespace: Namespace::clone(&entry.namespace),
            kind: entry.kind,
            lease_id: entry.lease_id,
            lease_epoch: entry.lease_epoch,
            attempt_index: entry.attempt_index,
            worker_instance_id: WorkerInstanceId::clone(&entry.worker_instance_id),
            reason: entry.reason,
            at: entry.at,
        })
    }

    /// Everything that was told of completions.
    pub(crate) fn completions(&self) -> impl Iterator<Item = CompletionEvent> {
        self.completion.iter().map(|entry| CompletionEvent {
            execution_id: entry.execution_id,
            namespace: Namespace::clone(&entry.namespace),
            outcome: entry.outcome,
            at: entry.at,
        })
    }

    /// Everything that was told of operators.
    pub(crate) fn operators(&self) -> impl Iterator<Item = OperatorEvent> {
        self.operator.iter().map(|entry| OperatorEvent {
            execution_id: entry.execution_id,
            namespace: Namespace::clone(&entry.namespace),
            kind: entry.kind,
            detail: entry.detail.clone(),
            at: entry.at,
        })
    }
}

/// How many of the first `most` entries there are up to the last that is old.
fn until_last<T>(entries: &[T], most: usize, is_old: impl Fn(&T) -> bool) -> usize {
    entries.iter().take(most).rposition(is_old).map_or(0, |last| last + 1)
}
