//! What happened, from a cursor.

use std::{fmt, pin::Pin};

use async_trait::async_trait;
use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::{CompletionEvent, EngineError, LeaseHistoryEvent, OperatorEvent, ScannerFilter};

/// A place in a family of events; opaque, of the backend and family that gave it.
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

impl fmt::Debug for StreamCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("Start"),
            Self::End => f.write_str("End"),
            Self::At(bytes) => write!(f, "At({})", bytes.escape_ascii()),
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

/// What ends, without cursors.
pub type CompletionStream = Pin<Box<dyn Stream<Item = Result<CompletionEvent, EngineError>> + Send>>;

/// What happened, from a cursor.
///
/// A subscription delivers every matching event of its family behind `cursor` once: the events of one execution in the
/// order in which they were written, none lost to a transaction that commits late. It waits for nobody's transaction
/// but the writer's, and a slow reader holds nobody up. An event is delivered within a second also if every hint is
/// lost. Dropping the subscription ends it and frees what it used.
///
/// # Errors
/// Of every method: `Validation(InvalidOffset)` for a cursor of another backend or family, and for one older than the
/// oldest kept event, with the oldest cursor that works; the last one also in mid-stream. `Validation` for a filter
/// that breaks the rules of labels. In mid-stream `StreamDisconnected` with the cursor to go on from.
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
}

/// Completions from now on, for those who need no cursor.
#[async_trait]
pub trait CompletionBackend: Send + Sync + 'static {
    /// What ends from now on.
    ///
    /// # Errors
    /// As [`Subscriptions::subscribe_completion`].
    ///
    /// # Capability
    /// `completions`.
    async fn subscribe_completions(&self) -> Result<CompletionStream, EngineError>;

    /// What ends from now on and matches `filter`.
    ///
    /// # Errors
    /// As [`Subscriptions::subscribe_completion`].
    ///
    /// # Capability
    /// `completions`.
    async fn subscribe_completions_filtered(&self, filter: &ScannerFilter) -> Result<CompletionStream, EngineError>;
}
