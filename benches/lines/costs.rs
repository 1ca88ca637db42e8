//! What one execution costs: bytes of the log, bytes in memory.

use super::{Target, Told};
use crate::{
    Failure,
    drive::Run,
    engine::{Claimer, Engine},
    stage::{PostgresStage, Stage},
};

/// Executions that one figure is the mean of.
const COUNT: u64 = 1_000;

/// The payload of the targets.
const PAYLOAD: [u8; 256] = [b'x'; 256];

/// Bytes of the log for an execution that is created, claimed and completed, without images of pages.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
pub(super) async fn log(stage: &Stage) -> Result<Told, Failure> {
    let postgres = stage.postgres().await?;
    let worker = Engine::postgres(postgres.clone(), 1).await?.fill(1).await?;
    // Connections are made and statements prepared by then.
    end_one(&worker).await?;
    let begun = postgres.begin_of_log().await?;
    for _ in 0..COUNT {
        worker.create_one(&PAYLOAD).await?;
        end_one(&worker).await?;
    }
    let bytes = postgres.bytes_of_log(&begun).await?;
    let what = "postgres bytes of log for create, claim and complete";
    Ok(Told::figure("14", what, bytes as f64 / COUNT as f64, Target::AtMost(3_072.0)))
}

async fn end_one(worker: &Claimer) -> Result<(), Failure> {
    let handle = worker.claim().await?.ok_or("the lane ran dry")?;
    worker.complete(handle).await
}

/// Memory of the server for an execution that waits.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
pub(super) async fn memory(stage: &Stage) -> Result<Told, Failure> {
    let valkey = stage.valkey().await?;
    let worker = Engine::valkey(valkey.clone()).await?.fill(1).await?;
    let before = valkey.used_memory().await?;
    worker.create_many(10 * COUNT, &PAYLOAD).await?;
    let after = valkey.used_memory().await?;
    let each = after.saturating_sub(before) as f64 / (10 * COUNT) as f64;
    Ok(Told::figure("15", "valkey bytes in memory for a waiting execution", each, Target::AtMost(1_536.0)))
}

impl PostgresStage {
    /// Where the log stands.
    async fn begin_of_log(&self) -> Result<String, Failure> {
        sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS pg_walinspect; CHECKPOINT").execute(self.pool()).await?;
        Ok(sqlx::query_scalar("SELECT pg_current_wal_insert_lsn()::text").fetch_one(self.pool()).await?)
    }

    /// Bytes of the records since `begun`, without the images of pages in them.
    async fn bytes_of_log(&self, begun: &str) -> Result<i64, Failure> {
        Ok(sqlx::query_scalar(include_str!("log.sql")).bind(begun).fetch_one(self.pool()).await?)
    }
}
