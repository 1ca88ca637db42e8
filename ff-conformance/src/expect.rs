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
    let (expectation, got) = excerpts(&expectation.words(), &format!("{got:?}"), MOST_TEXT);
    Err(Stop::Failed(Box::new(Failure {
        requirement: requirement.to_owned(),
        subject: subject.split_whitespace().collect::<Vec<_>>().join(" "),
        expectation,
        got,
        place: Place::here(),
    })))
}

/// Characters of a value that a report shows.
const MOST_TEXT: usize = 4000;

/// Expectation and value, each cut to `most` characters around the place where the two begin to differ.
pub(crate) fn excerpts(expectation: &str, got: &str, most: usize) -> (String, String) {
    // `equals` and `answers` name the value itself behind their first word.
    let (word, wanted) = expectation.split_once(' ').unwrap_or(("", expectation));
    let value = if ["equals", "answers"].contains(&word) { wanted } else { expectation };
    let same = value.chars().zip(got.chars()).take_while(|(wanted, got)| wanted == got).count();
    let before = same.saturating_sub(most / 8);
    (excerpt(expectation, before, most), excerpt(got, before, most))
}

/// At most `most` characters of `text`, from `begin` on if it is longer than that.
fn excerpt(text: &str, begin: usize, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let begin = begin.min(length - most);
    let head = if begin > 0 { "…" } else { "" };
    let tail = if begin + most < length { "…" } else { "" };
    format!("{head}{}{tail}", text.chars().skip(begin).take(most).collect::<String>())
}

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

#[cfg(test)]
mod tests {
    use super::excerpts;

    #[test]
    fn long_values_are_cut_where_they_begin_to_differ() {
        let (wanted, got) = (format!("{}b{}", "a".repeat(500), "x".repeat(500)), format!("{}c", "a".repeat(500)));
        let (wanted, got) = excerpts(&format!("equals {wanted}"), &got, 80);
        assert!(wanted.contains("ab") && wanted.starts_with('…') && wanted.ends_with('…'), "{wanted}");
        assert!(got.ends_with("aac") && got.starts_with('…'), "{got}");
        assert_eq!(excerpts("is é", "no", 80), ("is é".to_owned(), "no".to_owned()));
    }
}
