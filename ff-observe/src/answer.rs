//! What an answer has to count: leases that it hands out, rows that a scan saw.

use std::sync::Arc;

use ff_core::{
    CancelExecutionResult, ChangePriorityResult, ClaimExecutionResult, ClaimForWorkerOutcome, CompletionStream,
    CompletionSubscription, CreateExecutionResult, DeliverSignalResult, EngineError, ExecutionInfo, ExecutionSnapshot,
    FailOutcome, Handle, HandleKind, LeaseHistorySubscription, LeaseRenewal, ListAttemptsPage, ListExecutionsPage,
    ListLanesPage, ListPendingWaitpointsResult, ListSuspendedPage, OperatorSubscription, PendingWaitpoint,
    PrepareOutcome, PublicState, ReplayExecutionResult, ResumeExecutionResult, ResumeSignal, RevokeLeaseResult,
    RotateWaitpointHmacSecretAllResult, ScanReport, SeedOutcome, SignalDeliverySubscription, SuspendOutcome,
    UnclaimedReason,
};

/// What is counted of one answer.
#[derive(Debug, Default)]
pub struct Counted {
    kinds: [u64; KINDS.len()],
    pub(crate) scanner: Option<&'static str>,
    pub(crate) scanned: Option<(u64, u64)>,
}

const KINDS: [&str; 4] = ["fresh", "resumed", "reclaimed", "suspended"];

impl Counted {
    fn claimed(handles: &[Handle]) -> Self {
        let mut counted = Self::default();
        for handle in handles {
            let place = match handle.kind() {
                HandleKind::Fresh => 0,
                HandleKind::Resumed => 1,
                HandleKind::Reclaimed => 2,
                HandleKind::Suspended => 3,
            };
            counted.kinds[place] += 1;
        }
        counted
    }

    /// How many leases of each kind there were.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS.into_iter().zip(self.kinds).filter(|(_, number)| *number > 0)
    }
}

/// The answer of an operation. Every type that an operation answers with is listed here, so that none goes uncounted.
pub trait Answer {
    /// What is counted of it.
    fn counted(&self) -> Option<Counted> {
        None
    }
}

/// Answers in which nothing is counted.
macro_rules! plain {
    ($($answer:ty),* $(,)?) => { $(impl Answer for $answer {})* };
}

plain! {
    (),
    PrepareOutcome,
    CreateExecutionResult, CancelExecutionResult, ChangePriorityResult, ReplayExecutionResult,
    Option<ExecutionSnapshot>, Option<ExecutionInfo>, Option<PublicState>, Option<Vec<u8>>,
    ListExecutionsPage, ListLanesPage, ListAttemptsPage,
    FailOutcome, LeaseRenewal, RevokeLeaseResult, ClaimForWorkerOutcome, Option<UnclaimedReason>,
    SuspendOutcome, PendingWaitpoint, Vec<ResumeSignal>, DeliverSignalResult, ResumeExecutionResult,
    ListSuspendedPage, ListPendingWaitpointsResult, SeedOutcome, RotateWaitpointHmacSecretAllResult,
    CompletionSubscription, LeaseHistorySubscription, OperatorSubscription, SignalDeliverySubscription, CompletionStream,
}

/// A backend that connected.
impl<B> Answer for Arc<B> {}

impl<T> Answer for Vec<Result<T, EngineError>> {}

impl Answer for Option<Handle> {
    fn counted(&self) -> Option<Counted> {
        self.as_ref().map(|handle| Counted::claimed(std::slice::from_ref(handle)))
    }
}

impl Answer for Vec<Handle> {
    fn counted(&self) -> Option<Counted> {
        Some(Counted::claimed(self))
    }
}

impl Answer for ClaimExecutionResult {
    fn counted(&self) -> Option<Counted> {
        let Self::Claimed(handle) = self;
        Some(Counted::claimed(std::slice::from_ref(handle)))
    }
}

impl Answer for ScanReport {
    fn counted(&self) -> Option<Counted> {
        let scanned = Some((u64::from(self.examined), u64::from(self.changed)));
        Some(Counted { scanned, ..Counted::default() })
    }
}
