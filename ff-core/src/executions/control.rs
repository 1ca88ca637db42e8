//! What operators ask of an execution, and what they are answered.

use serde::{Deserialize, Serialize};

use crate::{
    EngineError, ExecutionId, LeaseFence, Limits, PublicState,
    text::{check_name, check_tag},
};

/// On whose authority an execution is cancelled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CancelSource {
    /// An operator; needs no lease.
    #[default]
    OperatorOverride,
    /// The cancel of its flow; needs no lease.
    FlowCascade,
    /// A time limit of the system; needs no lease.
    SystemTimeout,
    /// The holder of the lease; needs its fence.
    LeaseHolder,
    /// Anybody else, by name; needs the fence of the lease.
    Custom(String),
}

impl CancelSource {
    /// The words that no custom source may take; `worker` is that of [`crate::Attempts::cancel`].
    const WORDS: [&str; 5] = ["operator_override", "flow_cascade", "system_timeout", "lease_holder", "worker"];

    /// The word that readers see as `cancelled_by`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::OperatorOverride => "operator_override",
            Self::FlowCascade => "flow_cascade",
            Self::SystemTimeout => "system_timeout",
            Self::LeaseHolder => "lease_holder",
            Self::Custom(name) => name,
        }
    }

    /// True if the cancel must carry the fence of the live lease.
    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        matches!(self, Self::LeaseHolder | Self::Custom(_))
    }
}

/// A cancel from outside the lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CancelExecutionArgs {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Why, for a reader; at most 4 KiB.
    pub reason: String,
    /// On whose authority.
    pub source: CancelSource,
    /// The lease that a fenced source holds; other sources need none, and it is not looked at.
    pub fence: Option<LeaseFence>,
}

impl CancelExecutionArgs {
    /// A cancel by an operator.
    pub fn new(execution_id: ExecutionId, reason: impl Into<String>) -> Self {
        Self { execution_id, reason: reason.into(), source: CancelSource::default(), fence: None }
    }

    /// The same on another authority.
    #[must_use]
    pub fn source(mut self, source: CancelSource) -> Self {
        self.source = source;
        self
    }

    /// The same with the fence of a lease.
    #[must_use]
    pub fn fence(mut self, fence: LeaseFence) -> Self {
        self.fence = Some(fence);
        self
    }

    /// Refuses what no backend accepts.
    ///
    /// # Errors
    /// `Validation(InvalidInput)`: a long reason, a custom source that is no name or is the word of another (`worker` included), a fenced
    /// source without a fence.
    pub fn check(&self, limits: &Limits) -> Result<(), EngineError> {
        self.execution_id.check_partition(limits.partitions)?;
        Limits::check_reason(&self.reason)?;
        if let CancelSource::Custom(name) = &self.source {
            check_name(name, "source")?;
            if CancelSource::WORDS.contains(&name.as_str()) {
                return Err(EngineError::invalid_input(format!("source: {name:?} is the word of another")));
            }
        }
        if self.source.is_fenced() && self.fence.is_none() {
            return Err(EngineError::invalid_input(format!("fence: {} needs one", self.source.as_str())));
        }
        Ok(())
    }
}

/// What a cancel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelExecutionResult {
    /// The execution is cancelled, now or since before.
    Cancelled {
        /// Its id.
        execution_id: ExecutionId,
        /// `Cancelled`.
        public_state: PublicState,
    },
}

/// Another priority for an execution that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChangePriorityArgs {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Higher goes first; clamped to `0..=9000`.
    pub new_priority: i32,
}

impl ChangePriorityArgs {
    /// `execution_id` gets `new_priority`.
    #[must_use]
    pub const fn new(execution_id: ExecutionId, new_priority: i32) -> Self {
        Self { execution_id, new_priority }
    }

    /// The priority that counts.
    #[must_use]
    pub fn effective_priority(&self) -> i32 {
        self.new_priority.clamp(*Limits::PRIORITY.start(), *Limits::PRIORITY.end())
    }
}

/// What a change of priority did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangePriorityResult {
    /// The execution has the priority.
    Changed {
        /// Its id.
        execution_id: ExecutionId,
        /// The priority that counts, after clamping.
        priority: i32,
    },
}

/// Another run of an execution that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReplayExecutionArgs {
    /// The execution.
    pub execution_id: ExecutionId,
}

impl ReplayExecutionArgs {
    /// Replays `execution_id`.
    #[must_use]
    pub const fn new(execution_id: ExecutionId) -> Self {
        Self { execution_id }
    }

    /// The refusal of a run that could not begin: the deadline is absolute and has come.
    #[must_use]
    pub fn past_deadline() -> EngineError {
        EngineError::invalid_input("execution_deadline_at: it is absolute and has come")
    }
}

/// What a replay did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplayExecutionResult {
    /// The execution waits for its next attempt.
    Replayed {
        /// `Waiting`.
        public_state: PublicState,
    },
}

/// A label of an execution, set or cleared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SetExecutionTagArgs {
    /// The execution.
    pub execution_id: ExecutionId,
    /// `namespace.name`, at most 128 bytes.
    pub key: String,
    /// At most 4,096 bytes; `None` clears the label.
    pub value: Option<String>,
}

impl SetExecutionTagArgs {
    /// Sets `key` to `value`.
    pub fn new(execution_id: ExecutionId, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { execution_id, key: key.into(), value: Some(value.into()) }
    }

    /// Clears `key`.
    pub fn clear(execution_id: ExecutionId, key: impl Into<String>) -> Self {
        Self { execution_id, key: key.into(), value: None }
    }

    /// Refuses what no backend accepts.
    ///
    /// # Errors
    /// `Validation(InvalidTagKey)` for a key of another form, `Validation(InvalidInput)` for a value that is too long.
    pub fn check(&self, limits: &Limits) -> Result<(), EngineError> {
        self.execution_id.check_partition(limits.partitions)?;
        check_tag(&self.key, self.value.as_deref().unwrap_or_default())
    }

    /// The refusal of a label beyond the last that an execution may have.
    #[must_use]
    pub fn too_many() -> EngineError {
        EngineError::invalid_input(format!("tags: {}, at most {}", Limits::TAGS + 1, Limits::TAGS))
    }
}
