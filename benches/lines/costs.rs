//! What stays small however much there is: bytes of the log, bytes in memory, claims beside and behind other rows.

use super::{Target, Told};
use crate::{
    Failure,
    drive::{self, Load, Run, Shape},
    engine::{Claimer, Engine},
    stage::{PostgresStage, Stage, Store},
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

/// Claims while the tables hold a million executions that have ended and a million that are delayed.
pub(super) async fn beside_others(stage: &Stage, runs: usize) -> Result<Vec<Told>, Failure> {
    let what = "postgres claim, 16 workers, beside 2 M others / alone";
    crowded(stage, "6", what, include_str!("beside.sql"), 0.9, runs).await
}

/// Claims behind 200,000 ready executions that the workers may not take.
pub(super) async fn behind_others(stage: &Stage, runs: usize) -> Result<Vec<Told>, Failure> {
    let what = "postgres claim, 16 workers, behind 200,000 of others / alone";
    crowded(stage, "6b", what, include_str!("behind.sql"), 0.8, runs).await
}

/// The rate of claims in a store that `others` filled beside that in an empty one; both alternate.
async fn crowded(
    stage: &Stage,
    line: &str,
    what: &str,
    others: &'static str,
    least: f64,
    runs: usize,
) -> Result<Vec<Told>, Failure> {
    let alone = stage.postgres().await?;
    let full = stage.another().await?;
    let sides = [Engine::postgres(full.clone(), 16).await?, Engine::postgres(alone.clone(), 16).await?];
    let [full_worker, alone_worker] = [sides[0].fill(1).await?, sides[1].fill(1).await?];
    full.fill_with(others).await?;
    let load = Load::new(Shape::Claim, 16, Store::Postgres.count(16));
    let mut rates = [Vec::new(), Vec::new()];
    for run in 0..runs {
        for turn in [run % 2, 1 - run % 2] {
            let worker = if turn == 0 { &full_worker } else { &alone_worker };
            rates[turn].push(rate(worker, load).await?);
        }
    }
    full.close().await?;
    Ok(vec![Told::ratio(line, what, rates, Target::AtLeast(least))])
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
async fn rate(worker: &Claimer, load: Load) -> Result<f64, Failure> {
    worker.create_many(load.rows(), &[]).await?;
    let took = drive::run(worker.clone(), load).await?;
    // What is left would be taken by the next run.
    while !worker.claim_many(100).await?.is_empty() {}
    Ok(load.count as f64 / took.as_secs_f64())
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
