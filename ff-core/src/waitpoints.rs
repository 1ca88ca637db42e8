//! Suspended work: what it waits for, who may signal it, and how it goes on.

mod listings;
mod secrets;
mod signals;
mod suspensions;
mod tokens;

use std::time::Duration;

use async_trait::async_trait;

pub use listings::{
    ListPendingWaitpointsArgs, ListPendingWaitpointsResult, ListSuspendedPage, PendingWaitpointInfo, SuspendedCursor,
    SuspendedExecutionEntry, WaitpointState,
};
pub use secrets::{
    RotateWaitpointHmacSecretAllArgs, RotateWaitpointHmacSecretAllResult, RotateWaitpointHmacSecretEntry,
    RotateWaitpointHmacSecretOutcome, SeedOutcome, SeedWaitpointHmacSecretArgs,
};
pub use signals::{DeliverSignalArgs, DeliverSignalResult, ResumeSignal};
pub use suspensions::{
    AdditionalWaitpoint, PendingWaitpoint, ResumeExecutionArgs, ResumeExecutionResult, ResumePolicy, ResumeTarget,
    SuspendArgs, SuspendOutcome, SuspendOutcomeDetails, SuspensionEnd, SuspensionReasonCode, SuspensionRequester,
    TimeoutBehavior, WaitpointBinding,
};
pub use tokens::{Keyring, Kid, MintedToken, SigningKey, SigningSecret, TokenFault, WaitpointToken};

use crate::{EngineError, ExecutionId, Handle, LeaseFence, Limits, PageLimit, time::checked_ms};

/// Suspended work: what it waits for, who may signal it, and how it goes on.
///
/// A suspension gives the lease back and keeps the attempt. It ends by the first of: signals that fulfil its condition,
/// its time-out, an operator, a cancel, the deadline of the execution; whatever ends it closes all its waitpoints in the
/// same step. A time-out takes effect when it comes, with no scanner running.
///
/// A waitpoint is `pending` while it keeps signals for a suspension to come, `active` while its suspension is open, and
/// `closed` ever after. It belongs to one execution and, until a suspension takes it up, to one attempt of it.
#[async_trait]
pub trait Waitpoints: Send + Sync + 'static {
    /// Gives the lease back and suspends the execution until signals fulfil a condition, or until its time-out.
    ///
    /// `Released(suspend)` is told in the same step. Signals that were kept at a pending primary waitpoint count: if they
    /// fulfil the condition already, nothing is suspended, the lease goes on, the waitpoints are closed and
    /// `AlreadySatisfied` is the answer.
    ///
    /// A repeat with the same idempotency key, until a minute after the time-out and for 7 days at most, returns the first
    /// answer whatever else its arguments say and whoever holds the execution by then; a repeat with the same suspension id
    /// by the same lease does so until the next acquisition. Tokens are those of the first answer; once a key that signed
    /// them has been removed, they are signed by the one that signs now.
    ///
    /// # Errors
    /// In this order: as every method of [`crate::Attempts`] for the handle, and `State(AlreadySuspended)` for one of kind
    /// `Suspended`; as [`SuspendArgs::check`]; `State(SigningKeyMissing)`; the rest of what [`crate::Attempts`] refuses;
    /// `Validation(InvalidLeaseForSuspend)` for a handle of another attempt index; `Validation(InvalidInput)` for a time-out
    /// that came more than 10 min ago; `Conflict(WaitpointAlreadyExists)` for a fresh waitpoint whose id the execution has
    /// used; for a pending one `Contention(WaitpointNotFound)`, `State(WaitpointNotPending)` if a suspension took it up,
    /// `Validation(InvalidWaitpointForExecution)` if it is of another attempt, `State(PendingWaitpointExpired)`,
    /// `Validation(InvalidInput)` if the condition asks for another key.
    ///
    /// # Capability
    /// `waitpoints`.
    async fn suspend(&self, handle: &Handle, args: SuspendArgs) -> Result<SuspendOutcome, EngineError>;

    /// Suspends as [`Waitpoints::suspend`] does, for a caller that holds the fence of a lease instead of its handle.
    ///
    /// # Errors
    /// As `suspend` without those of the handle; `Validation(InvalidInput)` for an id of a partition that the store lacks.
    ///
    /// # Capability
    /// `waitpoints`.
    async fn suspend_by_triple(
        &self,
        exec_id: ExecutionId,
        triple: LeaseFence,
        args: SuspendArgs,
    ) -> Result<SuspendOutcome, EngineError>;

    /// Opens a pending waitpoint called `waitpoint_key` for `expires_in`: 1 ms to 100 years, in whole milliseconds.
    ///
    /// Neither the state nor the lease changes. Signals that are delivered to it are kept until a suspension of the same
    /// attempt takes it up. While a waitpoint of the same attempt and key is pending, a repeat returns it as it is, also
    /// with another duration.
    ///
    /// # Errors
    /// In this order: `Validation(InvalidWaitpointKey)` for a key that is empty, above 256 bytes or has a U+0000;
    /// `Validation(InvalidInput)` for a duration outside its range; as every method of [`crate::Attempts`];
    /// `State(SigningKeyMissing)`.
    ///
    /// # Capability
    /// `waitpoints`.
    async fn create_waitpoint(
        &self,
        handle: &Handle,
        waitpoint_key: &str,
        expires_in: Duration,
    ) -> Result<PendingWaitpoint, EngineError>;

    /// The signals that fulfilled the condition of the latest suspension, in the order of their acceptance, up to the one
    /// that resumed the execution; after a time-out that resumed it, the signal `timeout`. Writes nothing.
    ///
    /// Empty if that suspension was of another attempt than the handle's, is still open, or ended another way. No lease is
    /// needed; the next suspension replaces what is read.
    ///
    /// # Errors
    /// `Validation(Corruption)` or `Validation(HandleFromOtherBackend)` for a bad handle; `NotFound(Execution)`.
    ///
    /// # Capability
    /// `waitpoints`.
    async fn observe_signals(&self, handle: &Handle) -> Result<Vec<ResumeSignal>, EngineError>;

    /// Delivers a signal to a waitpoint: it is kept and counts for the condition of the suspension, and what fulfils the
    /// condition resumes the execution in the same step.
    ///
    /// The execution can be claimed at once, or after the delay of the signal, else of the resume policy; it keeps its place
    /// in the order of its lane. At a pending waitpoint the signal is kept. A second delivery with the same signal id, or
    /// with the same idempotency key while that is remembered, at the same waitpoint is `Duplicate` with the first id, also
    /// after the waitpoint has closed, and changes nothing. A delivery event tells of each delivery that was accepted, and of
    /// each repeat as `Deduped`.
    ///
    /// # Errors
    /// In this order: `Validation(InvalidInput)` and `Validation(PayloadTooLarge)` as [`DeliverSignalArgs::check`], and for an
    /// id of a partition that the store lacks; `Validation(InvalidToken)` if the token is not valid for this waitpoint of this
    /// execution, whatever the reason and whatever exists; `State(TargetNotSignalable)` if the execution has ended;
    /// `State(WaitpointClosed)`; `Validation(SignalLimitExceeded)` if the execution has taken as many signals as its policy
    /// allows.
    ///
    /// # Capability
    /// `waitpoints`.
    async fn deliver_signal(&self, args: DeliverSignalArgs) -> Result<DeliverSignalResult, EngineError>;

    /// Ends a suspension from outside, whatever its condition: the execution can be claimed at once or after a delay.
    ///
    /// The operator event `Resumed` is told. Until the next acquisition a repeat returns the first answer and writes nothing.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` as [`ResumeExecutionArgs::check`]; `NotFound(Execution)`; `State(ExecutionNotSuspended)`,
    /// also if a time-out or the deadline came before.
    ///
    /// # Capability
    /// `waitpoints`.
    async fn resume_execution(&self, args: ResumeExecutionArgs) -> Result<ResumeExecutionResult, EngineError>;

    /// One page of all suspended executions of the store, by the instant of their suspension and id, beginning behind
    /// `cursor`. Writes nothing.
    ///
    /// An execution that stays in one suspension during the whole walk is on exactly one page. A limit of 0 is the empty page.
    ///
    /// # Errors
    /// Transport only.
    ///
    /// # Capability
    /// `waitpoints`.
    async fn list_suspended(
        &self,
        cursor: Option<SuspendedCursor>,
        limit: PageLimit,
    ) -> Result<ListSuspendedPage, EngineError>;

    /// One page of the open waitpoints of an execution, by id. Writes nothing.
    ///
    /// A waitpoint that is open during the whole walk is on exactly one page. A limit of 0 is the empty page.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for an id of a partition that the store lacks; `NotFound(Execution)`.
    ///
    /// # Capability
    /// `waitpoints`.
    async fn list_pending_waitpoints(
        &self,
        args: ListPendingWaitpointsArgs,
    ) -> Result<ListPendingWaitpointsResult, EngineError>;

    /// Installs the key that signs tokens in a store that has none.
    ///
    /// Safe at every start, repeated and concurrent: if the key signs already, nothing changes, and the answer says whether
    /// the secret is the same.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` if another key signs.
    ///
    /// # Capability
    /// `waitpoints`.
    async fn seed_waitpoint_hmac_secret(&self, args: SeedWaitpointHmacSecretArgs) -> Result<SeedOutcome, EngineError>;

    /// Lets another key sign. Tokens of the key before it stay valid for the grace, those of earlier keys for their own.
    ///
    /// A key is over when its grace ends, by the store's clock; the next rotation removes it. A key within its grace can sign
    /// again, and has no end then. Repeating it with the key that signs is `Noop`.
    ///
    /// # Errors
    /// `Validation(InvalidGraceMs)`; `Conflict(RotationConflict)` if the id stands for another secret that still counts.
    ///
    /// # Capability
    /// `waitpoints`.
    async fn rotate_waitpoint_hmac_secret_all(
        &self,
        args: RotateWaitpointHmacSecretAllArgs,
    ) -> Result<RotateWaitpointHmacSecretAllResult, EngineError>;
}

impl PendingWaitpoint {
    /// Refuses what no backend accepts of a `create_waitpoint`; the life of the waitpoint in milliseconds.
    ///
    /// # Errors
    /// `Validation(InvalidWaitpointKey)`, `Validation(InvalidInput)`.
    pub fn check(waitpoint_key: &str, expires_in: Duration) -> Result<u64, EngineError> {
        suspensions::check_waitpoint_key(waitpoint_key)?;
        checked_ms(expires_in, "expires_in", 1)
    }
}

impl ListPendingWaitpointsArgs {
    /// Refuses what no backend accepts.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for an id of a partition that the store lacks.
    pub fn check(&self, limits: &Limits) -> Result<(), EngineError> {
        self.execution_id.check_partition(limits.partitions)
    }
}
