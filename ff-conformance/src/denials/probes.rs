//! The calls with which the suite asks for each operation that a capability gates.

mod waitpoints;

use std::sync::Arc;

use ff_core::{
    AttemptId, AttemptIndex, BackendTag, CancelExecutionArgs, CancelSource, Capability, CapabilitySet,
    ChangePriorityArgs, ClaimExecutionArgs, ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimGrant, ClaimPolicy,
    CompleteArgs, CreateExecutionArgs, EngineBackend, EngineError, ExecutionId, GrantKey, Handle, HandleKind,
    HandlePayload, LeaseEpoch, LeaseFence, LeaseId, Operation, PageLimit, ReplayExecutionArgs, RevokeLeaseArgs,
    ScanArgs, ScanCursor, ScannerFilter, ScannerKind, SetExecutionTagArgs, StreamCursor, TimestampMs,
};
use futures::future::BoxFuture;

use crate::{
    Claimed, Cx, Stop, TTL,
    forgeries::{damaged, foreign},
};

/// One call of a probe, made when it is awaited.
pub(super) struct Asked {
    /// What its arguments are.
    pub(super) arguments: &'static str,
    /// The call; nobody looks at what it returns.
    pub(super) call: BoxFuture<'static, Result<(), EngineError>>,
}

/// Arguments that an operation would take.
const GOOD: &str = "good arguments";

/// What the arguments of a probe are made of.
#[derive(Clone)]
pub(crate) struct Subject {
    client: Arc<dyn EngineBackend>,
    claimed: Claimed,
    foreign: Vec<Handle>,
    args: CreateExecutionArgs,
    policy: ClaimPolicy,
}

impl Subject {
    /// Arguments around a lease that is held.
    pub(crate) fn held(cx: &Cx, client: &Arc<dyn EngineBackend>, claimed: Claimed) -> Result<Self, Stop> {
        let foreign = foreign(&claimed)?;
        let (args, policy) = (cx.execution()?, cx.worker("worker", TTL)?);
        Ok(Self { client: Arc::clone(client), claimed, foreign, args, policy })
    }

    /// Arguments around a lease of an execution that never was, for a store that is empty.
    pub(crate) fn unknown(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Self, Stop> {
        let payload = HandlePayload {
            execution_id: cx.execution()?.execution_id,
            attempt_index: AttemptIndex(0),
            fence: LeaseFence { lease_id: LeaseId::new(), lease_epoch: LeaseEpoch(1), attempt_id: AttemptId::new() },
            lease_ttl: TTL,
            lane_id: cx.lane()?,
            worker_instance_id: cx.worker("worker", TTL)?.worker_instance_id,
        };
        let handle = payload.seal(BackendTag::try_new(client.backend_label())?, HandleKind::Fresh);
        Self::held(cx, client, Claimed { handle, payload })
    }

    fn id(&self) -> ExecutionId {
        self.claimed.payload.execution_id
    }

    /// An id of a partition that no store has.
    fn beyond(&self) -> ExecutionId {
        ExecutionId::from_parts(u16::MAX, self.id().as_uuid())
    }

    /// Handles that decode to nothing, and those of another backend.
    fn junk_handles(&self) -> Vec<Handle> {
        damaged(&self.claimed).into_iter().chain(self.foreign.iter().cloned()).collect()
    }

    /// A grant that nobody gave.
    fn forged_grant(&self) -> ClaimGrant {
        ClaimGrant {
            execution_id: self.id(),
            grant_key: GrantKey::new(),
            expires_at: TimestampMs::from_ms(i64::MAX),
            lane_id: self.claimed.payload.lane_id.clone(),
        }
    }

    fn redeeming(&self, grant: ClaimGrant) -> ClaimExecutionArgs {
        let ClaimPolicy { worker_id, worker_instance_id, lease_ttl, .. } = self.policy.clone();
        ClaimExecutionArgs::new(grant, worker_id, worker_instance_id, lease_ttl)
    }

    /// A grant of the next piece of work, else one that nobody gave.
    async fn granted(self) -> ClaimExecutionArgs {
        let ClaimPolicy { worker_id, worker_instance_id, lease_ttl, .. } = self.policy.clone();
        let args = ClaimForWorkerArgs::new(self.args.lane_id.clone(), worker_id, worker_instance_id, lease_ttl);
        let grant = match self.client.claim_for_worker(args).await {
            Ok(ClaimForWorkerOutcome::Granted(grant)) => grant,
            Ok(ClaimForWorkerOutcome::NoWork) | Err(_) => self.forged_grant(),
        };
        self.redeeming(grant)
    }

    fn asks<T, F>(&self, arguments: &'static str, call: impl FnOnce(Self) -> F + Send + 'static) -> Asked
    where
        F: Future<Output = Result<T, EngineError>> + Send + 'static,
    {
        let subject = self.clone();
        Asked { arguments, call: Box::pin(async move { call(subject).await.map(drop) }) }
    }
}

/// The calls with which the suite asks for one operation: with good arguments first, then with junk.
pub(super) type Probe = fn(&Subject) -> Vec<Asked>;

/// The probe of an operation that a capability gates.
pub(super) const fn probe_of(op: Operation) -> Option<Probe> {
    Some(match op {
        Operation::CreateExecutions => create_executions,
        Operation::ListExecutions => list_executions,
        Operation::ListLanes => list_lanes,
        Operation::ListAttempts => list_attempts,
        Operation::CancelExecution => cancel_execution,
        Operation::ChangePriority => change_priority,
        Operation::ReplayExecution => replay_execution,
        Operation::SetExecutionTag => set_execution_tag,
        Operation::Progress => progress,
        Operation::CompleteMany => complete_many,
        Operation::RenewMany => renew_many,
        Operation::RevokeLease => revoke_lease,
        Operation::ClaimMany => claim_many,
        Operation::ClaimForWorker => claim_for_worker,
        Operation::ClaimExecution => claim_execution,
        Operation::ClaimFromReclaim => claim_from_reclaim,
        Operation::ClaimResumedExecution => claim_resumed_execution,
        Operation::ExplainUnclaimed => explain_unclaimed,
        Operation::Suspend => waitpoints::suspend,
        Operation::SuspendByTriple => waitpoints::suspend_by_triple,
        Operation::CreateWaitpoint => waitpoints::create_waitpoint,
        Operation::ObserveSignals => waitpoints::observe_signals,
        Operation::DeliverSignal => waitpoints::deliver_signal,
        Operation::ResumeExecution => waitpoints::resume_execution,
        Operation::ListSuspended => waitpoints::list_suspended,
        Operation::ListPendingWaitpoints => waitpoints::list_pending_waitpoints,
        Operation::SeedWaitpointHmacSecret => waitpoints::seed_waitpoint_hmac_secret,
        Operation::RotateWaitpointHmacSecretAll => waitpoints::rotate_waitpoint_hmac_secret_all,
        Operation::SubscribeLeaseHistory => subscribe_lease_history,
        Operation::SubscribeCompletion => subscribe_completion,
        Operation::SubscribeOperatorEvents => subscribe_operator_events,
        Operation::SubscribeSignalDelivery => subscribe_signal_delivery,
        Operation::SubscribeCompletions => subscribe_completions,
        Operation::SubscribeCompletionsFiltered => subscribe_completions_filtered,
        Operation::Scan => scan,
        _ => return None,
    })
}

/// A gated operation without a probe does not compile.
const _: () = {
    let mut at = 0;
    while at < Operation::ALL.len() {
        let op = Operation::ALL[at];
        assert!(
            Capability::of(op).is_some() == probe_of(op).is_some(),
            "src/denials/probes.rs: `probe_of` names exactly the operations that a capability gates"
        );
        at += 1;
    }
};

fn create_executions(subject: &Subject) -> Vec<Asked> {
    let mut beyond = subject.args.clone();
    beyond.execution_id = subject.beyond();
    vec![
        subject.asks(GOOD, |with| async move { with.client.create_executions(vec![with.args]).await }),
        subject.asks("an id beyond all partitions", |with| async move {
            with.client.create_executions(vec![beyond.clone(), beyond]).await
        }),
        subject.asks("an empty batch", |with| async move { with.client.create_executions(Vec::new()).await }),
    ]
}

fn list_executions(subject: &Subject) -> Vec<Asked> {
    let page = |arguments, cursor| {
        subject.asks(arguments, move |with| async move { with.client.list_executions(cursor, PageLimit::MAX).await })
    };
    vec![
        page(GOOD, None),
        page(GOOD, Some(subject.id())),
        page("a cursor beyond all partitions", Some(subject.beyond())),
    ]
}

fn list_lanes(subject: &Subject) -> Vec<Asked> {
    let page =
        |cursor| subject.asks(GOOD, move |with| async move { with.client.list_lanes(cursor, PageLimit::MAX).await });
    vec![page(None), page(Some(subject.args.lane_id.clone()))]
}

fn list_attempts(subject: &Subject) -> Vec<Asked> {
    let page = |arguments, id: ExecutionId| {
        subject.asks(arguments, move |with| async move { with.client.list_attempts(&id, None, PageLimit::MAX).await })
    };
    vec![page(GOOD, subject.id()), page("an id beyond all partitions", subject.beyond())]
}

fn cancel_execution(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, args: CancelExecutionArgs| {
        subject.asks(arguments, move |with| async move { with.client.cancel_execution(args).await })
    };
    let unfenced = CancelExecutionArgs::new(subject.id(), "\0").source(CancelSource::LeaseHolder);
    vec![
        call(GOOD, CancelExecutionArgs::new(subject.id(), "no longer wanted")),
        call("an id beyond all partitions", CancelExecutionArgs::new(subject.beyond(), "x")),
        call("no fence where one is needed", unfenced),
    ]
}

fn change_priority(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, id| {
        let args = ChangePriorityArgs::new(id, i32::MAX);
        subject.asks(arguments, move |with| async move { with.client.change_priority(args).await })
    };
    vec![call(GOOD, subject.id()), call("an id beyond all partitions", subject.beyond())]
}

fn replay_execution(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, id| {
        let args = ReplayExecutionArgs::new(id);
        subject.asks(arguments, move |with| async move { with.client.replay_execution(args).await })
    };
    vec![call(GOOD, subject.id()), call("an id beyond all partitions", subject.beyond())]
}

fn set_execution_tag(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, args: SetExecutionTagArgs| {
        subject.asks(arguments, move |with| async move { with.client.set_execution_tag(args).await })
    };
    vec![
        call(GOOD, SetExecutionTagArgs::new(subject.id(), "order.kind", "book")),
        call("a key that is none", SetExecutionTagArgs::new(subject.id(), "", "\0")),
        call("an id beyond all partitions", SetExecutionTagArgs::clear(subject.beyond(), "order.kind")),
    ]
}

fn progress(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, handle: Handle, percent, message: &str| {
        let message = Some(message.to_owned());
        subject.asks(arguments, move |with| async move { with.client.progress(&handle, percent, message).await })
    };
    let held = || subject.claimed.handle.clone();
    let mut calls = vec![
        call(GOOD, held(), Some(40), "two of five"),
        call("a percent and a message out of range", held(), Some(u8::MAX), "\0"),
    ];
    calls.extend(subject.junk_handles().into_iter().map(|handle| call("a handle that is none", handle, None, "")));
    calls
}

fn complete_many(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, handles: Vec<Handle>| {
        let batch = handles.into_iter().map(|handle| CompleteArgs::new(handle, None)).collect();
        subject.asks(arguments, move |with| async move { with.client.complete_many(batch).await })
    };
    vec![
        call(GOOD, vec![subject.claimed.handle.clone()]),
        call("handles that are none", subject.junk_handles()),
        call("an empty batch", Vec::new()),
    ]
}

fn renew_many(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, handles: Vec<Handle>| {
        subject.asks(arguments, move |with| async move { with.client.renew_many(&handles).await })
    };
    vec![
        call(GOOD, vec![subject.claimed.handle.clone()]),
        call("handles that are none", subject.junk_handles()),
        call("an empty batch", Vec::new()),
    ]
}

fn revoke_lease(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, args: RevokeLeaseArgs| {
        subject.asks(arguments, move |with| async move { with.client.revoke_lease(args).await })
    };
    vec![
        call(GOOD, RevokeLeaseArgs::new(subject.id(), "stuck")),
        call("a reason that is none", RevokeLeaseArgs::new(subject.id(), "\0")),
        call("an id beyond all partitions", RevokeLeaseArgs::new(subject.beyond(), "stuck")),
    ]
}

fn claim_many(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, policy: ClaimPolicy| {
        subject.asks(arguments, move |with| async move {
            with.client.claim_many(&with.args.lane_id, &CapabilitySet::default(), policy, PageLimit::MAX).await
        })
    };
    let mut endless = subject.policy.clone();
    endless.lease_ttl = std::time::Duration::MAX;
    vec![call(GOOD, subject.policy.clone()), call("a lease life out of range", endless)]
}

fn claim_for_worker(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, ttl| {
        let ClaimPolicy { worker_id, worker_instance_id, .. } = subject.policy.clone();
        let args = ClaimForWorkerArgs::new(subject.args.lane_id.clone(), worker_id, worker_instance_id, ttl);
        subject.asks(arguments, move |with| async move { with.client.claim_for_worker(args).await })
    };
    vec![call(GOOD, TTL), call("a grant life out of range", std::time::Duration::MAX)]
}

fn claim_execution(subject: &Subject) -> Vec<Asked> {
    let forged = subject.redeeming(subject.forged_grant());
    vec![
        subject.asks(GOOD, |with| async move {
            let client = Arc::clone(&with.client);
            client.claim_execution(with.granted().await).await
        }),
        subject.asks("a grant that is none", |with| async move { with.client.claim_execution(forged).await }),
    ]
}

fn claim_from_reclaim(subject: &Subject) -> Vec<Asked> {
    let forged = subject.redeeming(subject.forged_grant());
    vec![
        subject.asks(GOOD, |with| async move {
            let client = Arc::clone(&with.client);
            client.claim_from_reclaim(with.granted().await).await
        }),
        subject.asks("a grant that is none", |with| async move { with.client.claim_from_reclaim(forged).await }),
    ]
}

fn claim_resumed_execution(subject: &Subject) -> Vec<Asked> {
    let forged = subject.redeeming(subject.forged_grant());
    vec![
        subject.asks(GOOD, |with| async move {
            let client = Arc::clone(&with.client);
            client.claim_resumed_execution(with.granted().await).await
        }),
        subject.asks("a grant that is none", |with| async move { with.client.claim_resumed_execution(forged).await }),
    ]
}

fn explain_unclaimed(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, id: ExecutionId| {
        subject.asks(arguments, move |with| async move {
            with.client.explain_unclaimed(&id, &CapabilitySet::default()).await
        })
    };
    vec![call(GOOD, subject.id()), call("an id beyond all partitions", subject.beyond())]
}

/// A cursor and a filter for good, and a cursor that nobody handed out.
fn cursors() -> [(&'static str, StreamCursor); 3] {
    [(GOOD, StreamCursor::Start), (GOOD, StreamCursor::End), ("a cursor that is none", StreamCursor::At(vec![0xff, 0]))]
}

fn subscribe_lease_history(subject: &Subject) -> Vec<Asked> {
    let call = |(arguments, cursor)| {
        subject.asks(arguments, move |with| async move {
            with.client.subscribe_lease_history(cursor, &ScannerFilter::new()).await
        })
    };
    cursors().into_iter().map(call).collect()
}

fn subscribe_completion(subject: &Subject) -> Vec<Asked> {
    let call = |(arguments, cursor)| {
        subject.asks(arguments, move |with| async move {
            with.client.subscribe_completion(cursor, &ScannerFilter::new()).await
        })
    };
    cursors().into_iter().map(call).collect()
}

fn subscribe_operator_events(subject: &Subject) -> Vec<Asked> {
    let call = |(arguments, cursor)| {
        subject.asks(arguments, move |with| async move {
            with.client.subscribe_operator_events(cursor, &ScannerFilter::new()).await
        })
    };
    cursors().into_iter().map(call).collect()
}

fn subscribe_signal_delivery(subject: &Subject) -> Vec<Asked> {
    let call = |(arguments, cursor)| {
        subject.asks(arguments, move |with| async move {
            with.client.subscribe_signal_delivery(cursor, &ScannerFilter::new()).await
        })
    };
    cursors().into_iter().map(call).collect()
}

fn subscribe_completions(subject: &Subject) -> Vec<Asked> {
    vec![subject.asks(GOOD, |with| async move { with.client.subscribe_completions().await })]
}

fn subscribe_completions_filtered(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, filter: ScannerFilter| {
        subject.asks(arguments, move |with| async move { with.client.subscribe_completions_filtered(&filter).await })
    };
    vec![call(GOOD, ScannerFilter::new()), call("a tag that is none", ScannerFilter::new().instance_tag("", "\0"))]
}

fn scan(subject: &Subject) -> Vec<Asked> {
    let call =
        |arguments, args: ScanArgs| subject.asks(arguments, move |with| async move { with.client.scan(args).await });
    vec![
        call(GOOD, ScanArgs::new(ScannerKind::LeaseExpiry)),
        call("a cursor that is none", ScanArgs::new(ScannerKind::Retention).cursor(Some(ScanCursor::from_text("\0")))),
    ]
}
