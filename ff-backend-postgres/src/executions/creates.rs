//! How executions come into being: one, or several in one statement.

use std::collections::{HashMap, HashSet};

use ff_core::{
    CreateExecutionArgs, CreateExecutionResult, EngineError, ExecutionId, Limits, Namespace, Operation, PublicState,
    RetryRule, TimestampMs,
};
use sqlx::{Row, postgres::PgRow};

use super::{json, signed};
use crate::{
    backend::PostgresBackend,
    error::PgError,
    id::{StoredId, execution_id, stored},
    tx::{ATTEMPTS, Statement},
};

/// A create in the words of the store.
struct Planned {
    args: CreateExecutionArgs,
    id: StoredId,
    key: Option<String>,
    tags: String,
    retry: Option<RetryRule>,
}

impl Planned {
    fn of(args: CreateExecutionArgs, limits: &Limits) -> Result<Self, EngineError> {
        args.check(limits)?;
        Ok(Self {
            id: stored(&args.execution_id),
            key: args.idempotency_key.clone().filter(|key| !key.is_empty()),
            tags: json(serde_json::to_string(&args.tags))?,
            retry: RetryRule::of(args.policy.retry_policy.as_ref()),
            args,
        })
    }

    fn retry<T>(&self, field: impl Fn(&RetryRule) -> T) -> Option<T> {
        self.retry.as_ref().map(field)
    }

    fn delay_until(&self) -> Option<i64> {
        self.args.effective_delay_until().map(TimestampMs::as_ms)
    }

    fn deadline_at(&self) -> Option<i64> {
        self.args.execution_deadline_at.map(TimestampMs::as_ms)
    }

    fn deadline_after_ms(&self) -> Option<i64> {
        self.args.policy.execution_deadline_ms().filter(|_| self.args.execution_deadline_at.is_none()).map(signed)
    }

    fn suspension_ms(&self) -> Option<i64> {
        self.args.policy.suspension_policy.and_then(|suspensions| suspensions.default_timeout_ms).map(signed)
    }

    fn suspension_behavior(&self) -> Option<&'static str> {
        self.args.policy.suspension_policy.map(|suspensions| suspensions.timeout_behavior.as_str())
    }

    fn signals_max(&self) -> Option<i64> {
        self.args.policy.max_signals_per_execution.map(i64::from)
    }

    fn window_ms(&self) -> i64 {
        signed(self.args.policy.dedup_window_ms.unwrap_or(Limits::DEDUP_WINDOW_MS))
    }
}

pub(super) async fn create(
    backend: &PostgresBackend,
    args: CreateExecutionArgs,
) -> Result<CreateExecutionResult, PgError> {
    let plan = Planned::of(args, backend.limits())?;
    let (args, required) = (&plan.args, plan.args.required_capabilities());
    let tokens: Vec<&str> = required.iter().collect();
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            sqlx::query(include_str!("create_execution.sql"))
                .bind(plan.id)
                .bind(args.namespace.as_str())
                .bind(args.lane_id.as_str())
                .bind(&args.execution_kind)
                .bind(&args.input_payload)
                .bind(&args.payload_encoding)
                .bind(args.effective_priority())
                .bind(&args.creator_identity)
                .bind(&plan.key)
                .bind(&plan.tags)
                .bind(plan.delay_until())
                .bind(plan.deadline_at())
                .bind(&tokens)
                .bind(i64::from(args.policy.reclaims_max()))
                .bind(plan.window_ms())
                .bind(plan.retry(|rule| i64::from(rule.retries_max)))
                .bind(plan.retry(|rule| signed(rule.initial_ms)))
                .bind(plan.retry(|rule| signed(rule.max_ms)))
                .bind(plan.retry(|rule| rule.multiplier))
                .bind(plan.retry(|rule| i64::from(rule.saturates_at)))
                .bind(plan.retry(|rule| rule.jitter))
                .bind(plan.retry(|rule| rule.categories.clone()))
                .bind(i64::from(args.policy.replays_max()))
                .bind(args.policy.attempt_timeout_ms().map(signed))
                .bind(plan.deadline_after_ms())
                .bind(plan.suspension_ms())
                .bind(plan.suspension_behavior())
                .bind(plan.signals_max())
        })
        .await?;
    backend.wake(&row)?;
    created(&verdict, &row)
}

fn created(verdict: &str, row: &PgRow) -> Result<CreateExecutionResult, PgError> {
    let execution_id = execution_id(row, "execution_id")?;
    Ok(match verdict {
        "created" if row.try_get("delayed")? => {
            CreateExecutionResult::Created { execution_id, public_state: PublicState::Delayed }
        }
        "created" => CreateExecutionResult::Created { execution_id, public_state: PublicState::Waiting },
        _ => CreateExecutionResult::Duplicate { execution_id },
    })
}

/// Creates several executions in one statement; what was in the way of another, or of itself, is sent again.
pub(super) async fn create_many(
    backend: &PostgresBackend,
    batch: Vec<CreateExecutionArgs>,
) -> Result<Vec<Result<CreateExecutionResult, EngineError>>, PgError> {
    Limits::check_batch(batch.len(), batch.iter().map(|args| args.input_payload.len()).sum())?;
    let plans: Vec<_> = batch.into_iter().map(|args| Planned::of(args, backend.limits())).collect();
    let mut answers: Vec<_> = plans.iter().map(|plan| plan.as_ref().err().cloned().map(Err)).collect();
    let mut named = Named::default();
    for _ in 0..ATTEMPTS {
        let open = || plans.iter().zip(&answers).enumerate().filter(|(_, (_, answer))| answer.is_none());
        let open: Vec<_> = open().filter_map(|(at, (plan, _))| Some((at, plan.as_ref().ok()?))).collect();
        if open.is_empty() {
            break;
        }
        let asked: Vec<&Planned> = open.iter().map(|(_, plan)| *plan).collect();
        let leads = leaders(&asked);
        let rows = match backend.store().await?.rows(|| statement(&asked, &leads)).await {
            // An id was stored after the snapshot; all of the statement was undone.
            Err(error) if error.breaks("executions_pkey") => continue,
            rows => rows?,
        };
        for ((at, plan), row) in open.iter().zip(&rows) {
            backend.wake(row)?;
            let answer = match row.try_get("verdict")? {
                "again" => None,
                "follows" => named.duplicate(plan),
                verdict => Some(created(verdict, row).map_err(|error| error.at(Operation::CreateExecutions))),
            };
            if let Some(Ok(CreateExecutionResult::Created { .. })) = &answer {
                named.insert(plan);
            }
            if let Some(slot) = answers.get_mut(*at) {
                *slot = answer;
            }
        }
    }
    Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(EngineError::contention()))).collect())
}

/// The ids and keys of what a batch has created.
#[derive(Default)]
struct Named {
    ids: HashSet<ExecutionId>,
    keys: HashMap<(Namespace, String), ExecutionId>,
}

impl Named {
    fn insert(&mut self, plan: &Planned) {
        self.ids.insert(plan.args.execution_id);
        if let Some(key) = &plan.key {
            self.keys.insert((plan.args.namespace.clone(), key.clone()), plan.args.execution_id);
        }
    }

    /// The first by id or by key.
    fn first(&self, plan: &Planned) -> Option<ExecutionId> {
        let id = plan.args.execution_id;
        if self.ids.contains(&id) {
            return Some(id);
        }
        self.keys.get(&(plan.args.namespace.clone(), plan.key.clone()?)).copied()
    }

    fn duplicate(&self, plan: &Planned) -> Option<Result<CreateExecutionResult, EngineError>> {
        self.first(plan).map(|execution_id| Ok(CreateExecutionResult::Duplicate { execution_id }))
    }
}

/// Which creates go first if the store knows none of their ids and keys: of one id or key there is one.
fn leaders(plans: &[&Planned]) -> Vec<bool> {
    let mut named = Named::default();
    let mut leads = |plan: &&Planned| {
        let first = named.first(plan).is_none();
        if first {
            named.insert(plan);
        }
        first
    };
    plans.iter().map(&mut leads).collect()
}

fn statement<'q>(plans: &[&'q Planned], leads: &[bool]) -> Statement<'q> {
    sqlx::query(include_str!("create_executions.sql"))
        .bind(all(plans, |plan| plan.id))
        .bind(all(plans, |plan| plan.args.namespace.as_str()))
        .bind(all(plans, |plan| plan.args.lane_id.as_str()))
        .bind(all(plans, |plan| plan.args.execution_kind.as_str()))
        .bind(all(plans, |plan| plan.args.input_payload.as_slice()))
        .bind(all(plans, |plan| plan.args.payload_encoding.as_deref()))
        .bind(all(plans, |plan| plan.args.effective_priority()))
        .bind(all(plans, |plan| plan.args.creator_identity.as_deref()))
        .bind(all(plans, |plan| plan.key.as_deref()))
        .bind(all(plans, |plan| plan.tags.as_str()))
        .bind(all(plans, Planned::delay_until))
        .bind(all(plans, Planned::deadline_at))
        .bind(all(plans, |plan| plan.args.required_capabilities().joined()))
        .bind(all(plans, |plan| i64::from(plan.args.policy.reclaims_max())))
        .bind(all(plans, Planned::window_ms))
        .bind(all(plans, |plan| plan.retry(|rule| i64::from(rule.retries_max))))
        .bind(all(plans, |plan| plan.retry(|rule| signed(rule.initial_ms))))
        .bind(all(plans, |plan| plan.retry(|rule| signed(rule.max_ms))))
        .bind(all(plans, |plan| plan.retry(|rule| rule.multiplier)))
        .bind(all(plans, |plan| plan.retry(|rule| i64::from(rule.saturates_at))))
        .bind(all(plans, |plan| plan.retry(|rule| rule.jitter)))
        .bind(all(plans, |plan| plan.retry(|rule| serde_json::Value::from(rule.categories.clone()).to_string())))
        .bind(all(plans, |plan| i64::from(plan.args.policy.replays_max())))
        .bind(all(plans, |plan| plan.args.policy.attempt_timeout_ms().map(signed)))
        .bind(all(plans, Planned::deadline_after_ms))
        .bind(leads.to_vec())
        .bind(all(plans, Planned::suspension_ms))
        .bind(all(plans, Planned::suspension_behavior))
        .bind(all(plans, Planned::signals_max))
}

/// One column of a batch.
fn all<'q, T>(plans: &[&'q Planned], field: impl Fn(&'q Planned) -> T) -> Vec<T> {
    plans.iter().map(|plan| field(plan)).collect()
}
