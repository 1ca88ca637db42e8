//! Everything that a database of the engine holds.

use std::{fmt::Display, str::FromStr};

use async_trait::async_trait;
use ff_core::{
    AttemptId, AttemptIndex, CompletionEvent, LeaseEpoch, LeaseHistoryEvent, LeaseId, OperatorEvent,
    SignalDeliveryEvent, SignalId, TimestampMs, WaitpointId,
};
use sqlx::{Decode, PgPool, Postgres, Row, Type, postgres::PgRow};

use super::failed;
use crate::{AttemptFacts, Dump, DumpControl, HarnessError};

/// A look at one database.
pub(super) struct Everything(pub(super) PgPool);

#[async_trait]
impl DumpControl for Everything {
    async fn dump(&self) -> Result<Dump, HarnessError> {
        // One snapshot for all of it.
        let mut look = self.0.begin().await.map_err(failed("dump"))?;
        let snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        sqlx::query(snapshot).execute(&mut *look).await.map_err(failed("dump"))?;
        let mut tables = Vec::new();
        for statement in [
            include_str!("dump/lease_history.sql"),
            include_str!("dump/completions.sql"),
            include_str!("dump/operator_events.sql"),
            include_str!("dump/signal_deliveries.sql"),
            include_str!("dump/attempts.sql"),
            include_str!("dump/lines.sql"),
        ] {
            tables.push(sqlx::query(statement).fetch_all(&mut *look).await.map_err(failed("dump"))?);
        }
        look.commit().await.map_err(failed("dump"))?;
        let [leases, completions, operators, signals, attempts, lines] = tables.as_slice() else {
            return Err(HarnessError::new("postgres: dump: a table is missing"));
        };
        let mut lines: Vec<String> = lines.iter().map(|row| get(row, "line")).collect::<Result<_, _>>()?;
        lines.sort();
        Ok(Dump {
            lease_history: leases.iter().map(lease_event).collect::<Result<_, _>>()?,
            completions: completions.iter().map(completion).collect::<Result<_, _>>()?,
            operator_events: operators.iter().map(operator_event).collect::<Result<_, _>>()?,
            signal_deliveries: signals.iter().map(signal_delivery).collect::<Result<_, _>>()?,
            attempts: attempts.iter().map(attempt).collect::<Result<_, _>>()?,
            lines,
        })
    }
}

fn lease_event(row: &PgRow) -> Result<LeaseHistoryEvent, HarnessError> {
    Ok(LeaseHistoryEvent {
        execution_id: word(row, "execution_id")?,
        namespace: word(row, "namespace")?,
        kind: word(row, "kind")?,
        lease_id: LeaseId::from_uuid(get(row, "lease_id")?),
        lease_epoch: LeaseEpoch(number(row, "lease_epoch")?),
        attempt_index: AttemptIndex(number(row, "attempt_index")?),
        worker_instance_id: word(row, "worker_instance_id")?,
        reason: get::<Option<String>>(row, "reason")?.map(|word| parsed(&word, "reason")).transpose()?,
        at: TimestampMs::from_ms(get(row, "at")?),
    })
}

fn completion(row: &PgRow) -> Result<CompletionEvent, HarnessError> {
    Ok(CompletionEvent {
        execution_id: word(row, "execution_id")?,
        namespace: word(row, "namespace")?,
        outcome: word(row, "outcome")?,
        at: TimestampMs::from_ms(get(row, "at")?),
    })
}

fn operator_event(row: &PgRow) -> Result<OperatorEvent, HarnessError> {
    Ok(OperatorEvent {
        execution_id: word(row, "execution_id")?,
        namespace: word(row, "namespace")?,
        kind: word(row, "kind")?,
        detail: get(row, "detail")?,
        at: TimestampMs::from_ms(get(row, "at")?),
    })
}

fn signal_delivery(row: &PgRow) -> Result<SignalDeliveryEvent, HarnessError> {
    Ok(SignalDeliveryEvent {
        execution_id: word(row, "execution_id")?,
        namespace: word(row, "namespace")?,
        waitpoint_id: WaitpointId::from_uuid(get(row, "waitpoint_id")?),
        signal_id: SignalId::from_uuid(get(row, "signal_id")?),
        source_identity: get(row, "source_identity")?,
        effect: word(row, "effect")?,
        at: TimestampMs::from_ms(get(row, "at")?),
    })
}

fn attempt(row: &PgRow) -> Result<AttemptFacts, HarnessError> {
    Ok(AttemptFacts {
        execution_id: word(row, "execution_id")?,
        attempt_index: AttemptIndex(number(row, "attempt_index")?),
        attempt_id: AttemptId::from_uuid(get(row, "attempt_id")?),
        attempt_type: word(row, "attempt_type")?,
        phase: word(row, "phase")?,
        lease_epoch: LeaseEpoch(number(row, "lease_epoch")?),
        started_at: TimestampMs::from_ms(get(row, "started_at")?),
        resumed_at: get::<Option<i64>>(row, "resumed_at")?.map(TimestampMs::from_ms),
        ended_at: get::<Option<i64>>(row, "ended_at")?.map(TimestampMs::from_ms),
        failure_reason: get(row, "failure_reason")?,
        failure_category: get(row, "failure_category")?,
    })
}

fn get<'r, T: Decode<'r, Postgres> + Type<Postgres>>(row: &'r PgRow, column: &str) -> Result<T, HarnessError> {
    row.try_get(column).map_err(failed("dump"))
}

fn number<T: TryFrom<i64>>(row: &PgRow, column: &str) -> Result<T, HarnessError> {
    let stored: i64 = get(row, column)?;
    T::try_from(stored).map_err(|_| HarnessError::new(format!("postgres: dump: {column}: {stored}")))
}

fn word<T: FromStr<Err: Display>>(row: &PgRow, column: &str) -> Result<T, HarnessError> {
    parsed(get(row, column)?, column)
}

fn parsed<T: FromStr<Err: Display>>(stored: &str, column: &str) -> Result<T, HarnessError> {
    stored.parse().map_err(|error| HarnessError::new(format!("postgres: dump: {column} {stored:?}: {error}")))
}
