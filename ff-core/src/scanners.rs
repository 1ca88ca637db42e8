//! The periodic work: it makes visible sooner what time has done, and removes what is old. Correctness never needs it.

mod place;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use place::ScanPlace;

use crate::{EngineError, Limits, Namespace, PageLimit, state::words, text::check_tag};

words! {
    /// One kind of periodic work.
    ScannerKind {
        /// Writes down leases that have lapsed: `Expired` is told, or the execution fails at its reclaim cap.
        LeaseExpiry = "lease_expiry",
        /// Fails attempts that ran out of their time, by the retry rule.
        AttemptTimeout = "attempt_timeout",
        /// Expires executions whose deadline has come.
        ExecutionDeadline = "execution_deadline",
        /// Makes ready what a delay, a back-off or a lapsed grant held back.
        DelayPromoter = "delay_promoter",
        /// Ends suspensions whose time is up, as their behaviour says.
        SuspensionTimeout = "suspension_timeout",
        /// Removes executions that ended longer ago than the retention, with everything that belongs to them, and
        /// idempotency keys that have lapsed.
        Retention = "retention",
        /// Removes events that are older than they are kept.
        EventRetention = "event_retention",
    }
}

/// Which executions a scanner or a subscription looks at: those that match every part that is given.
///
/// A label matches as it stands when the scanner or the subscription looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScannerFilter {
    /// Only of this namespace.
    pub namespace: Option<Namespace>,
    /// Only with this label.
    pub instance_tag: Option<(String, String)>,
}

impl ScannerFilter {
    /// All executions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only of this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// Only with this label.
    #[must_use]
    pub fn instance_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.instance_tag = Some((key.into(), value.into()));
        self
    }

    /// Refuses what no backend accepts.
    ///
    /// # Errors
    /// `Validation(InvalidTagKey)`, `Validation(InvalidInput)` for a value that is too long.
    pub fn check(&self) -> Result<(), EngineError> {
        self.instance_tag.as_ref().map_or(Ok(()), |(key, value)| check_tag(key, value))
    }
}

/// Where a pass stopped; opaque, of the backend and scanner that gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScanCursor(String);

impl ScanCursor {
    /// A cursor from what a backend wrote.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What the backend wrote.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One bounded pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScanArgs {
    /// The work.
    pub scanner: ScannerKind,
    /// Which executions. Idempotency keys have a namespace and no label; events are removed oldest first, whatever the
    /// filter, so that a cursor can tell what is gone.
    pub filter: ScannerFilter,
    /// Rows that the pass looks at, at most.
    pub limit: PageLimit,
    /// Where the pass before stopped; without it, from the beginning.
    pub cursor: Option<ScanCursor>,
}

impl ScanArgs {
    /// A pass from the beginning over at most 1,000 rows.
    #[must_use]
    pub fn new(scanner: ScannerKind) -> Self {
        Self { scanner, filter: ScannerFilter::new(), limit: PageLimit::MAX, cursor: None }
    }

    /// Only over executions that match `filter`.
    #[must_use]
    pub fn filter(mut self, filter: ScannerFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Over at most `limit` rows.
    #[must_use]
    pub const fn limit(mut self, limit: PageLimit) -> Self {
        self.limit = limit;
        self
    }

    /// From where the pass before stopped.
    #[must_use]
    pub fn cursor(mut self, cursor: Option<ScanCursor>) -> Self {
        self.cursor = cursor;
        self
    }
}

/// What one pass did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanReport {
    /// Rows that it looked at, because their time had come.
    pub examined: u32,
    /// Rows that it changed or removed.
    pub changed: u32,
    /// Where the next pass goes on; `None` if this one looked at fewer rows than it might, so that nothing is behind.
    pub next_cursor: Option<ScanCursor>,
}

/// When the background loops of a backend run, and what they keep.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScannerConfig {
    /// Between two passes of the lease expiry; zero disables the loop.
    pub lease_expiry: Duration,
    /// Between two passes of the attempt time-outs; zero disables the loop.
    pub attempt_timeout: Duration,
    /// Between two passes of the deadlines; zero disables the loop.
    pub execution_deadline: Duration,
    /// Between two passes of the delays; zero disables the loop.
    pub delay_promoter: Duration,
    /// Between two passes of the suspension time-outs; zero disables the loop.
    pub suspension_timeout: Duration,
    /// Between two passes of the retention; zero disables the loop.
    pub retention: Duration,
    /// Between two passes of the event retention; zero disables the loop.
    pub event_retention: Duration,
    /// Which executions.
    pub scanner_filter: ScannerFilter,
}

impl Default for ScannerConfig {
    fn default() -> Self {
        Self {
            lease_expiry: Duration::from_millis(1500),
            attempt_timeout: Duration::from_secs(2),
            execution_deadline: Duration::from_secs(5),
            delay_promoter: Duration::from_millis(750),
            suspension_timeout: Duration::from_secs(2),
            retention: Duration::from_secs(60),
            event_retention: Duration::from_secs(60),
            scanner_filter: ScannerFilter::new(),
        }
    }
}

impl ScannerConfig {
    /// All loops, at their usual intervals.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long to wait between two passes of `scanner`; zero disables its loop.
    #[must_use]
    pub const fn interval(&self, scanner: ScannerKind) -> Duration {
        match scanner {
            ScannerKind::LeaseExpiry => self.lease_expiry,
            ScannerKind::AttemptTimeout => self.attempt_timeout,
            ScannerKind::ExecutionDeadline => self.execution_deadline,
            ScannerKind::DelayPromoter => self.delay_promoter,
            ScannerKind::SuspensionTimeout => self.suspension_timeout,
            ScannerKind::Retention => self.retention,
            ScannerKind::EventRetention => self.event_retention,
        }
    }
}

/// How long a store keeps what has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionConfig {
    /// An execution after its end: 24 h by default.
    pub executions: Duration,
    /// An event after it was written: 24 h by default.
    pub events: Duration,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let day = Duration::from_millis(Limits::RETENTION_MS);
        Self { executions: day, events: day }
    }
}

/// The periodic work.
#[async_trait]
pub trait Scanners: Send + Sync + 'static {
    /// One bounded pass of one scanner, at the store's now.
    ///
    /// Passes may run at once in several processes: each row is looked at again under its own atomic step. A pass
    /// that begins where the one before stopped never starves a row behind others that it may not change: of another
    /// scanner, outside the filter, or held by another call. Each row is changed in one atomic step with what is told
    /// of it. Repeating a pass finds nothing more to do.
    ///
    /// But for `Retention` a pass changes nothing that a reader sees other than the instants `last_mutation_at` and
    /// `last_transition_at`: what time has done is read by comparison before it is written down.
    ///
    /// # Errors
    /// `Validation(InvalidOffset)` for a cursor of another scanner or backend; `Validation` for a filter that breaks the
    /// rules of labels.
    ///
    /// # Capability
    /// `scanners`.
    async fn scan(&self, args: ScanArgs) -> Result<ScanReport, EngineError>;
}
