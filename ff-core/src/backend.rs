//! The whole contract: the sum of its concepts, and the engine itself.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Attempts, Capabilities, Claims, CompletionBackend, EngineError, Executions, Leases, Scanners, Subscriptions,
    Waitpoints,
};

/// What `prepare` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrepareOutcome {
    /// The store was ready.
    NoOp,
    /// The store was made ready.
    Applied {
        /// What was done, for a log.
        description: String,
    },
}

/// A durable execution engine.
///
/// A method is one atomic step in the store, and one round trip wherever the store allows. Bad arguments are refused
/// before anything is written. After `Transport` with [`crate::Applied::Maybe`] a call may be repeated as
/// [`crate::Repeat::of`] says.
#[async_trait]
pub trait EngineBackend:
    Executions + Attempts + Leases + Claims + Waitpoints + Subscriptions + CompletionBackend + Scanners
{
    /// The backend's label in handles, logs and reports, such as `postgres`.
    fn backend_label(&self) -> &'static str;

    /// What the backend can do; constant for its life, no I/O.
    fn capabilities(&self) -> Capabilities;

    /// Reaches the store once.
    ///
    /// # Errors
    /// `Transport` if the store does not answer.
    async fn ping(&self) -> Result<(), EngineError>;

    /// Makes the store ready for this backend, or finds it ready.
    ///
    /// Safe at every start, repeated and concurrent. It never replaces a newer library or schema.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` if the store is too new or too old for this backend, with the command to run.
    async fn prepare(&self) -> Result<PrepareOutcome, EngineError>;

    /// Stops taking work, drains what runs, and closes the connections within `grace`; always `Ok`.
    ///
    /// Every later call answers `Transport` of kind `Closed`, with nothing applied. A second call does nothing.
    ///
    /// # Errors
    /// None.
    async fn shutdown_prepare(&self, grace: Duration) -> Result<(), EngineError>;
}
