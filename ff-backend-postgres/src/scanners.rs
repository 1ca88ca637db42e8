//! `Scanners` on PostgreSQL.

use async_trait::async_trait;
use ff_core::{
    EngineError, LaneId, Namespace, Operation, ScanArgs, ScanPlace, ScanReport, ScannerKind, Scanners, TimestampMs,
};
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

use crate::{
    backend::PostgresBackend,
    capabilities::LABEL,
    claims::{DuePlace, DueRows},
    error::PgError,
    id::{StoredId, execution_id, stored},
    row::{number, word},
    tx::{Sender, filtered},
};

#[ff_observe::observed]
#[async_trait]
impl Scanners for PostgresBackend {
    async fn scan(&self, args: ScanArgs) -> Result<ScanReport, EngineError> {
        scan(self, &args).await.map_err(|error| error.at(Operation::Scan))
    }
}

async fn scan(backend: &PostgresBackend, args: &ScanArgs) -> Result<ScanReport, PgError> {
    args.filter.check()?;
    let place = args.cursor.as_ref().map(|cursor| ScanPlace::open(cursor, LABEL, args.scanner)).transpose()?;
    let store = backend.store().await?;
    let mut pass = Pass { store, args, examined: 0, changed: 0, last: None };
    if args.limit.get() > 0 {
        match args.scanner {
            ScannerKind::LeaseExpiry => pass.settle("lapsed", place).await?,
            ScannerKind::AttemptTimeout => pass.settle("timed_out", place).await?,
            ScannerKind::ExecutionDeadline => pass.settle("expired", place).await?,
            ScannerKind::DelayPromoter => pass.settle("ready", place).await?,
            ScannerKind::SuspensionTimeout => pass.settle(SUSPENDED, place).await?,
            ScannerKind::Retention => {
                if !matches!(place, Some(ScanPlace::Key { .. })) {
                    pass.remove_ended(backend.retention().executions, place.as_ref()).await?;
                }
                pass.remove_keys(place.as_ref()).await?;
            }
            ScannerKind::EventRetention => pass.remove_events(backend.retention().events).await?,
        }
    }
    pass.report()
}

/// The fate of a suspension that timed out, which has a statement of its own.
const SUSPENDED: &str = "suspended";

/// One pass under way.
struct Pass<'a> {
    store: &'a Sender,
    args: &'a ScanArgs,
    examined: u32,
    changed: u32,
    /// What was looked at last.
    last: Option<ScanPlace>,
}

impl Pass<'_> {
    fn left(&self) -> i64 {
        i64::from(u32::from(self.args.limit.get()).saturating_sub(self.examined))
    }

    fn report(self) -> Result<ScanReport, PgError> {
        let last = if self.left() == 0 { self.last } else { None };
        Ok(ScanReport {
            examined: self.examined,
            changed: self.changed,
            next_cursor: last.map(|place| place.seal(LABEL, self.args.scanner)).transpose()?,
        })
    }

    /// Counts what a statement looked at and changed; true if it looked at anything.
    fn count(&mut self, row: &PgRow, changed: &str) -> Result<bool, PgError> {
        let seen: u32 = number(row, "seen")?;
        self.examined += seen;
        self.changed += number::<u32>(row, changed)?;
        Ok(seen > 0)
    }

    /// Writes down what time has done to rows of one fate, lane by lane.
    async fn settle(&mut self, fate: &str, behind: Option<ScanPlace>) -> Result<(), PgError> {
        let behind = match behind {
            Some(ScanPlace::Due { lane_id, due_at, execution_id }) => Some((lane_id, due_at, execution_id)),
            _ => None,
        };
        let first = behind.as_ref().map_or("", |(lane_id, ..)| lane_id.as_str());
        let lanes = || sqlx::query(include_str!("scanners/list_due_lanes.sql")).bind(first).bind(self.left());
        for row in self.store.rows(lanes).await? {
            let lane: LaneId = word(&row, "lane_id")?;
            let row = behind.as_ref().filter(|(begun, ..)| *begun == lane);
            let after = row.map_or((i64::MIN, StoredId::default()), |(_, due_at, id)| (due_at.as_ms(), stored(id)));
            self.settle_lane(fate, lane, after).await?;
            if self.left() == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn settle_lane(&mut self, fate: &str, lane_id: LaneId, after: DuePlace) -> Result<(), PgError> {
        let due = DueRows {
            lane: &lane_id,
            after,
            overdue: false,
            most: self.left(),
            fates: &[fate],
            tells_lapses: true,
            filter: &self.args.filter,
        };
        let row = if fate == SUSPENDED {
            due.settle_suspensions(self.store, (i64::MAX, StoredId::default())).await?
        } else {
            due.settle(self.store).await?
        };
        if self.count(&row, "settled")? {
            let due_at = TimestampMs::from_ms(row.try_get("last_due")?);
            self.last = Some(ScanPlace::Due { lane_id, due_at, execution_id: execution_id(&row, "last_id")? });
        }
        Ok(())
    }

    async fn remove_ended(&mut self, age: Duration, behind: Option<&ScanPlace>) -> Result<(), PgError> {
        let (after_ended, after_id) = match behind {
            Some(ScanPlace::Ended { completed_at, execution_id }) => (completed_at.as_ms(), stored(execution_id)),
            _ => (i64::MIN, StoredId::default()),
        };
        let statement = || {
            let query = sqlx::query(include_str!("scanners/remove_ended.sql")).bind(age_ms(age)).bind(after_ended);
            filtered(query.bind(after_id).bind(self.left()), &self.args.filter)
        };
        let row = self.store.row(statement).await?.ok_or(sqlx::Error::RowNotFound)?;
        if self.count(&row, "removed")? {
            let completed_at = TimestampMs::from_ms(row.try_get("last_ended")?);
            self.last = Some(ScanPlace::Ended { completed_at, execution_id: execution_id(&row, "last_id")? });
        }
        Ok(())
    }

    /// Removes idempotency keys that have lapsed. They have no label.
    async fn remove_keys(&mut self, behind: Option<&ScanPlace>) -> Result<(), PgError> {
        if self.args.filter.instance_tag.is_some() || self.left() == 0 {
            return Ok(());
        }
        let (expires_at, namespace, key) = match behind {
            Some(ScanPlace::Key { expires_at, namespace, key }) => {
                (expires_at.as_ms(), namespace.as_str(), key.as_str())
            }
            _ => (i64::MIN, "", ""),
        };
        let statement = || {
            sqlx::query(include_str!("scanners/remove_keys.sql"))
                .bind(expires_at)
                .bind(namespace)
                .bind(key)
                .bind(self.left())
                .bind(self.args.filter.namespace.as_ref().map(Namespace::as_str))
        };
        let row = self.store.row(statement).await?.ok_or(sqlx::Error::RowNotFound)?;
        if self.count(&row, "removed")? {
            let expires_at = TimestampMs::from_ms(row.try_get("last_expires")?);
            let (namespace, key) = (word(&row, "last_namespace")?, row.try_get("last_key")?);
            self.last = Some(ScanPlace::Key { expires_at, namespace, key });
        }
        Ok(())
    }

    /// Removes old events, family by family.
    async fn remove_events(&mut self, age: Duration) -> Result<(), PgError> {
        for text in [
            include_str!("subscriptions/remove_lease_events.sql"),
            include_str!("subscriptions/remove_completion_events.sql"),
            include_str!("subscriptions/remove_operator_events.sql"),
            include_str!("subscriptions/remove_signal_events.sql"),
        ] {
            let statement = || sqlx::query(text).bind(age_ms(age)).bind(self.left());
            let row = self.store.row(statement).await?.ok_or(sqlx::Error::RowNotFound)?;
            let removed: u32 = number(&row, "removed")?;
            self.examined += removed;
            self.changed += removed;
            self.last = Some(ScanPlace::Beginning);
            if self.left() == 0 {
                break;
            }
        }
        Ok(())
    }
}

fn age_ms(age: Duration) -> i64 {
    i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
}
