//! Units of work: created once, read at any time, steered by operators.

mod control;
mod data;

use async_trait::async_trait;

pub use control::{
    CancelExecutionArgs, CancelExecutionResult, CancelSource, ChangePriorityArgs, ChangePriorityResult,
    ReplayExecutionArgs, ReplayExecutionResult, SetExecutionTagArgs,
};
pub use data::{
    AttemptInfo, AttemptSummary, CreateExecutionArgs, CreateExecutionResult, ExecutionInfo, ExecutionSnapshot,
    LeaseStatus, LeaseSummary, ListAttemptsPage, ListExecutionsPage, ListLanesPage,
};

use crate::{AttemptIndex, EngineError, ExecutionId, LaneId, PageLimit, PublicState};

/// Units of work.
#[async_trait]
pub trait Executions: Send + Sync + 'static {
    /// Creates an execution, ready to be claimed now or at its delay, and makes its lane known.
    ///
    /// A second create with the same id, or with the same idempotency key in the namespace within the key's window,
    /// is `Duplicate` with the first id; the arguments are not compared and nothing is written. No event tells of it.
    /// A deadline that has come is accepted; no claim will take the execution.
    ///
    /// # Errors
    /// `Validation`: an argument breaks a rule of [`CreateExecutionArgs::check`].
    async fn create_execution(&self, args: CreateExecutionArgs) -> Result<CreateExecutionResult, EngineError>;

    /// Creates several executions, each as [`Executions::create_execution`] does, and answers for each in its place.
    ///
    /// One that is refused leaves the others alone. An id or idempotency key that occurs twice creates the first and
    /// answers `Duplicate` for the rest. A batch is atomic for each of its items, not as a whole: after a lost reply,
    /// repeat it.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for more than 1,000 items, `Validation(PayloadTooLarge)` for inputs of more than
    /// 64 MiB together; of each item what `create_execution` refuses.
    ///
    /// # Capability
    /// `batches`.
    async fn create_executions(
        &self,
        batch: Vec<CreateExecutionArgs>,
    ) -> Result<Vec<Result<CreateExecutionResult, EngineError>>, EngineError>;

    /// A snapshot by id at the store's now; `None` if there is no such execution. Writes nothing.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for an id of a partition that the store lacks; `Validation(Corruption)` if what is
    /// stored is damaged.
    async fn describe_execution(&self, id: &ExecutionId) -> Result<Option<ExecutionSnapshot>, EngineError>;

    /// The public state by id at the store's now; `None` if there is no such execution. Writes nothing.
    ///
    /// # Errors
    /// As [`Executions::describe_execution`].
    async fn read_execution_state(&self, id: &ExecutionId) -> Result<Option<PublicState>, EngineError>;

    /// Everything about an execution at the store's now, its input included; `None` if there is no such execution.
    /// Writes nothing.
    ///
    /// # Errors
    /// As [`Executions::describe_execution`].
    async fn read_execution_info(&self, id: &ExecutionId) -> Result<Option<ExecutionInfo>, EngineError>;

    /// The result, byte for byte; `None` if there is no such execution, it has not completed, or it completed
    /// without a result. An empty result is `Some` of no bytes. Writes nothing.
    ///
    /// # Errors
    /// As [`Executions::describe_execution`].
    async fn get_execution_result(&self, id: &ExecutionId) -> Result<Option<Vec<u8>>, EngineError>;

    /// One page of all executions of the store, by id, beginning behind `cursor`. Writes nothing.
    ///
    /// An execution that exists during the whole walk is on exactly one page. A limit of 0 is the empty page.
    ///
    /// # Errors
    /// Transport only.
    ///
    /// # Capability
    /// `listings`.
    async fn list_executions(
        &self,
        cursor: Option<ExecutionId>,
        limit: PageLimit,
    ) -> Result<ListExecutionsPage, EngineError>;

    /// One page of all lanes that an execution was ever created in, by name, beginning behind `cursor`. Writes
    /// nothing.
    ///
    /// # Errors
    /// Transport only.
    ///
    /// # Capability
    /// `listings`.
    async fn list_lanes(&self, cursor: Option<LaneId>, limit: PageLimit) -> Result<ListLanesPage, EngineError>;

    /// Ends an execution that has not ended, on the authority of the arguments' source, as cancelled.
    ///
    /// Whatever it was doing ends with it: its open attempt, its lease, a grant. In the same step a live lease is told
    /// as `Revoked(cancelled)` and one that had run out as `Expired`, unless its end was told before; a completion
    /// event and the operator event `Cancelled` are told too. An execution that is cancelled already, by whomever, is
    /// `Ok` and nothing changes: who asked first stays in `cancelled_by`.
    ///
    /// # Errors
    /// In this order: `Validation(InvalidInput)` as [`CancelExecutionArgs::check`]; `NotFound(Execution)`;
    /// `State(Terminal)` if it ended another way, also by a deadline that nobody has written down; for a fenced source
    /// `Contention(ExecutionNotActive)`, `State(LeaseRevoked)`, `State(LeaseExpired)` or `State(StaleLease)`.
    ///
    /// # Capability
    /// `operator_control`.
    async fn cancel_execution(&self, args: CancelExecutionArgs) -> Result<CancelExecutionResult, EngineError>;

    /// Gives an execution that waits another priority; its place in the lane follows at once.
    ///
    /// What waits for an instant has the priority when it comes, and a replay keeps it. The operator event
    /// `PriorityChanged` is told if the number changes; otherwise nothing is written.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for an id of a partition that the store lacks; `NotFound(Execution)`;
    /// `Contention(ExecutionNotEligible)` if it is active or has ended, also by a deadline.
    ///
    /// # Capability
    /// `operator_control`.
    async fn change_priority(&self, args: ChangePriorityArgs) -> Result<ChangePriorityResult, EngineError>;

    /// Lets an execution that has ended run again: it waits for a new attempt, with fresh retries and reclaims.
    ///
    /// Outcome, result, failure, cancellation, progress and the instant of completion are cleared, and a deadline of
    /// the policy counts anew from now; attempts, epochs, priority, labels and events stay, and so does `started_at`.
    /// The operator event `Replayed` is told. An end by a deadline that nobody has written down is written down and
    /// told first, in the same step. A holder of the former run is answered `ExecutionNotActive`, and `StaleLease`
    /// after the next claim. Until that claim a repeat returns the first answer and writes nothing.
    ///
    /// # Errors
    /// In this order, and each writes nothing: `Validation(InvalidInput)` for an id of a partition that the store lacks;
    /// `NotFound(Execution)`; `State(ExecutionNotTerminal)`; `State(MaxReplaysExhausted)` after the policy's
    /// `max_replay_count`; `Validation(InvalidInput)` if its deadline is absolute and has come.
    ///
    /// # Capability
    /// `operator_control`.
    async fn replay_execution(&self, args: ReplayExecutionArgs) -> Result<ReplayExecutionResult, EngineError>;

    /// One page of the attempts of an execution at the store's now, by index, beginning behind `cursor`; empty if
    /// there is no such execution. Writes nothing.
    ///
    /// # Errors
    /// As [`Executions::describe_execution`].
    ///
    /// # Capability
    /// `listings`.
    async fn list_attempts(
        &self,
        id: &ExecutionId,
        cursor: Option<AttemptIndex>,
        limit: PageLimit,
    ) -> Result<ListAttemptsPage, EngineError>;

    /// Sets or clears one label of an execution, in whatever state it is; the last write wins.
    ///
    /// `last_mutation_at` moves, also if the label was so before. No event tells of it.
    ///
    /// # Errors
    /// `Validation(InvalidTagKey)`; `Validation(InvalidInput)` for a value above 4,096 bytes or an id of a partition
    /// that the store lacks; `NotFound(Execution)`; `Validation(InvalidInput)` for a label beyond the 64th.
    ///
    /// # Capability
    /// `tags`.
    async fn set_execution_tag(&self, args: SetExecutionTagArgs) -> Result<(), EngineError>;
}
