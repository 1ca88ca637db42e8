//! `Executions` on PostgreSQL.

use std::collections::BTreeMap;

use async_trait::async_trait;
use ff_core::{
    AttemptIndex, CancelExecutionArgs, CancelExecutionResult, ChangePriorityArgs, ChangePriorityResult,
    CreateExecutionArgs, CreateExecutionResult, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot, Executions,
    LaneId, Limits, ListAttemptsPage, ListExecutionsPage, ListLanesPage, Operation, PageLimit, PublicState,
    ReplayExecutionArgs, ReplayExecutionResult, RetryRule, SetExecutionTagArgs, TimestampMs,
};
use sqlx::{Row, postgres::PgRow};

use crate::{
    backend::PostgresBackend,
    error::PgError,
    row::{execution, now, word},
};

impl PostgresBackend {
    /// Creates an execution and returns the id under which it exists: its own, or that of the first with its
    /// idempotency key.
    ///
    /// # Errors
    /// As [`Executions::create_execution`].
    pub async fn create_execution(&self, args: CreateExecutionArgs) -> Result<ExecutionId, EngineError> {
        match Executions::create_execution(self, args).await? {
            CreateExecutionResult::Created { execution_id, .. } | CreateExecutionResult::Duplicate { execution_id } => {
                Ok(execution_id)
            }
        }
    }
}

#[async_trait]
impl Executions for PostgresBackend {
    async fn create_execution(&self, args: CreateExecutionArgs) -> Result<CreateExecutionResult, EngineError> {
        create(self, &args).await.map_err(|error| error.at(Operation::CreateExecution))
    }

    async fn describe_execution(&self, id: &ExecutionId) -> Result<Option<ExecutionSnapshot>, EngineError> {
        describe(self, id).await.map_err(|error| error.at(Operation::DescribeExecution))
    }

    async fn read_execution_state(&self, id: &ExecutionId) -> Result<Option<PublicState>, EngineError> {
        state(self, id).await.map_err(|error| error.at(Operation::ReadExecutionState))
    }

    async fn read_execution_info(&self, id: &ExecutionId) -> Result<Option<ExecutionInfo>, EngineError> {
        info(self, id).await.map_err(|error| error.at(Operation::ReadExecutionInfo))
    }

    async fn get_execution_result(&self, id: &ExecutionId) -> Result<Option<Vec<u8>>, EngineError> {
        result(self, id).await.map_err(|error| error.at(Operation::GetExecutionResult))
    }

    async fn list_executions(
        &self,
        cursor: Option<ExecutionId>,
        limit: PageLimit,
    ) -> Result<ListExecutionsPage, EngineError> {
        list_executions(self, cursor, limit).await.map_err(|error| error.at(Operation::ListExecutions))
    }

    async fn list_lanes(&self, cursor: Option<LaneId>, limit: PageLimit) -> Result<ListLanesPage, EngineError> {
        list_lanes(self, cursor, limit).await.map_err(|error| error.at(Operation::ListLanes))
    }

    async fn create_executions(
        &self,
        _batch: Vec<CreateExecutionArgs>,
    ) -> Result<Vec<Result<CreateExecutionResult, EngineError>>, EngineError> {
        Err(EngineError::unavailable(Operation::CreateExecutions))
    }

    async fn cancel_execution(&self, _args: CancelExecutionArgs) -> Result<CancelExecutionResult, EngineError> {
        Err(EngineError::unavailable(Operation::CancelExecution))
    }

    async fn change_priority(&self, _args: ChangePriorityArgs) -> Result<ChangePriorityResult, EngineError> {
        Err(EngineError::unavailable(Operation::ChangePriority))
    }

    async fn replay_execution(&self, _args: ReplayExecutionArgs) -> Result<ReplayExecutionResult, EngineError> {
        Err(EngineError::unavailable(Operation::ReplayExecution))
    }

    async fn list_attempts(
        &self,
        _id: &ExecutionId,
        _cursor: Option<AttemptIndex>,
        _limit: PageLimit,
    ) -> Result<ListAttemptsPage, EngineError> {
        Err(EngineError::unavailable(Operation::ListAttempts))
    }

    async fn set_execution_tag(&self, _args: SetExecutionTagArgs) -> Result<(), EngineError> {
        Err(EngineError::unavailable(Operation::SetExecutionTag))
    }
}

async fn create(backend: &PostgresBackend, args: &CreateExecutionArgs) -> Result<CreateExecutionResult, PgError> {
    args.check(backend.limits())?;
    let id = args.execution_id.to_string();
    let tokens = args.required_capabilities();
    let tokens: Vec<&str> = tokens.iter().collect();
    let tags = json(serde_json::to_string(&args.tags))?;
    let policy = json(serde_json::to_string(&args.policy))?;
    let retry = RetryRule::of(args.policy.retry_policy.as_ref());
    let retry = retry.as_ref();
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            sqlx::query(include_str!("executions/create_execution.sql"))
                .bind(&id)
                .bind(args.namespace.as_str())
                .bind(args.lane_id.as_str())
                .bind(&args.execution_kind)
                .bind(&args.input_payload)
                .bind(&args.payload_encoding)
                .bind(args.effective_priority())
                .bind(&args.creator_identity)
                .bind(args.idempotency_key.as_ref().filter(|key| !key.is_empty()))
                .bind(&tags)
                .bind(&policy)
                .bind(args.effective_delay_until().map(TimestampMs::as_ms))
                .bind(args.execution_deadline_at.map(TimestampMs::as_ms))
                .bind(&tokens)
                .bind(i64::from(args.policy.reclaims_max()))
                .bind(signed(args.policy.dedup_window_ms.unwrap_or(Limits::DEDUP_WINDOW_MS)))
                .bind(retry.map(|rule| i64::from(rule.retries_max)))
                .bind(retry.map(|rule| signed(rule.initial_ms)))
                .bind(retry.map(|rule| signed(rule.max_ms)))
                .bind(retry.map(|rule| rule.multiplier))
                .bind(retry.map(|rule| i64::from(rule.saturates_at)))
                .bind(retry.map(|rule| rule.jitter))
                .bind(retry.map(|rule| &rule.categories))
                .bind(i64::from(args.policy.replays_max()))
                .bind(args.policy.attempt_timeout_ms().map(signed))
                .bind(args.policy.execution_deadline_ms().filter(|_| args.execution_deadline_at.is_none()).map(signed))
        })
        .await?;
    backend.wake(&row)?;
    let execution_id = word(&row, "execution_id")?;
    Ok(match verdict.as_str() {
        "created" if row.try_get("delayed")? => {
            CreateExecutionResult::Created { execution_id, public_state: PublicState::Delayed }
        }
        "created" => CreateExecutionResult::Created { execution_id, public_state: PublicState::Waiting },
        _ => CreateExecutionResult::Duplicate { execution_id },
    })
}

async fn describe(backend: &PostgresBackend, id: &ExecutionId) -> Result<Option<ExecutionSnapshot>, PgError> {
    let row = by_id(backend, id, include_str!("executions/describe_execution.sql")).await?;
    row.map(|row| Ok(execution(&row)?.snapshot(tags(&row)?, now(&row)?))).transpose()
}

async fn state(backend: &PostgresBackend, id: &ExecutionId) -> Result<Option<PublicState>, PgError> {
    let row = by_id(backend, id, include_str!("executions/read_execution_state.sql")).await?;
    row.map(|row| Ok(execution(&row)?.public_state(now(&row)?))).transpose()
}

async fn info(backend: &PostgresBackend, id: &ExecutionId) -> Result<Option<ExecutionInfo>, PgError> {
    let row = by_id(backend, id, include_str!("executions/read_execution_info.sql")).await?;
    row.map(|row| Ok(execution(&row)?.info(row.try_get("payload")?, row.try_get("payload_encoding")?, now(&row)?)))
        .transpose()
}

async fn result(backend: &PostgresBackend, id: &ExecutionId) -> Result<Option<Vec<u8>>, PgError> {
    let row = by_id(backend, id, include_str!("executions/get_execution_result.sql")).await?;
    Ok(row.map(|row| row.try_get("payload")).transpose()?)
}

async fn by_id(backend: &PostgresBackend, id: &ExecutionId, sql: &'static str) -> Result<Option<PgRow>, PgError> {
    id.check_partition(backend.limits().partitions)?;
    let id = id.to_string();
    backend.store().await?.row(|| sqlx::query(sql).bind(&id)).await
}

async fn list_executions(
    backend: &PostgresBackend,
    cursor: Option<ExecutionId>,
    limit: PageLimit,
) -> Result<ListExecutionsPage, PgError> {
    let cursor = cursor.map(|id| id.to_string()).unwrap_or_default();
    let rows = page(backend, include_str!("executions/list_executions.sql"), &cursor, limit).await?;
    let mut executions = rows.iter().map(|row| word(row, "id")).collect::<Result<Vec<ExecutionId>, _>>()?;
    let next_cursor = cut(&mut executions, limit);
    Ok(ListExecutionsPage { executions, next_cursor })
}

async fn list_lanes(
    backend: &PostgresBackend,
    cursor: Option<LaneId>,
    limit: PageLimit,
) -> Result<ListLanesPage, PgError> {
    let cursor = cursor.map(String::from).unwrap_or_default();
    let rows = page(backend, include_str!("executions/list_lanes.sql"), &cursor, limit).await?;
    let mut lanes = rows.iter().map(|row| word(row, "lane_id")).collect::<Result<Vec<LaneId>, _>>()?;
    let next_cursor = cut(&mut lanes, limit);
    Ok(ListLanesPage { lanes, next_cursor })
}

/// The rows of a page and one more, which says that there is another page.
async fn page(
    backend: &PostgresBackend,
    sql: &'static str,
    cursor: &str,
    limit: PageLimit,
) -> Result<Vec<PgRow>, PgError> {
    let store = backend.store().await?;
    let one_more = if limit.get() == 0 { 0 } else { i64::from(limit.get()) + 1 };
    store.rows(|| sqlx::query(sql).bind(cursor).bind(one_more)).await
}

/// Cuts the items to the limit; the last that stays is the cursor if there are more.
fn cut<T: Clone>(items: &mut Vec<T>, limit: PageLimit) -> Option<T> {
    let limit = usize::from(limit.get());
    let more = items.len() > limit;
    items.truncate(limit);
    items.last().filter(|_| more).cloned()
}

fn tags(row: &PgRow) -> Result<BTreeMap<String, String>, PgError> {
    serde_json::from_str(row.try_get("tags")?).map_err(|error| EngineError::corrupt(format!("tags: {error}")).into())
}

fn json(text: serde_json::Result<String>) -> Result<String, PgError> {
    text.map_err(|error| EngineError::invalid_input(error.to_string()).into())
}

/// Milliseconds within the limits of the contract as the number that the store keeps.
fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
