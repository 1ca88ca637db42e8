//! Every operation of a lease holder with one handle.

use std::{collections::BTreeMap, sync::Arc};

use ff_core::{EngineBackend, EngineError, FailureClass, FailureReason, Handle, Operation};

use crate::{Expect, satisfies};

/// What each operation answered: `Ok`, or the code of the refusal.
pub(crate) type Answers = BTreeMap<&'static str, String>;

/// Calls every operation of a lease holder with `handle` that the backend offers, those that end the execution last.
pub(crate) async fn holder_answers(client: &Arc<dyn EngineBackend>, handle: &Handle) -> Answers {
    let transient = FailureReason::new("broken");
    let mut answers = Answers::from([("renew", code(&client.renew(handle).await))]);
    if client.capabilities().supports.offers(Operation::Progress) {
        answers.insert("progress", code(&client.progress(handle, Some(50), Some("half".to_owned())).await));
    }
    answers.extend([
        ("complete", code(&client.complete(handle, Some(b"late".to_vec())).await)),
        ("fail", code(&client.fail(handle, transient, FailureClass::Transient).await)),
        ("cancel", code(&client.cancel(handle, "late").await)),
    ]);
    answers
}

/// `Ok`, or the code of the refusal.
pub(crate) fn code<T>(answer: &Result<T, EngineError>) -> String {
    answer.as_ref().map_or_else(EngineError::code, |_| "Ok".to_owned())
}

/// Every operation was refused with the error whose code is `code`.
pub(crate) fn all_refused(code: &'static str) -> impl Expect<Answers> {
    satisfies(format!("are all refused with {code}"), move |got: &Answers| {
        !got.is_empty() && got.values().all(|answer| answer == code)
    })
}
