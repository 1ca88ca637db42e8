//! What the suite asks of an operation that a backend may lack: good arguments first, then junk.

use std::sync::Arc;

use ff_core::{
    AttemptIndex, CancelExecutionArgs, CancelSource, Capability, CapabilitySet, ChangePriorityArgs, ClaimExecutionArgs,
    ClaimForWorkerArgs, ClaimGrant, ClaimPolicy, CompleteArgs, CreateExecutionArgs, ExecutionId, GrantKey, Handle,
    LaneId, Namespace, Operation, PageLimit, ReplayExecutionArgs, RevokeLeaseArgs, ScanArgs, ScanCursor, ScannerFilter,
    ScannerKind, SetExecutionTagArgs, StreamCursor, TimestampMs, WorkerId,
};

use super::{Asked, Subject, asked};
use crate::TTL;

/// The calls with which the suite asks for one operation: with good arguments first, then with junk.
pub(super) type Probe = fn(&Subject) -> Vec<Asked>;

/// The probe of an operation that a capability gates.
pub(super) const fn probe_of(op: Operation) -> Option<Probe> {
    match op {
        Operation::ListExecutions => Some(list_executions),
        Operation::ListLanes => Some(list_lanes),
        Operation::ListAttempts => Some(list_attempts),
        Operation::Progress => Some(progress),
        Operation::CreateExecutions => Some(create_executions),
        Operation::CompleteMany => Some(complete_many),
        Operation::RenewMany => Some(renew_many),
        Operation::ClaimMany => Some(claim_many),
        Operation::CancelExecution => Some(cancel_execution),
        Operation::ChangePriority => Some(change_priority),
        Operation::ReplayExecution => Some(replay_execution),
        Operation::RevokeLease => Some(revoke_lease),
        Operation::SetExecutionTag => Some(set_execution_tag),
        Operation::ClaimForWorker => Some(claim_for_worker),
        Operation::ClaimExecution => Some(claim_execution),
        Operation::ClaimFromReclaim => Some(claim_from_reclaim),
        Operation::ClaimResumedExecution => Some(claim_resumed_execution),
        Operation::ExplainUnclaimed => Some(explain_unclaimed),
        Operation::SubscribeLeaseHistory => Some(subscribe_lease_history),
        Operation::SubscribeCompletion => Some(subscribe_completion),
        Operation::SubscribeOperatorEvents => Some(subscribe_operator_events),
        Operation::SubscribeCompletions => Some(subscribe_completions),
        Operation::SubscribeCompletionsFiltered => Some(subscribe_completions_filtered),
        Operation::Scan => Some(scan),
        _ => None,
    }
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

const GOOD: &str = "good arguments";
const NO_HANDLE: &str = "a handle that is none";
const NO_EXECUTION: &str = "an execution beyond all partitions";

/// Asks a method of one argument with each of these, the good ones first.
macro_rules! ask {
    ($subject:ident, $method:ident: $($what:expr => $argument:expr),* $(,)?) => { vec![$({
        let (client, argument) = (Arc::clone(&$subject.client), $argument);
        asked($what, async move { client.$method(argument).await.map(drop) })
    }),*] };
}

impl Subject {
    fn id(&self) -> ExecutionId {
        self.claimed.payload.execution_id
    }

    /// An id of a partition that no store has.
    fn nowhere(&self) -> ExecutionId {
        ExecutionId::from_parts(u16::MAX, self.id().as_uuid())
    }

    fn handle(&self) -> Handle {
        self.claimed.handle.clone()
    }

    fn lane(&self) -> LaneId {
        self.claimed.payload.lane_id.clone()
    }

    fn worker(&self) -> Option<WorkerId> {
        WorkerId::try_new("worker").ok()
    }

    fn grant(&self, id: ExecutionId) -> ClaimGrant {
        let expires_at = TimestampMs::from_ms(0);
        ClaimGrant { execution_id: id, grant_key: GrantKey::new(), expires_at, lane_id: self.lane() }
    }

    fn redeem(&self, id: ExecutionId, worker: WorkerId) -> ClaimExecutionArgs {
        ClaimExecutionArgs::new(self.grant(id), worker, self.claimed.payload.worker_instance_id.clone(), TTL)
    }

    fn policy(&self, worker: WorkerId) -> ClaimPolicy {
        ClaimPolicy::new(worker, self.claimed.payload.worker_instance_id.clone(), TTL)
    }
}

fn list_executions(subject: &Subject) -> Vec<Asked> {
    let page = |what, cursor| {
        let client = Arc::clone(&subject.client);
        asked(what, async move { client.list_executions(cursor, PageLimit::MAX).await })
    };
    vec![page(GOOD, None), page(GOOD, Some(subject.id())), page(NO_EXECUTION, Some(subject.nowhere()))]
}

fn list_lanes(subject: &Subject) -> Vec<Asked> {
    let page = |what, cursor| {
        let client = Arc::clone(&subject.client);
        asked(what, async move { client.list_lanes(cursor, PageLimit::MAX).await })
    };
    vec![page(GOOD, None), page(GOOD, Some(subject.lane()))]
}

fn list_attempts(subject: &Subject) -> Vec<Asked> {
    let page = |what, id: ExecutionId, cursor| {
        let client = Arc::clone(&subject.client);
        asked(what, async move { client.list_attempts(&id, cursor, PageLimit::MAX).await })
    };
    vec![page(GOOD, subject.id(), None), page(NO_EXECUTION, subject.nowhere(), Some(AttemptIndex(u32::MAX)))]
}

fn progress(subject: &Subject) -> Vec<Asked> {
    let told = |what, handle: Handle, percent, message: &str| {
        let (client, message) = (Arc::clone(&subject.client), message.to_owned());
        asked(what, async move { client.progress(&handle, percent, Some(message)).await })
    };
    let good = told(GOOD, subject.handle(), Some(40), "two of five");
    let junk = told("a percent and a message out of range", subject.handle(), Some(u8::MAX), "\0");
    let handles = subject.junk_handles().map(|handle| told(NO_HANDLE, handle, Some(1), ""));
    [good, junk].into_iter().chain(handles).collect()
}

fn create_executions(subject: &Subject) -> Vec<Asked> {
    let args = |id| {
        let namespace = Namespace::try_new("suite").ok()?;
        Some(CreateExecutionArgs::new(id, namespace, subject.lane(), "work"))
    };
    ask! { subject, create_executions:
        GOOD => args(ExecutionId::from_parts(0, GrantKey::new().as_uuid())).into_iter().collect(),
        NO_EXECUTION => args(subject.nowhere()).into_iter().collect(),
    }
}

fn complete_many(subject: &Subject) -> Vec<Asked> {
    ask! { subject, complete_many:
        GOOD => vec![CompleteArgs::new(subject.handle(), None)],
        NO_HANDLE => subject.junk_handles().map(|handle| CompleteArgs::new(handle, None)).collect(),
    }
}

fn renew_many(subject: &Subject) -> Vec<Asked> {
    let renewed = |what, handles: Vec<Handle>| {
        let client = Arc::clone(&subject.client);
        asked(what, async move { client.renew_many(&handles).await })
    };
    vec![renewed(GOOD, vec![subject.handle()]), renewed(NO_HANDLE, subject.junk_handles().collect())]
}

fn claim_many(subject: &Subject) -> Vec<Asked> {
    let claimed = |what, worker: WorkerId, limit| {
        let (client, lane, policy) = (Arc::clone(&subject.client), subject.lane(), subject.policy(worker));
        asked(what, async move { client.claim_many(&lane, &CapabilitySet::default(), policy, limit).await })
    };
    subject.worker().into_iter().map(|worker| claimed(GOOD, worker, PageLimit::MAX)).collect()
}

fn cancel_execution(subject: &Subject) -> Vec<Asked> {
    let (good, nowhere) = (subject.id(), subject.nowhere());
    ask! { subject, cancel_execution:
        GOOD => CancelExecutionArgs::new(good, "no longer needed"),
        NO_EXECUTION => CancelExecutionArgs::new(nowhere, ""),
        "a fenced source without a fence" => CancelExecutionArgs::new(good, "").source(CancelSource::LeaseHolder),
    }
}

fn change_priority(subject: &Subject) -> Vec<Asked> {
    ask! { subject, change_priority:
        GOOD => ChangePriorityArgs::new(subject.id(), 7),
        NO_EXECUTION => ChangePriorityArgs::new(subject.nowhere(), -1),
    }
}

fn replay_execution(subject: &Subject) -> Vec<Asked> {
    ask! { subject, replay_execution:
        GOOD => ReplayExecutionArgs::new(subject.id()),
        NO_EXECUTION => ReplayExecutionArgs::new(subject.nowhere()),
    }
}

fn revoke_lease(subject: &Subject) -> Vec<Asked> {
    ask! { subject, revoke_lease:
        GOOD => RevokeLeaseArgs::new(subject.id(), "stuck"),
        NO_EXECUTION => RevokeLeaseArgs::new(subject.nowhere(), "\0"),
    }
}

fn set_execution_tag(subject: &Subject) -> Vec<Asked> {
    ask! { subject, set_execution_tag:
        GOOD => SetExecutionTagArgs::new(subject.id(), "suite.probe", "yes"),
        "a key that is none" => SetExecutionTagArgs::new(subject.id(), "", ""),
    }
}

fn claim_for_worker(subject: &Subject) -> Vec<Asked> {
    let args = |worker, ttl| {
        let instance = subject.claimed.payload.worker_instance_id.clone();
        ClaimForWorkerArgs::new(subject.lane(), worker, instance, ttl)
    };
    let calls = subject.worker().into_iter().flat_map(|worker| {
        let (good, junk) = (args(worker.clone(), TTL), args(worker, std::time::Duration::ZERO));
        ask! { subject, claim_for_worker: GOOD => good, "a grant without a life" => junk }
    });
    calls.collect()
}

fn claim_execution(subject: &Subject) -> Vec<Asked> {
    let calls = subject.worker().into_iter().flat_map(|worker| {
        ask! { subject, claim_execution:
            GOOD => subject.redeem(subject.id(), worker.clone()),
            NO_EXECUTION => subject.redeem(subject.nowhere(), worker),
        }
    });
    calls.collect()
}

fn claim_from_reclaim(subject: &Subject) -> Vec<Asked> {
    let calls = subject.worker().into_iter().flat_map(|worker| {
        ask! { subject, claim_from_reclaim:
            GOOD => subject.redeem(subject.id(), worker.clone()),
            NO_EXECUTION => subject.redeem(subject.nowhere(), worker),
        }
    });
    calls.collect()
}

fn claim_resumed_execution(subject: &Subject) -> Vec<Asked> {
    let calls = subject.worker().into_iter().flat_map(|worker| {
        ask! { subject, claim_resumed_execution:
            GOOD => subject.redeem(subject.id(), worker.clone()),
            NO_EXECUTION => subject.redeem(subject.nowhere(), worker),
        }
    });
    calls.collect()
}

fn explain_unclaimed(subject: &Subject) -> Vec<Asked> {
    let explained = |what, id: ExecutionId| {
        let client = Arc::clone(&subject.client);
        asked(what, async move { client.explain_unclaimed(&id, &CapabilitySet::default()).await })
    };
    vec![explained(GOOD, subject.id()), explained(NO_EXECUTION, subject.nowhere())]
}

/// A subscription from each kind of cursor.
macro_rules! subscriptions {
    ($($method:ident),*) => { $(
        fn $method(subject: &Subject) -> Vec<Asked> {
            let opened = |what, cursor| {
                let client = Arc::clone(&subject.client);
                asked(what, async move { client.$method(cursor, &ScannerFilter::new()).await.map(drop) })
            };
            vec![
                opened(GOOD, StreamCursor::Start),
                opened(GOOD, StreamCursor::End),
                opened("a cursor that is none", StreamCursor::At(vec![0xff])),
            ]
        }
    )* };
}

subscriptions! { subscribe_lease_history, subscribe_completion, subscribe_operator_events }

fn subscribe_completions(subject: &Subject) -> Vec<Asked> {
    let client = Arc::clone(&subject.client);
    vec![asked(GOOD, async move { client.subscribe_completions().await.map(drop) })]
}

fn subscribe_completions_filtered(subject: &Subject) -> Vec<Asked> {
    let opened = |what, filter: ScannerFilter| {
        let client = Arc::clone(&subject.client);
        asked(what, async move { client.subscribe_completions_filtered(&filter).await.map(drop) })
    };
    vec![opened(GOOD, ScannerFilter::new()), opened("a label that is none", ScannerFilter::new().instance_tag("", ""))]
}

fn scan(subject: &Subject) -> Vec<Asked> {
    let cursor = Some(ScanCursor::from_text("nowhere"));
    ask! { subject, scan:
        GOOD => ScanArgs::new(ScannerKind::LeaseExpiry),
        "a cursor that is none" => ScanArgs::new(ScannerKind::Retention).cursor(cursor),
    }
}
