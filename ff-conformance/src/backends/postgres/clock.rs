//! The clock of a case: a sequence in the place of `ff_now_ms()`, which no transaction holds still.

use async_trait::async_trait;
use ff_core::TimestampMs;
use sqlx::PgPool;

use super::failed;
use crate::{ClockControl, HarnessError};

/// Where the clock of every store stands at first: an instant that no server's clock shows.
pub(super) const BEGIN: TimestampMs = TimestampMs::from_ms(1_000_000_000_000);

/// The clock of one database.
pub(super) struct Clock(pub(super) PgPool);

#[async_trait]
impl ClockControl for Clock {
    async fn now(&self) -> Result<TimestampMs, HarnessError> {
        let now = sqlx::query_scalar("SELECT ff_now_ms()").fetch_one(&self.0).await;
        Ok(TimestampMs::from_ms(now.map_err(failed("read the clock"))?))
    }

    async fn set(&self, now: TimestampMs) -> Result<(), HarnessError> {
        let set = sqlx::query("SELECT setval('ff_clock', $1)").bind(now.as_ms()).execute(&self.0).await;
        set.map(drop).map_err(failed("set the clock"))
    }
}
