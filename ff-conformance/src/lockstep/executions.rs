//! Units of work in a tape.

use std::collections::BTreeMap;

use ff_backend_memory::Op;
use ff_core::{
    AttemptIndex, Backoff, CancelExecutionArgs, CancelSource, CapabilitySet, ChangePriorityArgs, CreateExecutionArgs,
    ExecutionPolicy, Operation, PageLimit, ReplayExecutionArgs, RetryPolicy, SetExecutionTagArgs, SuspensionPolicy,
    TimeoutPolicy, TimestampMs,
};
use serde::{Deserialize, Serialize};

use super::{
    draw::Draw,
    names::{Exec, Lane, Space, TOO_LONG, Unresolved, bytes, from_now, is_default, text},
    refs::{Book, LeaseRef},
};
use crate::suspensions::BEHAVIORS;

/// A call of the stem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExecutionsCall {
    CreateExecution(Box<Create>),
    CreateExecutions(Vec<Create>),
    DescribeExecution(Exec),
    ReadExecutionState(Exec),
    ReadExecutionInfo(Exec),
    GetExecutionResult(Exec),
    ListExecutions { after: Option<Exec>, limit: u32 },
    ListLanes { after: Option<Lane>, limit: u32 },
    ListAttempts { execution: Exec, after: Option<u32>, limit: u32 },
    CancelExecution(Cancel),
    ChangePriority { execution: Exec, priority: i32 },
    ReplayExecution(Exec),
    SetExecutionTag { execution: Exec, key: String, value: Option<String> },
}

/// A new execution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Create {
    execution: Exec,
    #[serde(skip_serializing_if = "is_default")]
    lane: Lane,
    #[serde(skip_serializing_if = "is_default")]
    namespace: Space,
    #[serde(skip_serializing_if = "is_default")]
    input_bytes: u32,
    #[serde(skip_serializing_if = "is_default")]
    priority: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    delay_ms: Option<i64>,
    #[serde(skip_serializing_if = "is_default")]
    policy_delay_ms: Option<i64>,
    #[serde(skip_serializing_if = "is_default")]
    deadline_ms: Option<i64>,
    #[serde(skip_serializing_if = "is_default")]
    key: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    creator: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    policy: ExecutionPolicy,
}

/// A cancel from outside the lease.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cancel {
    execution: Exec,
    #[serde(skip_serializing_if = "is_default")]
    source: CancelSource,
    #[serde(skip_serializing_if = "is_default")]
    fence: Option<LeaseRef>,
    #[serde(skip_serializing_if = "is_default")]
    reason: String,
}

impl ExecutionsCall {
    pub(super) fn resolve(&self, book: &Book, now: TimestampMs) -> Result<Op, Unresolved> {
        Ok(match self {
            Self::CreateExecution(create) => Op::CreateExecution(Box::new(create.args(now)?)),
            Self::CreateExecutions(batch) => {
                Op::CreateExecutions(batch.iter().map(|create| create.args(now)).collect::<Result<_, _>>()?)
            }
            Self::DescribeExecution(execution) => Op::DescribeExecution(execution.id()?),
            Self::ReadExecutionState(execution) => Op::ReadExecutionState(execution.id()?),
            Self::ReadExecutionInfo(execution) => Op::ReadExecutionInfo(execution.id()?),
            Self::GetExecutionResult(execution) => Op::GetExecutionResult(execution.id()?),
            Self::ListExecutions { after, limit } => {
                Op::ListExecutions { cursor: after.map(Exec::id).transpose()?, limit: PageLimit::new(*limit)? }
            }
            Self::ListLanes { after, limit } => {
                Op::ListLanes { cursor: after.map(Lane::id).transpose()?, limit: PageLimit::new(*limit)? }
            }
            Self::ListAttempts { execution, after, limit } => Op::ListAttempts {
                id: execution.id()?,
                cursor: after.map(AttemptIndex),
                limit: PageLimit::new(*limit)?,
            },
            Self::CancelExecution(cancel) => Op::CancelExecution(cancel.args(book)?),
            Self::ChangePriority { execution, priority } => {
                Op::ChangePriority(ChangePriorityArgs::new(execution.id()?, *priority))
            }
            Self::ReplayExecution(execution) => Op::ReplayExecution(ReplayExecutionArgs::new(execution.id()?)),
            Self::SetExecutionTag { execution, key, value } => Op::SetExecutionTag(match value {
                Some(value) => SetExecutionTagArgs::new(execution.id()?, key, text(value)),
                None => SetExecutionTagArgs::clear(execution.id()?, key),
            }),
        })
    }

    /// A call of `op`; none if it is of another stem.
    pub(super) fn draw(op: Operation, draw: &mut Draw<'_>) -> Option<Self> {
        Some(match op {
            Operation::CreateExecution => Self::CreateExecution(Box::new(Create::draw(draw))),
            Operation::CreateExecutions => {
                let count = draw.dice.below(3) + 1;
                Self::CreateExecutions((0..count).map(|_| Create::draw(draw)).collect())
            }
            Operation::DescribeExecution => Self::DescribeExecution(draw.execution()),
            Operation::ReadExecutionState => Self::ReadExecutionState(draw.execution()),
            Operation::ReadExecutionInfo => Self::ReadExecutionInfo(draw.execution()),
            Operation::GetExecutionResult => Self::GetExecutionResult(draw.execution()),
            Operation::ListExecutions => {
                let after = draw.dice.chance(50).then(|| draw.execution());
                Self::ListExecutions { after, limit: draw.limit() }
            }
            Operation::ListLanes => {
                let after = draw.dice.chance(50).then(|| draw.lane());
                Self::ListLanes { after, limit: draw.limit() }
            }
            Operation::ListAttempts => {
                let after = draw.dice.maybe(30, |dice| u32::try_from(dice.below(3)).unwrap_or_default());
                Self::ListAttempts { execution: draw.execution(), after, limit: draw.limit() }
            }
            Operation::CancelExecution => Self::CancelExecution(Cancel::draw(draw)),
            Operation::ChangePriority => {
                let priority = draw.dice.number(0, &[1, 5, 9000, 9001, -1]);
                Self::ChangePriority { execution: draw.execution(), priority: i32::try_from(priority).unwrap_or(0) }
            }
            Operation::ReplayExecution => Self::ReplayExecution(draw.execution()),
            Operation::SetExecutionTag => Self::draw_tag(draw),
            _ => return None,
        })
    }

    fn draw_tag(draw: &mut Draw<'_>) -> Self {
        let keys = if draw.spoils() { ["no key", "a.b", ".", "UPPER.case"] } else { ["a.b", "a.c", "x.y", "a.b"] };
        let key = draw.dice.one(&keys).unwrap_or("a.b").to_owned();
        let values = if draw.spoils() { ["1", TOO_LONG, "", "2"] } else { ["1", "2", "", "3"] };
        let value = draw.dice.maybe(70, |dice| dice.one(&values).unwrap_or_default().to_owned());
        Self::SetExecutionTag { execution: draw.execution(), key, value }
    }
}

impl Create {
    fn args(&self, now: TimestampMs) -> Result<CreateExecutionArgs, Unresolved> {
        let mut args = CreateExecutionArgs::new(self.execution.id()?, self.namespace.name()?, self.lane.id()?, "work");
        args.input_payload = bytes(self.input_bytes);
        args.priority = self.priority;
        args.delay_until = self.delay_ms.map(|ms| from_now(now, ms));
        args.execution_deadline_at = self.deadline_ms.map(|ms| from_now(now, ms));
        args.idempotency_key.clone_from(&self.key);
        args.creator_identity = self.creator.as_deref().map(text);
        args.tags.clone_from(&self.tags);
        args.policy = self.policy.clone();
        args.policy.delay_until = self.policy_delay_ms.map(|ms| from_now(now, ms));
        Ok(args)
    }

    fn draw(draw: &mut Draw<'_>) -> Self {
        let execution = if draw.dice.chance(90) { draw.new_execution() } else { draw.execution() };
        let (lane, namespace) = (draw.lane(), draw.namespace());
        let junk = draw.is_junk();
        let dice = &mut *draw.dice;
        let small = |dice: &mut super::dice::Dice| i32::try_from(dice.below(3)).unwrap_or_default();
        let mut create = Self {
            execution,
            lane,
            namespace,
            input_bytes: dice.maybe(30, |dice| dice.below(300)).and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
            priority: dice.maybe(40, small),
            delay_ms: dice.maybe(25, |dice| dice.number(1, &[0, -10, 100, 1000, 5000])),
            policy_delay_ms: dice.maybe(5, |dice| dice.number(1, &[0, 100, 1000])),
            deadline_ms: dice.maybe(15, |dice| dice.number(1, &[0, -5, 200, 1000, 3000, 40_000])),
            key: dice.maybe(20, |dice| format!("key-{}", dice.below(3))),
            creator: dice.maybe(5, |_| "somebody".to_owned()),
            tags: BTreeMap::new(),
            policy: policy(dice),
        };
        if dice.chance(15) {
            create.tags.insert("a.b".to_owned(), dice.below(2).to_string());
        }
        if junk {
            create.spoil(dice);
        }
        create
    }

    /// Breaks one rule of the arguments.
    fn spoil(&mut self, dice: &mut super::dice::Dice) {
        match dice.below(7) {
            0 => self.execution = Exec(Exec::FOREIGN),
            1 => drop(self.tags.insert("no key".to_owned(), String::new())),
            2 => self.delay_ms = Some(i64::MIN),
            3 => self.deadline_ms = Some(i64::MAX),
            4 => self.creator = Some(TOO_LONG.to_owned()),
            5 => self.policy.dedup_window_ms = Some(0),
            _ => {
                self.policy = self
                    .policy
                    .clone()
                    .timeouts(TimeoutPolicy { attempt_timeout_ms: Some(0), ..TimeoutPolicy::default() })
            }
        }
    }
}

fn policy(dice: &mut super::dice::Dice) -> ExecutionPolicy {
    let count = |dice: &mut super::dice::Dice, most| u32::try_from(dice.below(most)).unwrap_or_default();
    let wait = |dice: &mut super::dice::Dice| dice.number(0, &[1, 50, 500]).unsigned_abs();
    let mut policy = ExecutionPolicy::new();
    let times_out = dice.chance(15);
    if dice.chance(45) {
        let backoff = if dice.chance(60) {
            Backoff::Fixed { delay_ms: wait(dice) }
        } else {
            // The draw of a time-out shows in no answer.
            let jitter = !times_out && dice.chance(40);
            Backoff::Exponential { initial_delay_ms: wait(dice), max_delay_ms: 700, multiplier: 3.0, jitter }
        };
        let listed = dice.maybe(20, |_| "network".to_owned());
        let retryable_categories = listed.into_iter().collect();
        policy.retry_policy = Some(RetryPolicy { max_retries: count(dice, 3), backoff, retryable_categories });
    }
    if times_out || dice.chance(8) {
        policy.timeout_policy = Some(TimeoutPolicy {
            attempt_timeout_ms: times_out.then(|| dice.number(1, &[300, 1500]).unsigned_abs()),
            execution_deadline_ms: dice.maybe(40, |dice| dice.number(1, &[800, 4000]).unsigned_abs()),
            max_reclaim_count: None,
        });
    }
    policy.priority = dice.maybe(8, |dice| i32::try_from(dice.below(4)).unwrap_or_default());
    policy.max_reclaim_count = dice.maybe(25, |dice| count(dice, 3));
    policy.max_replay_count = dice.maybe(25, |dice| count(dice, 2));
    if dice.chance(15) {
        policy.suspension_policy = Some(SuspensionPolicy {
            default_timeout_ms: dice.maybe(60, |dice| dice.number(300, &[1, 2000]).unsigned_abs()),
            timeout_behavior: dice.one(&BEHAVIORS).unwrap_or_default(),
        });
    }
    policy.max_signals_per_execution = dice.maybe(25, |dice| count(dice, 3));
    policy.dedup_window_ms = dice.maybe(15, |dice| dice.number(1, &[500, 3000]).unsigned_abs());
    if dice.chance(20) {
        let tokens = dice.one(&[vec!["gpu"], vec!["eu"], vec!["eu", "gpu"]]).unwrap_or_default();
        policy = policy.required_capabilities(CapabilitySet::try_new(tokens).unwrap_or_default());
    }
    policy
}

impl Cancel {
    fn args(&self, book: &Book) -> Result<CancelExecutionArgs, Unresolved> {
        let args = CancelExecutionArgs::new(self.execution.id()?, text(&self.reason)).source(self.source.clone());
        let fence = self.fence.map(|lease| book.lease(lease)).transpose()?;
        Ok(match fence.and_then(|handle| book.read(&handle)) {
            Some(held) => args.fence(held.fence),
            None => args,
        })
    }

    fn draw(draw: &mut Draw<'_>) -> Self {
        let execution = draw.execution();
        let holder = CancelSource::Custom("somebody".to_owned());
        let sources = [
            CancelSource::OperatorOverride,
            CancelSource::FlowCascade,
            CancelSource::SystemTimeout,
            CancelSource::LeaseHolder,
            CancelSource::LeaseHolder,
            holder,
        ];
        let mut source = draw.dice.one(&sources).unwrap_or_default();
        let mut reason = "enough".to_owned();
        if draw.spoils() {
            match draw.dice.below(3) {
                0 => TOO_LONG.clone_into(&mut reason),
                1 => source = CancelSource::Custom("worker".to_owned()),
                _ => {}
            }
        }
        if !source.is_fenced() || draw.spoils() {
            return Self { execution, source, fence: None, reason };
        }
        // A holder cancels what it holds, if it holds anything.
        let fence = draw.lease();
        let execution = fence.and_then(|lease| draw.execution_of(lease)).unwrap_or(execution);
        Self { execution, source, fence, reason }
    }
}
