//! Denials: what an operation that a backend does not declare must answer, whatever it is asked.

use std::{fmt::Debug, sync::Arc, time::Duration};

use ff_core::{
    AttemptId, AttemptIndex, BackendTag, Capability, EngineBackend, EngineError, ErrorClass, ExecutionId, Fence,
    Handle, HandleKind, HandlePayload, LeaseEpoch, LeaseId, Operation, PageLimit,
};
use futures::future::BoxFuture;

use crate::{
    Claimed, Cx, Dump, Expect, FailureKind, Stop, TTL, Verdict, equals,
    forgeries::{damaged, foreign},
    report::time_factor,
    satisfies,
};

/// How soon a denial comes.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What a call answered; nobody looks at what it returned.
type Answer = Result<(), EngineError>;

/// One call of a probe, made when it is awaited.
struct Asked {
    /// What its arguments are.
    arguments: &'static str,
    call: BoxFuture<'static, Answer>,
}

fn asked<T>(arguments: &'static str, call: impl Future<Output = Result<T, EngineError>> + Send + 'static) -> Asked {
    Asked { arguments, call: Box::pin(async move { call.await.map(drop) }) }
}

/// What the arguments of a probe are made of.
pub(crate) struct Subject {
    client: Arc<dyn EngineBackend>,
    claimed: Claimed,
    foreign: Vec<Handle>,
}

impl Subject {
    /// Arguments around a lease that is held.
    pub(crate) fn held(client: &Arc<dyn EngineBackend>, claimed: Claimed) -> Result<Self, Stop> {
        let foreign = foreign(&claimed)?;
        Ok(Self { client: Arc::clone(client), claimed, foreign })
    }

    /// Arguments around a lease of an execution that never was, for a store that is empty.
    pub(crate) fn unknown(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Self, Stop> {
        let payload = HandlePayload {
            execution_id: cx.execution()?.execution_id,
            attempt_index: AttemptIndex(0),
            fence: Fence { lease_id: LeaseId::new(), lease_epoch: LeaseEpoch(1), attempt_id: AttemptId::new() },
            lease_ttl: TTL,
            lane_id: cx.lane()?,
            worker_instance_id: cx.worker("worker", TTL)?.worker_instance_id,
        };
        let handle = payload.seal(BackendTag::try_new(client.backend_label())?, HandleKind::Fresh);
        Self::held(client, Claimed { handle, payload })
    }

    /// Handles that decode to nothing, and those of another backend.
    fn junk_handles(&self) -> impl Iterator<Item = Handle> + '_ {
        damaged(&self.claimed).into_iter().chain(self.foreign.iter().cloned())
    }
}

/// The calls with which the suite asks for one operation: with good arguments first, then with junk.
type Probe = fn(&Subject) -> Vec<Asked>;

/// The probe of an operation that a capability gates.
const fn probe_of(op: Operation) -> Option<Probe> {
    match op {
        Operation::ListExecutions => Some(list_executions),
        Operation::ListLanes => Some(list_lanes),
        Operation::Progress => Some(progress),
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
            "src/denials.rs: `probe_of` names exactly the operations that a capability gates"
        );
        at += 1;
    }
};

fn list_executions(subject: &Subject) -> Vec<Asked> {
    let page = |cursor, limit| {
        let client = Arc::clone(&subject.client);
        async move { client.list_executions(cursor, limit).await }
    };
    let id = subject.claimed.payload.execution_id;
    let beyond = ExecutionId::from_parts(u16::MAX, id.as_uuid());
    vec![
        asked("good arguments", page(None, PageLimit::MAX)),
        asked("good arguments", page(Some(id), PageLimit::MAX)),
        asked("a cursor beyond all partitions", page(Some(beyond), PageLimit::MAX)),
    ]
}

fn list_lanes(subject: &Subject) -> Vec<Asked> {
    let page = |cursor| {
        let client = Arc::clone(&subject.client);
        async move { client.list_lanes(cursor, PageLimit::MAX).await }
    };
    let lane = subject.claimed.payload.lane_id.clone();
    vec![asked("good arguments", page(None)), asked("good arguments", page(Some(lane)))]
}

fn progress(subject: &Subject) -> Vec<Asked> {
    let told = |handle: Handle, percent, message: &str| {
        let (client, message) = (Arc::clone(&subject.client), message.to_owned());
        async move { client.progress(&handle, percent, Some(message)).await }
    };
    let held = &subject.claimed.handle;
    let good = asked("good arguments", told(held.clone(), Some(40), "two of five"));
    let junk = asked("a percent and a message out of range", told(held.clone(), Some(u8::MAX), "\0"));
    let handles = subject.junk_handles().map(|handle| asked("a handle that is none", told(handle, Some(1), "")));
    [good, junk].into_iter().chain(handles).collect()
}

/// Calls `op` with good arguments on behalf of `subject`.
///
/// # Errors
/// `Stop::Errored` if no capability gates `op`.
pub(crate) async fn called(op: Operation, subject: &Subject) -> Result<Answer, Stop> {
    let probe = probe_of(op).ok_or_else(|| ungated(op))?;
    match probe(subject).into_iter().next() {
        Some(asked) => Ok(asked.call.await),
        None => Err(ungated(op)),
    }
}

fn ungated(op: Operation) -> Stop {
    Stop::Errored(format!("{op} has no probe"))
}

/// Requires that `op` is denied: with every kind of arguments, by name, at once and without effect.
///
/// # Errors
/// `Stop::Denial` with the way in which it is not.
pub(crate) async fn require(cx: &Cx, op: Operation, subject: &Subject) -> Verdict {
    let probe = probe_of(op).ok_or_else(|| ungated(op))?;
    let before = seen(cx).await?;
    for Asked { arguments, call } in probe(subject) {
        let subject = format!("{op} with {arguments}");
        let Ok(answer) = tokio::time::timeout(AT_ONCE.mul_f64(time_factor()), call).await else {
            let at_once = satisfies("answers within 1 s", |_: &&str| false);
            return judged(cx, FailureKind::WrongDenial, "FF-CAP-002", &subject, &"no answer", &at_once);
        };
        let (kind, requirement) = fault(&answer);
        judged(cx, kind, requirement, &subject, &answer, &crate::refused_with(EngineError::unavailable(op)))?;
        let after = seen(cx).await?;
        let lines = |dump: &Option<Dump>| dump.as_ref().map(|dump| dump.lines.clone());
        judged(cx, FailureKind::DeniedWithEffect, "FF-CAP-002", &subject, &lines(&after), &equals(lines(&before)))?;
    }
    Ok(())
}

/// Everything that the store holds, where the suite may see it.
async fn seen(cx: &Cx) -> Result<Option<Dump>, Stop> {
    match &cx.controls().dump {
        Some(control) => Ok(Some(control.dump().await?)),
        None => Ok(None),
    }
}

/// What is wrong with an answer that is not the denial, and the rule that it breaks.
fn fault(answer: &Answer) -> (FailureKind, &'static str) {
    match answer {
        Ok(()) => (FailureKind::UndeclaredSupport, "FF-CAP-002"),
        Err(EngineError::Unavailable { .. } | EngineError::Transport(_)) => (FailureKind::WrongDenial, "FF-CAP-002"),
        // A refusal that a caller would repeat is none.
        Err(error) if error.class() == ErrorClass::Retryable => (FailureKind::WrongDenial, "FF-CAP-002"),
        // Whoever looks at arguments or rows first has the operation.
        Err(_) => (FailureKind::UndeclaredSupport, "FF-CAP-003"),
    }
}

fn judged<T: Debug>(
    cx: &Cx,
    kind: FailureKind,
    requirement: &str,
    subject: &str,
    got: &T,
    expectation: &impl Expect<T>,
) -> Verdict {
    cx.judge(requirement, subject, got, expectation).map_err(|stop| match stop {
        Stop::Failed(failure) => Stop::Denial(kind, failure),
        stop => stop,
    })
}

#[cfg(test)]
mod tests {
    use ff_core::{ContentionKind, StateKind};

    use super::*;

    #[test]
    fn every_wrong_answer_has_its_name() {
        let broken = EngineError::transport("x", ff_core::TransportKind::Other, ff_core::Applied::No, "wrapped");
        for (answer, kind, requirement) in [
            (Ok(()), FailureKind::UndeclaredSupport, "FF-CAP-002"),
            (Err(EngineError::execution_not_found()), FailureKind::UndeclaredSupport, "FF-CAP-003"),
            (Err(EngineError::invalid_input("x")), FailureKind::UndeclaredSupport, "FF-CAP-003"),
            (Err(EngineError::State(StateKind::StaleLease)), FailureKind::UndeclaredSupport, "FF-CAP-003"),
            (Err(EngineError::Contention(ContentionKind::LeaseConflict)), FailureKind::WrongDenial, "FF-CAP-002"),
            (Err(EngineError::unavailable(Operation::Ping)), FailureKind::WrongDenial, "FF-CAP-002"),
            (Err(broken), FailureKind::WrongDenial, "FF-CAP-002"),
        ] {
            assert_eq!(fault(&answer), (kind, requirement), "{answer:?}");
        }
    }
}
