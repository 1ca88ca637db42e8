//! What a check expects: small predicates with words for the report.

use std::fmt::Debug;

use ff_core::EngineError;

use crate::{Failure, Place, Stop};

/// An expectation of a value.
pub trait Expect<T: ?Sized> {
    /// What is expected, in words.
    fn words(&self) -> String;
    /// True if `got` is as expected.
    fn is_met_by(&self, got: &T) -> bool;
}

/// Checks a value against an expectation and names the requirement that demands it.
///
/// Leaves the case with a failure if the expectation is not met:
/// `check!(cx, "FF-LSE-004", client.renew(&old).await, refused("State(StaleLease)"));`
#[macro_export]
macro_rules! check {
    ($cx:expr, $requirement:literal, $got:expr, $expectation:expr $(,)?) => {
        $cx.judge($requirement, stringify!($got), &$got, &$expectation)?
    };
}

/// The failure of a check, unless `got` is as expected.
///
/// # Errors
/// `Stop::Failed`.
#[track_caller]
pub(crate) fn judge<T: Debug>(
    requirement: &str,
    subject: &str,
    got: &T,
    expectation: &impl Expect<T>,
) -> Result<(), Stop> {
    if expectation.is_met_by(got) {
        return Ok(());
    }
    let mut text = format!("{got:?}");
    if text.len() > MOST_TEXT {
        let cut = (0..=MOST_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(cut);
        text.push('…');
    }
    Err(Stop::Failed(Box::new(Failure {
        requirement: requirement.to_owned(),
        subject: subject.split_whitespace().collect::<Vec<_>>().join(" "),
        expectation: expectation.words(),
        got: text,
        place: Place::here(),
    })))
}

/// Bytes of a value that a report shows.
const MOST_TEXT: usize = 4000;

struct Words<F> {
    words: String,
    test: F,
}

impl<T: ?Sized, F: Fn(&T) -> bool> Expect<T> for Words<F> {
    fn words(&self) -> String {
        self.words.clone()
    }

    fn is_met_by(&self, got: &T) -> bool {
        (self.test)(got)
    }
}

/// The value equals `wanted`.
pub fn equals<T: PartialEq + Debug>(wanted: T) -> impl Expect<T> {
    Words { words: format!("equals {wanted:?}"), test: move |got: &T| *got == wanted }
}

/// The value differs from `other`.
pub fn differs_from<T: PartialEq + Debug>(other: T) -> impl Expect<T> {
    Words { words: format!("differs from {other:?}"), test: move |got: &T| *got != other }
}

/// The call succeeded.
pub fn is_ok<T>() -> impl Expect<Result<T, EngineError>> {
    Words { words: "succeeds".to_owned(), test: |got: &Result<T, EngineError>| got.is_ok() }
}

/// The call succeeded with `wanted`.
pub fn answers<T: PartialEq + Debug>(wanted: T) -> impl Expect<Result<T, EngineError>> {
    Words {
        words: format!("answers {wanted:?}"),
        test: move |got: &Result<T, EngineError>| got.as_ref().is_ok_and(|got| *got == wanted),
    }
}

/// The call was refused with the error whose code (`State(StaleLease)`) is `code`.
pub fn refused<T>(code: &'static str) -> impl Expect<Result<T, EngineError>> {
    Words {
        words: format!("is refused with {code}"),
        test: move |got: &Result<T, EngineError>| got.as_ref().is_err_and(|error| error.code() == code),
    }
}

/// The call was refused with exactly `error`.
pub fn refused_with<T>(error: EngineError) -> impl Expect<Result<T, EngineError>> {
    Words {
        words: format!("is refused with {error:?}"),
        test: move |got: &Result<T, EngineError>| got.as_ref().is_err_and(|got| *got == error),
    }
}

/// There is a value.
pub fn is_some<T>() -> impl Expect<Option<T>> {
    Words { words: "is there".to_owned(), test: |got: &Option<T>| got.is_some() }
}

/// There is no value.
pub fn is_none<T>() -> impl Expect<Option<T>> {
    Words { words: "is not there".to_owned(), test: |got: &Option<T>| got.is_none() }
}

/// The value is true.
pub fn is_true() -> impl Expect<bool> {
    Words { words: "is true".to_owned(), test: |got: &bool| *got }
}

/// `test` holds for the value; `words` say what it tests.
pub fn satisfies<T: ?Sized>(words: impl Into<String>, test: impl Fn(&T) -> bool) -> impl Expect<T> {
    Words { words: words.into(), test }
}
