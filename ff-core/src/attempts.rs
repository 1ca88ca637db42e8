//! What the holder of a lease does with an execution: tells progress, and ends the attempt.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    CapabilitySet, ClaimPolicy, EngineError, Handle, Limits, TimestampMs,
    state::words,
    text::{check_name, check_text},
};

words! {
    /// What kind of failure it was; it decides whether a retry may follow.
    FailureClass {
        /// It may go better next time. Retried if the policy allows.
        Transient = "transient",
        /// It will fail again. Never retried.
        Permanent = "permanent",
        /// The worker or its machine broke. Retried if the policy allows.
        InfraCrash = "infra_crash",
        /// It took too long. Retried if the policy allows.
        Timeout = "timeout",
        /// Somebody cancelled it. Never retried.
        Cancelled = "cancelled",
    }
}

impl FailureClass {
    /// True if a retry policy may apply.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Transient | Self::InfraCrash | Self::Timeout)
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailureReason {
    /// For a reader; at most 4 KiB.
    pub message: String,
    /// What a retry policy may list; without it, the class's word counts.
    pub category: Option<String>,
}

impl FailureReason {
    /// A reason without a category.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), category: None }
    }

    /// The same with a category.
    #[must_use]
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.category = Some(category.into());
        self
    }

    /// The category that is stored and compared: its own, else the word of `class`.
    #[must_use]
    pub fn effective_category(&self, class: FailureClass) -> &str {
        self.category.as_deref().unwrap_or(class.as_str())
    }

    /// Refuses what no backend accepts.
    ///
    /// # Errors
    /// `Validation(InvalidInput)`.
    pub fn check(&self) -> Result<(), EngineError> {
        check_text(&self.message, "failure message", Limits::REASON_BYTES)?;
        self.category.as_ref().map_or(Ok(()), |category| check_name(category, "failure category"))
    }
}

/// What a failure led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailOutcome {
    /// A new attempt is due.
    RetryScheduled {
        /// When, by the store's clock.
        delay_until: TimestampMs,
    },
    /// The execution has failed for good.
    TerminalFailed,
}

/// How far the work is, as its holder last told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Percent, `0..=100`.
    pub percent: Option<u8>,
    /// For a reader.
    pub message: Option<String>,
    /// When it was told.
    pub updated_at: TimestampMs,
}

impl Progress {
    /// Refuses what no backend accepts.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for more than 100 percent or a message above 4 KiB.
    pub fn check(percent: Option<u8>, message: Option<&str>) -> Result<(), EngineError> {
        if let Some(percent) = percent.filter(|percent| *percent > 100) {
            return Err(EngineError::invalid_input(format!("percent: {percent}, at most 100")));
        }
        message.map_or(Ok(()), |message| check_text(message, "progress message", Limits::REASON_BYTES))
    }
}

/// One item of [`Attempts::complete_many`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompleteArgs {
    /// The lease.
    pub handle: Handle,
    /// The result.
    pub payload: Option<Vec<u8>>,
}

impl CompleteArgs {
    /// Completes the execution of `handle` with `payload` as its result.
    #[must_use]
    pub const fn new(handle: Handle, payload: Option<Vec<u8>>) -> Self {
        Self { handle, payload }
    }
}

/// What the holder of a lease does.
///
/// Every method checks in one order: the handle decodes, this backend minted it, the execution exists, the call is
/// not a repeat of one that succeeded, the execution is active, its lease was not revoked, has not run out, and is
/// the handle's (lease, epoch and attempt). A refused call writes nothing and tells nothing.
///
/// # Errors
/// Of every method: `Validation(Corruption)` or `Validation(HandleFromOtherBackend)` for a bad handle;
/// `NotFound(Execution)`; `Contention(ExecutionNotActive)` if the execution is not active any more;
/// `State(LeaseRevoked)`, `State(LeaseExpired)` or `State(StaleLease)` if the lease is lost: drop the work.
#[async_trait]
pub trait Attempts: Send + Sync + 'static {
    /// Stores how far the work is; what is `None` stays as it was.
    ///
    /// The lease is not extended and no event is told. Repeating it stores the same again.
    ///
    /// # Errors
    /// As every method of the trait; `Validation(InvalidInput)` for more than 100 percent or a message above 4 KiB.
    ///
    /// # Capability
    /// `progress`.
    async fn progress(&self, handle: &Handle, percent: Option<u8>, message: Option<String>) -> Result<(), EngineError>;

    /// Ends the execution with success and stores `payload` as its result.
    ///
    /// Repeating it with the same handle is `Ok` and changes nothing: the first result stays. `Released(completed)`
    /// and a completion event are told in the same step.
    ///
    /// # Errors
    /// As every method of the trait; `Validation(PayloadTooLarge)` above 16 MiB.
    async fn complete(&self, handle: &Handle, payload: Option<Vec<u8>>) -> Result<(), EngineError>;

    /// Ends the attempt with a failure, and the execution too unless a retry is due.
    ///
    /// A retry follows if the policy has one, `classification` is transient, infra crash or timeout, the category is
    /// listed or none is, and retries are left. Repeating it with the same handle returns the first answer, until the
    /// next acquisition. `Released` is told with its reason, and a completion event if the execution ended.
    ///
    /// # Errors
    /// As every method of the trait; `Validation(InvalidInput)` for a message above 4 KiB or a bad category.
    async fn fail(
        &self,
        handle: &Handle,
        reason: FailureReason,
        classification: FailureClass,
    ) -> Result<FailOutcome, EngineError>;

    /// Ends the execution as cancelled by its worker.
    ///
    /// Repeating it with the same handle is `Ok` and changes nothing. `Released(cancelled)` and a completion event
    /// are told in the same step.
    ///
    /// # Errors
    /// As every method of the trait; `Validation(InvalidInput)` for a reason above 4 KiB.
    async fn cancel(&self, handle: &Handle, reason: &str) -> Result<(), EngineError>;

    /// Gives the lease back and lets the same attempt go on at `delay_until`, at once if that instant has come.
    ///
    /// The next claim resumes the attempt: same index and id, another lease. Repeating it with the same handle is `Ok`
    /// and changes nothing, until the next acquisition. `Released(worker_delay)` is told in the same step.
    ///
    /// # Errors
    /// As every method of the trait; `Validation(InvalidInput)` for an instant outside the range of the contract.
    async fn delay(&self, handle: &Handle, delay_until: TimestampMs) -> Result<(), EngineError>;

    /// Gives the lease back and lets the same attempt go on when every execution that this one has an inbound edge
    /// from is resolved: at once if none is open.
    ///
    /// The next claim resumes the attempt: same index and id, another lease. Repeating it with the same handle is `Ok`
    /// and changes nothing, until the next acquisition. `Released(waiting_children)` is told in the same step.
    ///
    /// # Errors
    /// As every method of the trait.
    async fn wait_children(&self, handle: &Handle) -> Result<(), EngineError>;

    /// Completes several executions, each as [`Attempts::complete`] does, and answers for each in its place.
    ///
    /// Each item has its own fence; one that is refused leaves the others alone. A batch is atomic for each of its
    /// items, not as a whole: after a lost reply, repeat it.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for more than 1,000 items, `Validation(PayloadTooLarge)` for results of more than
    /// 64 MiB together; of each item what `complete` refuses.
    ///
    /// # Capability
    /// `batches`.
    async fn complete_many(&self, batch: Vec<CompleteArgs>) -> Result<Vec<Result<(), EngineError>>, EngineError>;

    /// Completes an execution as [`Attempts::complete`] does and takes the next one of the same lane as
    /// [`crate::Claims::claim`] does, in one step and one round trip; a claim that has to look again, as any may, is a
    /// step of its own behind the complete.
    ///
    /// If the complete is refused, nothing is taken. A repeat finds the execution completed and takes another one: if a
    /// reply is lost, the lease that it handed out lapses by itself. With `max_wait` an empty look is followed by
    /// claims until the wait is over.
    ///
    /// # Errors
    /// As `complete` and `claim`.
    async fn complete_and_claim(
        &self,
        handle: &Handle,
        payload: Option<Vec<u8>>,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError>;
}
