//! What the suite may do to a store beside its contract: move its clock, look at everything, hold a write.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use ff_core::{
    AttemptId, AttemptIndex, AttemptPhase, AttemptType, CompletionEvent, EngineBackend, ExecutionId, LeaseEpoch,
    LeaseHistoryEvent, OperatorEvent, SignalDeliveryEvent, TimestampMs,
};
use serde::{Deserialize, Serialize};

use crate::HarnessError;

/// One thing that the suite may do to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Move the store's clock.
    Clock,
    /// See everything that the store holds.
    Dump,
    /// Make a write wait inside the store.
    Hold,
    /// Stand between client and store.
    Address,
    /// End the sessions of a store's clients, in its server.
    Sessions,
    /// Start servers that may be killed.
    Server,
}

impl Control {
    /// The word that reports use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Dump => "dump",
            Self::Hold => "hold",
            Self::Address => "address",
            Self::Sessions => "sessions",
            Self::Server => "server",
        }
    }
}

/// What the suite may do to one store; what is absent makes the cases that need it `not run`.
#[derive(Clone, Default)]
pub struct Controls {
    /// Moves the store's clock.
    pub clock: Option<Arc<dyn ClockControl>>,
    /// Shows everything that the store holds.
    pub dump: Option<Arc<dyn DumpControl>>,
    /// Makes a write wait inside the store.
    pub hold: Option<Arc<dyn HoldControl>>,
    /// The store's address; the suite puts its own proxy in front.
    pub address: Option<SocketAddr>,
    /// Ends sessions, and makes the server forget what it was taught.
    pub sessions: Option<Arc<dyn SessionControl>>,
    /// Starts servers that may be killed.
    pub server: Option<Arc<dyn ServerControl>>,
}

impl Controls {
    /// No control at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The same with a hand on the store's clock.
    #[must_use]
    pub fn clock(mut self, clock: impl ClockControl + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The same with a look at everything that the store holds.
    #[must_use]
    pub fn dump(mut self, dump: impl DumpControl + 'static) -> Self {
        self.dump = Some(Arc::new(dump));
        self
    }

    /// The same with a hold on writes.
    #[must_use]
    pub fn hold(mut self, hold: impl HoldControl + 'static) -> Self {
        self.hold = Some(Arc::new(hold));
        self
    }

    /// The same with the address at which the store listens.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The same with a hand on the sessions of the store's clients.
    #[must_use]
    pub fn sessions(mut self, sessions: impl SessionControl + 'static) -> Self {
        self.sessions = Some(Arc::new(sessions));
        self
    }

    /// The same with servers that may be killed.
    #[must_use]
    pub fn server(mut self, server: impl ServerControl + 'static) -> Self {
        self.server = Some(Arc::new(server));
        self
    }

    /// Those that are there.
    #[must_use]
    pub fn present(&self) -> Vec<Control> {
        [
            (Control::Clock, self.clock.is_some()),
            (Control::Dump, self.dump.is_some()),
            (Control::Hold, self.hold.is_some()),
            (Control::Address, self.address.is_some()),
            (Control::Sessions, self.sessions.is_some()),
            (Control::Server, self.server.is_some()),
        ]
        .into_iter()
        .filter_map(|(control, there)| there.then_some(control))
        .collect()
    }
}

/// Moves the clock of one store; it stands still in between.
#[async_trait]
pub trait ClockControl: Send + Sync {
    /// The store's now.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn now(&self) -> Result<TimestampMs, HarnessError>;

    /// Sets the store's now, forwards or backwards.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn set(&self, now: TimestampMs) -> Result<(), HarnessError>;
}

/// One attempt record as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFacts {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The index, from 0.
    pub attempt_index: AttemptIndex,
    /// The id.
    pub attempt_id: AttemptId,
    /// Why it exists.
    pub attempt_type: AttemptType,
    /// Where it stands, as written.
    pub phase: AttemptPhase,
    /// The epoch of its latest lease.
    pub lease_epoch: LeaseEpoch,
    /// When it started.
    pub started_at: TimestampMs,
    /// When it was last taken up again.
    pub resumed_at: Option<TimestampMs>,
    /// When it ended.
    pub ended_at: Option<TimestampMs>,
    /// The message of its failure.
    pub failure_reason: Option<String>,
    /// The category of its failure.
    pub failure_category: Option<String>,
}

/// Everything that a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// The lease history of all executions, oldest first.
    pub lease_history: Vec<LeaseHistoryEvent>,
    /// The completions of all executions, oldest first.
    pub completions: Vec<CompletionEvent>,
    /// What operators did to all executions, oldest first.
    pub operator_events: Vec<OperatorEvent>,
    /// What was delivered to waitpoints of all executions, oldest first.
    pub signal_deliveries: Vec<SignalDeliveryEvent>,
    /// All attempts, by execution and index.
    pub attempts: Vec<AttemptFacts>,
    /// One line for each record, index entry and counter of the store, sorted; equal lines mean equal state.
    pub lines: Vec<String>,
}

/// Shows everything that one store holds.
#[async_trait]
pub trait DumpControl: Send + Sync {
    /// Everything, at this moment.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn dump(&self) -> Result<Dump, HarnessError>;
}

/// Makes writes wait inside one store.
#[async_trait]
pub trait HoldControl: Send + Sync {
    /// From now on a write to `id` waits inside the store, until the hold is released.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn hold(&self, id: &ExecutionId) -> Result<Box<dyn Held>, HarnessError>;

    /// From now on a claim of `id` waits inside the store, after it has taken the execution and before anybody can see
    /// that, until the hold is released. A store where nobody can meet such a claim holds the execution.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn hold_claim(&self, id: &ExecutionId) -> Result<Box<dyn Held>, HarnessError> {
        self.hold(id).await
    }

    /// From now on the next call that asks the store for its time waits there, until the hold is released: it has begun
    /// to look, and taken nothing yet. None if nobody can come between the two in this store.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn hold_look(&self) -> Result<Option<Box<dyn Held>>, HarnessError> {
        Ok(None)
    }
}

/// A hold on one execution.
#[async_trait]
pub trait Held: Send + Sync {
    /// How many writes wait behind the hold, or behind another that does.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn waiting(&self) -> Result<u64, HarnessError>;

    /// True once at least one write waits.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn is_awaited(&self) -> Result<bool, HarnessError> {
        Ok(self.waiting().await? > 0)
    }

    /// Lets the writes go on, as if the holder had changed nothing.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn release(self: Box<Self>) -> Result<(), HarnessError>;
}

/// Ends sessions in the server of one store.
#[async_trait]
pub trait SessionControl: Send + Sync {
    /// Ends every session of the store's clients, in the midst of what they do.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn drop_sessions(&self) -> Result<(), HarnessError>;

    /// Makes the server forget the functions that the backend keeps there, until they are taught again; a store whose
    /// server keeps none has nothing to forget.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn forget_functions(&self) -> Result<(), HarnessError> {
        Ok(())
    }

    /// Teaches the server the functions again.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn teach_functions(&self) -> Result<(), HarnessError> {
        Ok(())
    }
}

/// Whether a server writes through to its disk before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteThrough {
    /// It does.
    Always,
    /// It does not: it answers first, and writes later or never.
    Never,
}

/// Starts servers that may be killed.
#[async_trait]
pub trait ServerControl: Send + Sync {
    /// A server of its own, with an empty store that is ready for clients.
    ///
    /// # Errors
    /// If none can be started.
    async fn start(&self, through: WriteThrough) -> Result<Box<dyn MortalServer>, HarnessError>;
}

/// A server that may be killed.
#[async_trait]
pub trait MortalServer: Send + Sync {
    /// One more client of its store.
    ///
    /// # Errors
    /// If the store cannot be reached.
    async fn connect(&self) -> Result<Arc<dyn EngineBackend>, HarnessError>;

    /// Ends it at once, as a loss of power to its process would: nothing is asked, nothing is flushed.
    ///
    /// # Errors
    /// If it still runs.
    async fn kill(&mut self) -> Result<(), HarnessError>;

    /// Starts it again with what it has on disk, ready for clients.
    ///
    /// # Errors
    /// If it does not answer.
    async fn restart(&mut self) -> Result<(), HarnessError>;

    /// Ends it and removes what it wrote.
    ///
    /// # Errors
    /// If something stays.
    async fn remove(self: Box<Self>) -> Result<(), HarnessError>;
}
