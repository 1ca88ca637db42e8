//! What is suspended and what it waits for, page by page.

use serde::{Deserialize, Serialize};

use super::{Kid, SuspensionReasonCode, SuspensionRequester};
use crate::{ExecutionId, PageLimit, SuspensionId, TimestampMs, WaitpointId, state::words};

/// Where a page of suspended executions begins: behind this one, whether or not it is still suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SuspendedCursor {
    /// When it was suspended.
    pub suspended_at: TimestampMs,
    /// The execution.
    pub execution_id: ExecutionId,
}

/// A suspended execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendedExecutionEntry {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The suspension.
    pub suspension_id: SuspensionId,
    /// When it was suspended.
    pub suspended_at: TimestampMs,
    /// When it times out.
    pub timeout_at: Option<TimestampMs>,
    /// What it waits for.
    pub reason: SuspensionReasonCode,
    /// Who asked for it.
    pub requested_by: SuspensionRequester,
    /// Where the worker left what it needs to go on.
    pub continuation_metadata_pointer: Option<String>,
}

impl SuspendedExecutionEntry {
    /// The cursor behind this entry.
    #[must_use]
    pub const fn cursor(&self) -> SuspendedCursor {
        SuspendedCursor { suspended_at: self.suspended_at, execution_id: self.execution_id }
    }
}

/// One page of suspended executions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSuspendedPage {
    /// Those that are suspended, by the instant of their suspension and id.
    pub entries: Vec<SuspendedExecutionEntry>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<SuspendedCursor>,
}

words! {
    /// Where a waitpoint stands.
    WaitpointState {
        /// It keeps signals for a suspension to come.
        Pending = "pending",
        /// A suspension waits for its signals.
        Active = "active",
        /// It takes no signals any more.
        Closed = "closed",
    }
}

/// Which open waitpoints to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ListPendingWaitpointsArgs {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Only those behind this one.
    pub after: Option<WaitpointId>,
    /// How many at most.
    pub limit: PageLimit,
}

impl ListPendingWaitpointsArgs {
    /// The first page, of the largest size.
    #[must_use]
    pub const fn new(execution_id: ExecutionId) -> Self {
        Self { execution_id, after: None, limit: PageLimit::MAX }
    }

    /// The page behind a waitpoint.
    #[must_use]
    pub const fn after(mut self, waitpoint_id: Option<WaitpointId>) -> Self {
        self.after = waitpoint_id;
        self
    }

    /// A page of another size.
    #[must_use]
    pub const fn limit(mut self, limit: PageLimit) -> Self {
        self.limit = limit;
        self
    }
}

/// An open waitpoint; its token is never shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingWaitpointInfo {
    /// Its id.
    pub waitpoint_id: WaitpointId,
    /// Its key.
    pub waitpoint_key: String,
    /// `Pending` or `Active`.
    pub state: WaitpointState,
    /// The names of the signals that the condition asks for here; empty if any will do, or if it is pending.
    pub required_signal_names: Vec<String>,
    /// When it was opened.
    pub created_at: TimestampMs,
    /// When a suspension took it up.
    pub activated_at: Option<TimestampMs>,
    /// When it closes by itself: a pending one at its end, an active one with the time-out of its suspension.
    pub expires_at: Option<TimestampMs>,
    /// The execution.
    pub execution_id: ExecutionId,
    /// The key that signed its token.
    pub token_kid: Kid,
    /// The first 16 digits of the digest of its token.
    pub token_fingerprint: String,
}

/// One page of open waitpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPendingWaitpointsResult {
    /// Those that are open, by id.
    pub waitpoints: Vec<PendingWaitpointInfo>,
    /// Where the next page begins, if there is one: the last id of this page.
    pub next_cursor: Option<WaitpointId>,
}
