//! Denials: what an operation that a backend does not declare must answer, whatever it is asked.

mod probes;

use std::{fmt::Debug, time::Duration};

use ff_core::{EngineError, ErrorClass, Operation};
pub(crate) use probes::Subject;
use probes::{Asked, probe_of};

use crate::{Cx, Dump, Expect, FailureKind, Stop, Verdict, equals, report::time_factor, satisfies};

/// How soon a denial comes.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What a call answered; nobody looks at what it returned.
type Answer = Result<(), EngineError>;

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
