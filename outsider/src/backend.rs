//! The contract over the journal: one step each.

use std::time::Duration;

use ff_backend_memory::{Answer, Op};
use ff_core::{
    AttemptIndex, Attempts, BackendIdentity, BackendTag, CancelExecutionArgs, CancelExecutionResult, Capabilities,
    Capability, CapabilitySet, ChangePriorityArgs, ChangePriorityResult, ClaimExecutionArgs, ClaimExecutionResult,
    ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimPolicy, ClaimResumedExecutionArgs, ClaimResumedExecutionResult,
    Claims, CompleteArgs, CompletionBackend, CompletionStream, CompletionSubscription, CreateExecutionArgs,
    CreateExecutionResult, Durability, EngineBackend, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot,
    Executions, FailOutcome, FailureClass, FailureReason, Handle, LaneId, LeaseHistorySubscription, LeaseRenewal,
    Leases, ListAttemptsPage, ListExecutionsPage, ListLanesPage, Operation, OperatorSubscription, OrderScope,
    PageLimit, PrepareOutcome, Properties, PublicState, ReclaimToken, ReplayExecutionArgs, ReplayExecutionResult,
    RevokeLeaseArgs, RevokeLeaseResult, ScanArgs, ScanReport, ScannerFilter, Scanners, SetExecutionTagArgs,
    SignalDeliverySubscription, StreamCursor, Subscriptions, Supports, TimestampMs, UnclaimedReason, WakeUp,
    async_trait,
};

use crate::{
    Journal,
    journal::{LABEL, limits},
    pause::pause,
};

/// The label in the handles of the rules that the steps follow.
const RULES: &str = "memory";

/// What a journal does not do.
const LACKING: [Capability; 12] = [
    Capability::Listings,
    Capability::Batches,
    Capability::OperatorControl,
    Capability::Tags,
    Capability::Grants,
    Capability::Explanations,
    Capability::Waitpoints,
    Capability::LeaseHistory,
    Capability::Completions,
    Capability::OperatorEvents,
    Capability::SignalDeliveries,
    Capability::Scanners,
];

/// How long a waiting claim pauses between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Takes one step and unwraps the answer that belongs to it.
macro_rules! answer {
    ($journal:ident, $answer:ident, $op:expr) => {
        match $journal.step(&$op)? {
            Answer::$answer(value) => Ok(value),
            other => Err(EngineError::corrupt(format!("answer of another operation: {other:?}"))),
        }
    };
}

/// The same lease in a handle of the backend `to`.
fn relabelled(handle: &Handle, from: &str, to: &str) -> Result<Handle, EngineError> {
    Ok(handle.decode(from)?.seal(BackendTag::try_new(to)?, handle.kind()))
}

fn known(handle: &Handle) -> Result<Handle, EngineError> {
    relabelled(handle, LABEL, RULES)
}

#[async_trait]
impl Executions for Journal {
    async fn create_execution(&self, args: CreateExecutionArgs) -> Result<CreateExecutionResult, EngineError> {
        answer!(self, CreateExecution, Op::CreateExecution(Box::new(args)))
    }

    async fn describe_execution(&self, id: &ExecutionId) -> Result<Option<ExecutionSnapshot>, EngineError> {
        answer!(self, DescribeExecution, Op::DescribeExecution(*id)).map(|snapshot| snapshot.map(|boxed| *boxed))
    }

    async fn read_execution_state(&self, id: &ExecutionId) -> Result<Option<PublicState>, EngineError> {
        answer!(self, ReadExecutionState, Op::ReadExecutionState(*id))
    }

    async fn read_execution_info(&self, id: &ExecutionId) -> Result<Option<ExecutionInfo>, EngineError> {
        answer!(self, ReadExecutionInfo, Op::ReadExecutionInfo(*id)).map(|info| info.map(|boxed| *boxed))
    }

    async fn get_execution_result(&self, id: &ExecutionId) -> Result<Option<Vec<u8>>, EngineError> {
        answer!(self, GetExecutionResult, Op::GetExecutionResult(*id))
    }

    async fn list_executions(
        &self,
        _cursor: Option<ExecutionId>,
        _limit: PageLimit,
    ) -> Result<ListExecutionsPage, EngineError> {
        Err(EngineError::unavailable(Operation::ListExecutions))
    }

    async fn list_lanes(&self, _cursor: Option<LaneId>, _limit: PageLimit) -> Result<ListLanesPage, EngineError> {
        Err(EngineError::unavailable(Operation::ListLanes))
    }

    async fn create_executions(
        &self,
        _batch: Vec<CreateExecutionArgs>,
    ) -> Result<Vec<Result<CreateExecutionResult, EngineError>>, EngineError> {
        Err(EngineError::unavailable(Operation::CreateExecutions))
    }

    async fn cancel_execution(&self, _args: CancelExecutionArgs) -> Result<CancelExecutionResult, EngineError> {
        Err(EngineError::unavailable(Operation::CancelExecution))
    }

    async fn change_priority(&self, _args: ChangePriorityArgs) -> Result<ChangePriorityResult, EngineError> {
        Err(EngineError::unavailable(Operation::ChangePriority))
    }

    async fn replay_execution(&self, _args: ReplayExecutionArgs) -> Result<ReplayExecutionResult, EngineError> {
        Err(EngineError::unavailable(Operation::ReplayExecution))
    }

    async fn list_attempts(
        &self,
        _id: &ExecutionId,
        _cursor: Option<AttemptIndex>,
        _limit: PageLimit,
    ) -> Result<ListAttemptsPage, EngineError> {
        Err(EngineError::unavailable(Operation::ListAttempts))
    }

    async fn set_execution_tag(&self, _args: SetExecutionTagArgs) -> Result<(), EngineError> {
        Err(EngineError::unavailable(Operation::SetExecutionTag))
    }
}

#[async_trait]
impl Attempts for Journal {
    async fn progress(&self, handle: &Handle, percent: Option<u8>, message: Option<String>) -> Result<(), EngineError> {
        self.check_open()?;
        self.step(&Op::Progress { handle: known(handle)?, percent, message }).map(drop)
    }

    async fn complete(&self, handle: &Handle, payload: Option<Vec<u8>>) -> Result<(), EngineError> {
        self.check_open()?;
        self.step(&Op::Complete { handle: known(handle)?, payload }).map(drop)
    }

    async fn fail(
        &self,
        handle: &Handle,
        reason: FailureReason,
        classification: FailureClass,
    ) -> Result<FailOutcome, EngineError> {
        self.check_open()?;
        answer!(self, Fail, Op::Fail { handle: known(handle)?, reason, classification })
    }

    async fn cancel(&self, handle: &Handle, reason: &str) -> Result<(), EngineError> {
        self.check_open()?;
        self.step(&Op::Cancel { handle: known(handle)?, reason: reason.to_owned() }).map(drop)
    }

    async fn delay(&self, handle: &Handle, delay_until: TimestampMs) -> Result<(), EngineError> {
        self.check_open()?;
        self.step(&Op::Delay { handle: known(handle)?, delay_until }).map(drop)
    }

    async fn wait_children(&self, handle: &Handle) -> Result<(), EngineError> {
        self.check_open()?;
        self.step(&Op::WaitChildren { handle: known(handle)? }).map(drop)
    }

    async fn complete_many(&self, _batch: Vec<CompleteArgs>) -> Result<Vec<Result<(), EngineError>>, EngineError> {
        Err(EngineError::unavailable(Operation::CompleteMany))
    }

    async fn complete_and_claim(
        &self,
        handle: &Handle,
        payload: Option<Vec<u8>>,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        self.check_open()?;
        let held = known(handle)?;
        let lane = handle.decode(LABEL)?.lane_id;
        let (capabilities, waits) = (capabilities.clone(), policy.max_wait.is_some());
        let op =
            Op::CompleteAndClaim { handle: held, payload, capabilities: capabilities.clone(), policy: policy.clone() };
        let taken: Option<Handle> = answer!(self, Claim, op)?;
        match taken {
            Some(handle) => relabelled(&handle, RULES, LABEL).map(Some),
            None if waits => self.claim(&lane, &capabilities, policy).await,
            None => Ok(None),
        }
    }
}

#[async_trait]
impl Leases for Journal {
    async fn renew(&self, handle: &Handle) -> Result<LeaseRenewal, EngineError> {
        self.check_open()?;
        answer!(self, Renew, Op::Renew { handle: known(handle)? })
    }

    async fn renew_many(&self, _handles: &[Handle]) -> Result<Vec<Result<LeaseRenewal, EngineError>>, EngineError> {
        Err(EngineError::unavailable(Operation::RenewMany))
    }

    async fn revoke_lease(&self, _args: RevokeLeaseArgs) -> Result<RevokeLeaseResult, EngineError> {
        Err(EngineError::unavailable(Operation::RevokeLease))
    }
}

#[async_trait]
impl Claims for Journal {
    async fn claim(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        let mut rest = policy.max_wait.unwrap_or_default();
        let op = Op::Claim { lane: lane.clone(), capabilities: capabilities.clone(), policy };
        loop {
            let found: Option<Handle> = answer!(self, Claim, op)?;
            if let Some(handle) = found {
                return relabelled(&handle, RULES, LABEL).map(Some);
            }
            if rest.is_zero() {
                return Ok(None);
            }
            let wait = POLL.min(rest);
            pause(wait).await;
            rest -= wait;
        }
    }

    async fn claim_many(
        &self,
        _lane: &LaneId,
        _capabilities: &CapabilitySet,
        _policy: ClaimPolicy,
        _limit: PageLimit,
    ) -> Result<Vec<Handle>, EngineError> {
        Err(EngineError::unavailable(Operation::ClaimMany))
    }

    async fn claim_for_worker(&self, _args: ClaimForWorkerArgs) -> Result<ClaimForWorkerOutcome, EngineError> {
        Err(EngineError::unavailable(Operation::ClaimForWorker))
    }

    async fn claim_execution(&self, _args: ClaimExecutionArgs) -> Result<ClaimExecutionResult, EngineError> {
        Err(EngineError::unavailable(Operation::ClaimExecution))
    }

    async fn claim_from_reclaim(&self, _token: ReclaimToken) -> Result<Option<Handle>, EngineError> {
        Err(EngineError::unavailable(Operation::ClaimFromReclaim))
    }

    async fn claim_resumed_execution(
        &self,
        _args: ClaimResumedExecutionArgs,
    ) -> Result<ClaimResumedExecutionResult, EngineError> {
        Err(EngineError::unavailable(Operation::ClaimResumedExecution))
    }

    async fn explain_unclaimed(
        &self,
        _id: &ExecutionId,
        _capabilities: &CapabilitySet,
    ) -> Result<Option<UnclaimedReason>, EngineError> {
        Err(EngineError::unavailable(Operation::ExplainUnclaimed))
    }
}

#[async_trait]
impl Subscriptions for Journal {
    async fn subscribe_lease_history(
        &self,
        _cursor: StreamCursor,
        _filter: &ScannerFilter,
    ) -> Result<LeaseHistorySubscription, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeLeaseHistory))
    }

    async fn subscribe_completion(
        &self,
        _cursor: StreamCursor,
        _filter: &ScannerFilter,
    ) -> Result<CompletionSubscription, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeCompletion))
    }

    async fn subscribe_operator_events(
        &self,
        _cursor: StreamCursor,
        _filter: &ScannerFilter,
    ) -> Result<OperatorSubscription, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeOperatorEvents))
    }

    async fn subscribe_signal_delivery(
        &self,
        _cursor: StreamCursor,
        _filter: &ScannerFilter,
    ) -> Result<SignalDeliverySubscription, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeSignalDelivery))
    }
}

#[async_trait]
impl CompletionBackend for Journal {
    async fn subscribe_completions(&self) -> Result<CompletionStream, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeCompletions))
    }

    async fn subscribe_completions_filtered(&self, _filter: &ScannerFilter) -> Result<CompletionStream, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeCompletionsFiltered))
    }
}

#[async_trait]
impl Scanners for Journal {
    async fn scan(&self, _args: ScanArgs) -> Result<ScanReport, EngineError> {
        Err(EngineError::unavailable(Operation::Scan))
    }
}

#[async_trait]
impl EngineBackend for Journal {
    fn backend_label(&self) -> &'static str {
        LABEL
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            identity: BackendIdentity { label: LABEL.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            supports: LACKING.iter().fold(Supports::all(), |supports, lacking| supports.without(*lacking)),
            properties: Properties {
                // The system writes within half a minute, in the order of the lines.
                durability: Durability::Bounded(Duration::from_secs(30)),
                order: OrderScope::Store,
                wake_up: WakeUp::Poll(POLL),
            },
            limits: limits(),
        }
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.check_open()?;
        self.inspect(|_| ())
    }

    async fn prepare(&self) -> Result<PrepareOutcome, EngineError> {
        self.ping().await.map(|()| PrepareOutcome::NoOp)
    }

    async fn shutdown_prepare(&self, _grace: Duration) -> Result<(), EngineError> {
        self.close();
        Ok(())
    }
}
