//! How a worker gets a lease.

mod grants;

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use grants::{
    ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimGrant,
    ClaimResumedExecutionArgs, ClaimResumedExecutionResult, ReclaimToken, UnclaimedReason,
};

use crate::{
    EngineError, ExecutionId, Handle, LaneId, Limits, PageLimit, ValidationKind, WorkerId, WorkerInstanceId,
    time::checked_ms,
};

/// What a worker offers, or what an execution requires of its worker: exact, case-sensitive tokens.
///
/// At most 256 tokens and 4,096 bytes joined by commas; a token is not empty and has no comma, no byte up to 0x20 and
/// no 0x7f.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct CapabilitySet(BTreeSet<String>);

impl CapabilitySet {
    /// A checked set.
    ///
    /// # Errors
    /// `Validation(InvalidCapabilities)` naming the rule: `empty_token`, `comma_in_token`, `control_or_whitespace`,
    /// `too_many_tokens`, `too_many_bytes`.
    pub fn try_new<T: Into<String>>(tokens: impl IntoIterator<Item = T>) -> Result<Self, EngineError> {
        let tokens: BTreeSet<String> = tokens.into_iter().map(Into::into).collect();
        for token in &tokens {
            let rule = if token.is_empty() {
                "empty_token"
            } else if token.contains(',') {
                "comma_in_token"
            } else if token.bytes().any(|byte| byte <= 0x20 || byte == 0x7f) {
                "control_or_whitespace"
            } else {
                continue;
            };
            return Err(broken(rule));
        }
        if tokens.len() > Limits::CAPABILITY_TOKENS {
            return Err(broken("too_many_tokens"));
        }
        let bytes: usize = tokens.iter().map(|token| token.len() + 1).sum();
        if bytes > Limits::CAPABILITY_BYTES + 1 {
            return Err(broken("too_many_bytes"));
        }
        Ok(Self(tokens))
    }

    /// A set from the JSON of a policy.
    pub(crate) fn from_json(value: &serde_json::Value) -> Result<Self, EngineError> {
        let items = value.as_array().ok_or_else(|| broken("not_array"))?;
        let tokens: Option<Vec<&str>> = items.iter().map(|item| item.as_str()).collect();
        Self::try_new(tokens.ok_or_else(|| broken("non_string_token"))?)
    }

    /// True if every token of `required` is in this set.
    #[must_use]
    pub fn covers(&self, required: &Self) -> bool {
        required.0.is_subset(&self.0)
    }

    /// The tokens of `required` that are not in this set, in order.
    #[must_use]
    pub fn missing(&self, required: &Self) -> Vec<String> {
        required.0.difference(&self.0).cloned().collect()
    }

    /// The tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The tokens in order, joined by commas: one text for one set.
    #[must_use]
    pub fn joined(&self) -> String {
        self.iter().collect::<Vec<_>>().join(",")
    }
}

fn broken(rule: &str) -> EngineError {
    EngineError::validation(ValidationKind::InvalidCapabilities, rule)
}

impl TryFrom<Vec<String>> for CapabilitySet {
    type Error = EngineError;
    fn try_from(tokens: Vec<String>) -> Result<Self, EngineError> {
        Self::try_new(tokens)
    }
}

impl From<CapabilitySet> for Vec<String> {
    fn from(set: CapabilitySet) -> Self {
        set.0.into_iter().collect()
    }
}

/// Who claims, for how long, and how long the claim may wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClaimPolicy {
    /// The worker.
    pub worker_id: WorkerId,
    /// The process of the worker.
    pub worker_instance_id: WorkerInstanceId,
    /// The life of the lease, and what each renewal extends it by: 1 ms to 100 years, in whole milliseconds.
    pub lease_ttl: Duration,
    /// How long to wait for work, by the caller's clock; without it the claim looks once.
    pub max_wait: Option<Duration>,
}

impl ClaimPolicy {
    /// A claim that looks once.
    #[must_use]
    pub const fn new(worker_id: WorkerId, worker_instance_id: WorkerInstanceId, lease_ttl: Duration) -> Self {
        Self { worker_id, worker_instance_id, lease_ttl, max_wait: None }
    }

    /// The same, waiting for work.
    #[must_use]
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = Some(wait);
        self
    }

    /// The life of the lease in milliseconds.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` if it or the wait lies outside its range.
    pub fn checked_ttl_ms(&self) -> Result<u64, EngineError> {
        self.max_wait.map_or(Ok(0), |wait| checked_ms(wait, "max_wait", 0))?;
        checked_ms(self.lease_ttl, "lease_ttl", 1)
    }
}

/// How a worker gets a lease.
#[async_trait]
pub trait Claims: Send + Sync + 'static {
    /// Takes the next execution of `lane` that `capabilities` cover, as a lease with a handle; `None` if there is none.
    ///
    /// A claim first makes ready at most 256 rows of the lane whose time has come, oldest due instant first, then id:
    /// due delays and retries, lapsed leases and lapsed grants (a row at its reclaim cap fails, an attempt that ran out
    /// of time fails by the retry rule, a row past its deadline expires). Then it takes the first by priority
    /// descending, creation, id, among those whose required capabilities the worker offers; rows it may not take
    /// neither block it nor change. The handle's kind says what the work is: `Fresh` with a new attempt (first, retry
    /// or replay), `Resumed` with the same attempt after a delay or a wait, `Reclaimed` with a new attempt after a lease
    /// that lapsed or was revoked. `Acquired`, or `Expired` unless it was told before and `Reclaimed`, are told in the
    /// same step.
    ///
    /// With `max_wait` an empty look is followed by others until the wait is over: at a wake-up, when a row of the lane
    /// falls due, and in any case within 5 s, or 10 s if the store knows that it has somebody to wake.
    /// Every call hands out another lease: if a reply is lost, that lease lapses by itself and the work comes back.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for a lease life of 0 or above 100 years. A lost race is `None`, never an error.
    async fn claim(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError>;

    /// Takes the next `limit` executions at most, each as [`Claims::claim`] does, in the order of the lane.
    ///
    /// With `max_wait` it waits for the first, not until the limit is reached. If a reply is lost, its leases lapse by
    /// themselves.
    ///
    /// # Errors
    /// As `claim`.
    ///
    /// # Capability
    /// `batches`.
    async fn claim_many(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
        limit: PageLimit,
    ) -> Result<Vec<Handle>, EngineError>;

    /// Reserves for a worker process what [`Claims::claim`] would take; the row keeps its state and is nobody else's
    /// until the grant is redeemed or lapses.
    ///
    /// It writes down first what time has done to the row: a lease that lapsed is told as `Expired` and stays
    /// `lease_expired_reclaimable`, so a reserved row is never `leased`; one at its reclaim cap fails instead. Nothing
    /// else is told.
    /// Every call hands out another grant: if a reply is lost, that grant lapses by itself, and the row is claimable
    /// from exactly then on.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` for a grant life outside 1 ms to 60 s. A lost race is `NoWork`, never an error.
    ///
    /// # Capability
    /// `grants`.
    async fn claim_for_worker(&self, args: ClaimForWorkerArgs) -> Result<ClaimForWorkerOutcome, EngineError>;

    /// Redeems a grant, whatever the reserved work is: kind, attempt and events are those of [`Claims::claim`].
    ///
    /// While the lease that it handed out is live, a repeat returns the same handle.
    ///
    /// # Errors
    /// In this order: `Validation(InvalidInput)` for a lease life of 0 or above 100 years; `NotFound(Execution)`;
    /// `Contention(ExecutionNotLeaseable)` if the execution has ended, also by its deadline, is suspended or waits;
    /// `Contention(LeaseConflict)` if another lease is live; `Contention(InvalidClaimGrant)` if the grant was redeemed or
    /// replaced, or is another worker's; `Contention(ClaimGrantExpired)`.
    ///
    /// # Capability
    /// `grants`.
    async fn claim_execution(&self, args: ClaimExecutionArgs) -> Result<ClaimExecutionResult, EngineError>;

    /// Redeems a grant as [`Claims::claim_execution`] does; `None` if the execution can no longer be taken: it has
    /// ended, is suspended or waits, or another lease is live.
    ///
    /// # Errors
    /// As `claim_execution` without `ExecutionNotLeaseable` and `LeaseConflict`.
    ///
    /// # Capability
    /// `grants`.
    async fn claim_from_reclaim(&self, token: ReclaimToken) -> Result<Option<Handle>, EngineError>;

    /// Redeems a grant as [`Claims::claim_execution`] does, but only of an attempt that was interrupted by a delay, a
    /// wait or a suspension: kind `Resumed`.
    ///
    /// # Errors
    /// As `claim_execution`; `Contention(NotAResumedExecution)` after `LeaseConflict` and before the grant is looked at if
    /// there is no such attempt.
    ///
    /// # Capability
    /// `grants`.
    async fn claim_resumed_execution(
        &self,
        args: ClaimResumedExecutionArgs,
    ) -> Result<ClaimResumedExecutionResult, EngineError>;

    /// Tells why a worker that offers `capabilities` has not got an execution: the first that holds, in the order of
    /// [`UnclaimedReason`]; `None` if there is no such execution. Writes nothing.
    ///
    /// # Errors
    /// As [`crate::Executions::describe_execution`].
    ///
    /// # Capability
    /// `explanations`.
    async fn explain_unclaimed(
        &self,
        id: &ExecutionId,
        capabilities: &CapabilitySet,
    ) -> Result<Option<UnclaimedReason>, EngineError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(tokens: &[&str]) -> String {
        match CapabilitySet::try_new(tokens.iter().copied()) {
            Err(EngineError::Validation { kind: ValidationKind::InvalidCapabilities, detail }) => detail,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn tokens_break_named_rules() {
        assert_eq!(rule(&[""]), "empty_token");
        assert_eq!(rule(&["a,b"]), "comma_in_token");
        assert_eq!(rule(&["a b"]), "control_or_whitespace");
        assert_eq!(rule(&["\u{7f}"]), "control_or_whitespace");
        let many: Vec<String> = (0..257).map(|n| format!("t{n}")).collect();
        assert_eq!(rule(&many.iter().map(String::as_str).collect::<Vec<_>>()), "too_many_tokens");
        assert_eq!(rule(&[&"x".repeat(4097)]), "too_many_bytes");
        assert!(CapabilitySet::try_new(["x".repeat(4096)]).is_ok());
    }

    #[test]
    fn covering_is_the_subset_relation() {
        let set = |tokens: &[&str]| CapabilitySet::try_new(tokens.iter().copied()).unwrap();
        assert!(set(&["gpu", "eu"]).covers(&set(&["gpu"])));
        assert!(set(&[]).covers(&set(&[])));
        assert!(!set(&["gpu"]).covers(&set(&["GPU"])));
        assert_eq!(set(&["b", "a", "b"]).joined(), "a,b");
    }
}
