//! What happened, from a cursor.

use std::{fmt, pin::Pin, str::FromStr};

use async_trait::async_trait;
use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::{
    CompletionEvent, EngineError, EventFamily, LeaseHistoryEvent, OperatorEvent, ScannerFilter, SignalDeliveryEvent,
    ValidationKind,
};

/// A place in a family of events; opaque, of the backend and family that gave it.
///
/// Its text form is printable and comes back equal, so a cursor can be kept in a file or a column.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamCursor {
    /// Before the oldest kept event.
    Start,
    /// Behind everything that has happened.
    End,
    /// Behind one event, or behind a stretch without events that match.
    At(Vec<u8>),
}

impl StreamCursor {
    /// A cursor of the backend called `label`, behind `place` of `family`.
    #[must_use]
    pub fn seal(label: &str, family: EventFamily, place: &str) -> Self {
        Self::At(format!("{label}/{family}/{place}").into_bytes())
    }

    /// The place in the content of [`StreamCursor::At`].
    ///
    /// # Errors
    /// `Validation(InvalidOffset)` if another backend or family gave it.
    pub fn unseal<'a>(content: &'a [u8], label: &str, family: EventFamily) -> Result<&'a str, EngineError> {
        let place = str::from_utf8(content).ok().and_then(|text| {
            let rest = text.strip_prefix(label)?.strip_prefix('/')?;
            rest.strip_prefix(family.as_str())?.strip_prefix('/')
        });
        place.ok_or_else(|| EngineError::foreign_cursor(label, family))
    }
}

impl fmt::Debug for StreamCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("Start"),
            Self::End => f.write_str("End"),
            Self::At(bytes) => write!(f, "At({})", bytes.escape_ascii()),
        }
    }
}

const START: &str = "start";
const END: &str = "end";
const AT: &str = "at:";

impl fmt::Display for StreamCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::At(bytes) = self else { return f.write_str(if *self == Self::Start { START } else { END }) };
        f.write_str(AT)?;
        for byte in bytes {
            if byte.is_ascii_graphic() && *byte != b'%' {
                write!(f, "{}", char::from(*byte))?;
            } else {
                write!(f, "%{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for StreamCursor {
    type Err = EngineError;

    /// Reads the text form.
    fn from_str(text: &str) -> Result<Self, EngineError> {
        let malformed = || EngineError::validation(ValidationKind::InvalidOffset, format!("not a cursor: {text:?}"));
        match text {
            START => return Ok(Self::Start),
            END => return Ok(Self::End),
            _ => {}
        }
        let mut rest = text.strip_prefix(AT).ok_or_else(malformed)?.bytes();
        let mut bytes = Vec::new();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let digits: Vec<u8> = rest.by_ref().take(2).collect();
            let digits = str::from_utf8(&digits).ok().filter(|digits| digits.len() == 2).ok_or_else(malformed)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| malformed())?);
        }
        Ok(Self::At(bytes))
    }
}

const OLDEST: &str = "the oldest that works is ";

impl EngineError {
    /// `Validation(InvalidOffset)`: a cursor that the backend called `label` has not given for `family`.
    #[must_use]
    pub fn foreign_cursor(label: &str, family: EventFamily) -> Self {
        Self::validation(ValidationKind::InvalidOffset, format!("not a cursor of {label} for {family}"))
    }

    /// `Validation(InvalidOffset)`: events behind a cursor are no longer kept; `oldest` is before the first that is.
    #[must_use]
    pub fn cursor_too_old(oldest: &StreamCursor) -> Self {
        let detail = format!("events behind the cursor are no longer kept; {OLDEST}{oldest}");
        Self::validation(ValidationKind::InvalidOffset, detail)
    }

    /// How a subscription ends by this error, where `cursor` is behind the last event that it delivered:
    /// `StreamDisconnected` if the store was lost or could not be asked, else the error itself.
    #[must_use]
    pub fn interrupting(self, cursor: &StreamCursor) -> Self {
        match self {
            Self::Transport(_) | Self::ResourceExhausted { .. } => {
                Self::StreamDisconnected { cursor: cursor.clone(), fault: Box::new(self) }
            }
            other => other,
        }
    }

    /// The oldest cursor that works, if this refuses one that is older than the oldest kept event.
    #[must_use]
    pub fn oldest_cursor(&self) -> Option<StreamCursor> {
        match self {
            Self::Validation { kind: ValidationKind::InvalidOffset, detail } => {
                detail.split_once(OLDEST)?.1.parse().ok()
            }
            _ => None,
        }
    }
}

/// An event and the cursor behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered<E> {
    /// Where a later subscription goes on.
    pub cursor: StreamCursor,
    /// What happened.
    pub event: E,
}

/// Events of one family as they are delivered; an error is the last item.
pub type Subscription<E> = Pin<Box<dyn Stream<Item = Result<Delivered<E>, EngineError>> + Send>>;

/// What happened to leases.
pub type LeaseHistorySubscription = Subscription<LeaseHistoryEvent>;

/// What ended.
pub type CompletionSubscription = Subscription<CompletionEvent>;

/// What operators did.
pub type OperatorSubscription = Subscription<OperatorEvent>;

/// What was delivered to waitpoints.
pub type SignalDeliverySubscription = Subscription<SignalDeliveryEvent>;

/// What ends, without cursors.
pub type CompletionStream = Pin<Box<dyn Stream<Item = Result<CompletionEvent, EngineError>> + Send>>;

/// What happened, from a cursor.
///
/// A subscription delivers every matching event of its family behind `cursor` once: the events of one execution in the
/// order in which they were written, none lost to a transaction that commits late. The cursor is resolved before the
/// call returns: with `End` whatever is written after that is delivered. A subscription waits for nobody's transaction
/// but the writer's. It reads page by page as it is polled, so a slow reader holds nobody up. An event is delivered
/// within a second also if every hint is lost. A label of the filter matches as it stands when the event is read.
/// Dropping the subscription ends it and frees what it used; shutting down the backend ends it with
/// `StreamDisconnected`, whose fault is `Transport` of kind `Closed`. A store that is lost in mid-stream ends it with
/// `StreamDisconnected` and the cursor to go on from, events that were removed before they were read with
/// `Validation(InvalidOffset)`. An error is the last item of a subscription.
///
/// # Errors
/// Of every method: `Validation(InvalidOffset)` for a cursor of another backend or family, and for one older than the
/// oldest kept event, with the oldest cursor that works in [`EngineError::oldest_cursor`]; `Validation(InvalidTagKey)`
/// for a filter with a label that is none.
#[async_trait]
pub trait Subscriptions: Send + Sync + 'static {
    /// What happened to leases, behind `cursor`.
    ///
    /// # Errors
    /// As every method of the trait.
    ///
    /// # Capability
    /// `lease_history`.
    async fn subscribe_lease_history(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<LeaseHistorySubscription, EngineError>;

    /// What ended, behind `cursor`: one event for each terminal transition.
    ///
    /// # Errors
    /// As every method of the trait.
    ///
    /// # Capability
    /// `completions`.
    async fn subscribe_completion(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<CompletionSubscription, EngineError>;

    /// What operators did, behind `cursor`.
    ///
    /// # Errors
    /// As every method of the trait.
    ///
    /// # Capability
    /// `operator_events`.
    async fn subscribe_operator_events(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<OperatorSubscription, EngineError>;

    /// What was delivered to waitpoints, behind `cursor`: one event for each delivery that was accepted or repeated one.
    ///
    /// # Errors
    /// As every method of the trait.
    ///
    /// # Capability
    /// `signal_deliveries`.
    async fn subscribe_signal_delivery(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<SignalDeliverySubscription, EngineError>;
}

/// Completions from now on, for those who need no cursor.
#[async_trait]
pub trait CompletionBackend: Send + Sync + 'static {
    /// What ends from now on.
    ///
    /// # Errors
    /// Transport only.
    ///
    /// # Capability
    /// `completions`.
    async fn subscribe_completions(&self) -> Result<CompletionStream, EngineError>;

    /// What ends from now on and matches `filter`.
    ///
    /// # Errors
    /// `Validation(InvalidTagKey)` for a filter with a label that is none.
    ///
    /// # Capability
    /// `completions`.
    async fn subscribe_completions_filtered(&self, filter: &ScannerFilter) -> Result<CompletionStream, EngineError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_cursor_comes_back_equal() {
        let every_byte: Vec<u8> = (0..=255).collect();
        for cursor in [StreamCursor::Start, StreamCursor::End, StreamCursor::At(every_byte), StreamCursor::At(vec![])] {
            let text = cursor.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
            assert_eq!(text.parse::<StreamCursor>().unwrap(), cursor);
        }
        for text in ["", "at", "at:%", "at:%4", "at:%zz", "begin"] {
            assert_eq!(text.parse::<StreamCursor>().unwrap_err().code(), "Validation(InvalidOffset)", "{text}");
        }
    }

    #[test]
    fn a_cursor_is_of_one_backend_and_one_family() {
        let StreamCursor::At(content) = StreamCursor::seal("memory", EventFamily::Completions, "7/8") else { panic!() };
        assert_eq!(StreamCursor::unseal(&content, "memory", EventFamily::Completions).unwrap(), "7/8");
        for (label, family) in
            [("memory", EventFamily::LeaseHistory), ("mem", EventFamily::Completions), ("x", EventFamily::Completions)]
        {
            let error = StreamCursor::unseal(&content, label, family).unwrap_err();
            assert_eq!(error.code(), "Validation(InvalidOffset)");
            assert_eq!(error.oldest_cursor(), None);
        }
    }

    #[test]
    fn a_refusal_names_the_oldest_cursor() {
        let oldest = StreamCursor::seal("memory", EventFamily::Completions, "7 %");
        assert_eq!(EngineError::cursor_too_old(&oldest).oldest_cursor(), Some(oldest));
    }
}
