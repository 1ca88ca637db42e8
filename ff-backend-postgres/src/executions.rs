//! `Executions` on PostgreSQL.

mod control;
mod creates;

use std::collections::BTreeMap;

use async_trait::async_trait;
use ff_core::{
    AttemptIndex, CancelExecutionArgs, CancelExecutionResult, ChangePriorityArgs, ChangePriorityResult,
    CreateExecutionArgs, CreateExecutionResult, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot, Executions,
    LaneId, ListAttemptsPage, ListExecutionsPage, ListLanesPage, Operation, PageLimit, PublicState,
    ReplayExecutionArgs, ReplayExecutionResult, SetExecutionTagArgs,
};
use sqlx::{Row, postgres::PgRow};

use crate::{
    backend::PostgresBackend,
    error::PgError,
    id::{execution_id, stored},
    row::{attempt, execution, now, word},
    tx::Statement,
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

#[ff_observe::observed]
#[async_trait]
impl Executions for PostgresBackend {
    async fn create_execution(&self, args: CreateExecutionArgs) -> Result<CreateExecutionResult, EngineError> {
        creates::create(self, args).await.map_err(|error| error.at(Operation::CreateExecution))
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
        batch: Vec<CreateExecutionArgs>,
    ) -> Result<Vec<Result<CreateExecutionResult, EngineError>>, EngineError> {
        creates::create_many(self, batch).await.map_err(|error| error.at(Operation::CreateExecutions))
    }

    async fn cancel_execution(&self, args: CancelExecutionArgs) -> Result<CancelExecutionResult, EngineError> {
        control::cancel(self, &args).await.map_err(|error| error.at(Operation::CancelExecution))
    }

    async fn change_priority(&self, args: ChangePriorityArgs) -> Result<ChangePriorityResult, EngineError> {
        control::change_priority(self, &args).await.map_err(|error| error.at(Operation::ChangePriority))
    }

    async fn replay_execution(&self, args: ReplayExecutionArgs) -> Result<ReplayExecutionResult, EngineError> {
        control::replay(self, &args).await.map_err(|error| error.at(Operation::ReplayExecution))
    }

    async fn list_attempts(
        &self,
        id: &ExecutionId,
        cursor: Option<AttemptIndex>,
        limit: PageLimit,
    ) -> Result<ListAttemptsPage, EngineError> {
        list_attempts(self, id, cursor, limit).await.map_err(|error| error.at(Operation::ListAttempts))
    }

    async fn set_execution_tag(&self, args: SetExecutionTagArgs) -> Result<(), EngineError> {
        control::set_tag(self, &args).await.map_err(|error| error.at(Operation::SetExecutionTag))
    }
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

/// The row of a statement that reads one execution.
pub(crate) async fn by_id(
    backend: &PostgresBackend,
    id: &ExecutionId,
    sql: &'static str,
) -> Result<Option<PgRow>, PgError> {
    id.check_partition(backend.limits().partitions)?;
    let id = stored(id);
    backend.store().await?.row(|| sqlx::query(sql).bind(id)).await
}

async fn list_executions(
    backend: &PostgresBackend,
    cursor: Option<ExecutionId>,
    limit: PageLimit,
) -> Result<ListExecutionsPage, PgError> {
    let cursor = cursor.map(|id| stored(&id)).unwrap_or_default();
    let sql = include_str!("executions/list_executions.sql");
    let rows = page(backend, limit, |most| sqlx::query(sql).bind(cursor).bind(most)).await?;
    let mut executions = rows.iter().map(|row| execution_id(row, "id")).collect::<Result<Vec<_>, _>>()?;
    let next_cursor = cut(&mut executions, limit);
    Ok(ListExecutionsPage { executions, next_cursor })
}

async fn list_lanes(
    backend: &PostgresBackend,
    cursor: Option<LaneId>,
    limit: PageLimit,
) -> Result<ListLanesPage, PgError> {
    let cursor = cursor.map(String::from).unwrap_or_default();
    let sql = include_str!("executions/list_lanes.sql");
    let rows = page(backend, limit, |most| sqlx::query(sql).bind(&cursor).bind(most)).await?;
    let mut lanes = rows.iter().map(|row| word(row, "lane_id")).collect::<Result<Vec<LaneId>, _>>()?;
    let next_cursor = cut(&mut lanes, limit);
    Ok(ListLanesPage { lanes, next_cursor })
}

async fn list_attempts(
    backend: &PostgresBackend,
    id: &ExecutionId,
    cursor: Option<AttemptIndex>,
    limit: PageLimit,
) -> Result<ListAttemptsPage, PgError> {
    id.check_partition(backend.limits().partitions)?;
    let (id, cursor) = (stored(id), cursor.map_or(-1, |last| i64::from(last.0)));
    let sql = include_str!("executions/list_attempts.sql");
    let rows = page(backend, limit, |most| sqlx::query(sql).bind(id).bind(cursor).bind(most)).await?;
    let mut attempts = rows.iter().map(attempt).collect::<Result<Vec<_>, _>>()?;
    let next_cursor = cut(&mut attempts, limit).map(|last| last.attempt_index);
    Ok(ListAttemptsPage { attempts, next_cursor })
}

/// The rows of a page and one more, which says that there is another page; `statement` takes how many that is.
pub(crate) async fn page<'q>(
    backend: &PostgresBackend,
    limit: PageLimit,
    statement: impl Fn(i64) -> Statement<'q>,
) -> Result<Vec<PgRow>, PgError> {
    let one_more = if limit.get() == 0 { 0 } else { i64::from(limit.get()) + 1 };
    backend.store().await?.rows(|| statement(one_more)).await
}

/// Cuts the items to the limit; the last that stays is the cursor if there are more.
pub(crate) fn cut<T: Clone>(items: &mut Vec<T>, limit: PageLimit) -> Option<T> {
    let limit = usize::from(limit.get());
    let more = items.len() > limit;
    items.truncate(limit);
    items.last().filter(|_| more).cloned()
}

fn tags(row: &PgRow) -> Result<BTreeMap<String, String>, PgError> {
    serde_json::from_str(row.try_get("tags")?).map_err(|error| EngineError::corrupt(format!("tags: {error}")).into())
}

pub(crate) fn json(text: serde_json::Result<String>) -> Result<String, EngineError> {
    text.map_err(|error| EngineError::invalid_input(error.to_string()))
}

/// Milliseconds within the limits of the contract as the number that the store keeps.
pub(crate) fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
