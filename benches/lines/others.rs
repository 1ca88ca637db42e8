//! Claims where much else is: executions that have ended, are delayed, are for others, or fell due at one instant.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ff_core::{LaneId, TimestampMs};

use super::{Target, Told};
use crate::{
    Failure,
    drive::{self, Load, Run, Shape},
    engine::{Claimer, Engine},
    stage::{Stage, Store, ValkeyStage},
};

const WORKERS: usize = 16;

/// Ready executions that the workers may not take.
const OTHERS: u64 = 200_000;

/// Executions that fall due at one instant.
const DUE: u64 = 100_000;

/// Claims while the tables hold a million executions that have ended and a million that are delayed.
pub(super) async fn beside(stage: &Stage, runs: usize) -> Result<Told, Failure> {
    let what = "postgres claim, 16 workers, beside 2 M others / alone";
    in_two_databases(stage, "6", what, include_str!("beside.sql"), 0.9, runs).await
}

/// Claims behind ready executions that the workers may not take.
pub(super) async fn behind(stage: &Stage, runs: usize) -> Result<Vec<Told>, Failure> {
    let what = |store| format!("{store} claim, 16 workers, behind 200,000 of others / alone");
    let postgres = what(Store::Postgres);
    let postgres = in_two_databases(stage, "6b", &postgres, include_str!("behind.sql"), 0.8, runs).await?;
    let valkey = stage.valkey().await?;
    let behind = Engine::valkey(Arc::clone(&valkey)).await?.fill(0).await?;
    behind.create_for_others(OTHERS).await?;
    let alone = Claimer { lane: LaneId::try_new("post")?, ..behind.clone() };
    let sides = by_turns([&behind, &alone], Store::Valkey, Some(&valkey), runs).await?;
    let ratio = Told::ratio("6b", what(Store::Valkey), sides.rates, Target::AtLeast(0.8));
    Ok(vec![postgres, ratio, longest_call("behind 200,000 of others", sides.longest_call_ms)])
}

/// Claims of executions that fell due at one instant, beside those of as many that were ready from the start.
pub(super) async fn due_at_once(stage: &Stage, runs: usize) -> Result<Vec<Told>, Failure> {
    let valkey = stage.valkey().await?;
    let engine = Engine::postgres(stage.postgres().await?, WORKERS).await?;
    let postgres = working_off(&engine, None, runs).await?;
    let engine = Engine::valkey(Arc::clone(&valkey)).await?;
    let sides = working_off(&engine, Some(&valkey), runs).await?;
    let ratio = |store, rates| {
        let what = format!("{store} claim, 16 workers, 100,000 due at once / ready");
        Told::ratio("6b", what, rates, Target::AtLeast(0.8))
    };
    let longest = longest_call("of 100,000 due at once", sides.longest_call_ms);
    Ok(vec![ratio(Store::Postgres, postgres.rates), ratio(Store::Valkey, sides.rates), longest])
}

fn longest_call(of: &str, ms: f64) -> Told {
    Told::figure("6b", format!("valkey longest call of a claim {of}, ms"), ms, Target::AtMost(10.0))
}

/// The rate of claims in a database that `others` filled beside that in an empty one.
async fn in_two_databases(
    stage: &Stage,
    line: &str,
    what: &str,
    others: &'static str,
    least: f64,
    runs: usize,
) -> Result<Told, Failure> {
    let alone = stage.postgres().await?;
    let full = stage.another().await?;
    let sides = [Engine::postgres(full.clone(), WORKERS).await?, Engine::postgres(alone.clone(), WORKERS).await?];
    let [full_worker, alone_worker] = [sides[0].fill(1).await?, sides[1].fill(1).await?];
    full.fill_with(others).await?;
    let sides = by_turns([&full_worker, &alone_worker], Store::Postgres, None, runs).await?;
    full.close().await?;
    Ok(Told::ratio(line, what, sides.rates, Target::AtLeast(least)))
}

/// What was measured of two sides.
struct Sides<'a> {
    names: [&'static str; 2],
    /// Whose calls are watched while the first side claims.
    watched: Option<&'a ValkeyStage>,
    rates: [Vec<f64>; 2],
    longest_call_ms: f64,
}

impl<'a> Sides<'a> {
    const fn new(names: [&'static str; 2], watched: Option<&'a ValkeyStage>) -> Self {
        Self { names, watched, rates: [Vec::new(), Vec::new()], longest_call_ms: 0.0 }
    }

    /// One more run of a side.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    async fn measure(&mut self, side: usize, worker: &Claimer, load: Load) -> Result<(), Failure> {
        let watched = self.watched.filter(|_| side == 0);
        if let Some(server) = watched {
            server.watch_calls().await?;
        }
        let rate = load.count as f64 / drive::run(worker.clone(), load).await?.as_secs_f64();
        if let Some(server) = watched {
            self.longest_call_ms = server.longest_call_ms().await?.max(self.longest_call_ms);
        }
        eprintln!("claims: run {}: {rate:.0}/s {}", self.rates[side].len(), self.names[side]);
        self.rates[side].push(rate);
        Ok(())
    }
}

/// Claims in the lanes of two workers, by turns.
async fn by_turns<'a>(
    workers: [&Claimer; 2],
    store: Store,
    watched: Option<&'a ValkeyStage>,
    runs: usize,
) -> Result<Sides<'a>, Failure> {
    let load = Load::new(Shape::Claim, WORKERS, store.count(WORKERS));
    let mut sides = Sides::new(["beside others", "alone"], watched);
    for run in 0..runs {
        for side in [run % 2, 1 - run % 2] {
            let worker = workers[side];
            worker.create_many(load.rows(), &[]).await?;
            sides.measure(side, worker, load).await?;
            // What is left would be taken by the next run.
            while !worker.claim_many(100).await?.is_empty() {}
        }
    }
    Ok(sides)
}

/// Claims of what fell due and of what was ready, by turns, each in an empty store.
///
/// The workers' first steps, which do not count, make some of it ready: as many hundreds as they take calls.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
async fn working_off<'a>(engine: &Engine, watched: Option<&'a ValkeyStage>, runs: usize) -> Result<Sides<'a>, Failure> {
    let load = Load::new(Shape::Claim, WORKERS, DUE);
    let mut sides = Sides::new(["of those due", "of those ready"], watched);
    let mut filled = Duration::ZERO;
    for run in 0..runs {
        // What is ready goes first: how long it takes to create tells when the others may fall due.
        for side in [1 - run % 2, run % 2] {
            let worker = engine.fill(0).await?;
            let begun = Instant::now();
            if side == 0 {
                create_due(&worker, load.rows(), 2 * filled).await?;
            } else {
                worker.create_many(load.rows(), &[]).await?;
                filled = begun.elapsed();
            }
            engine.analyze().await?;
            sides.measure(side, &worker, load).await?;
        }
    }
    Ok(sides)
}

/// Creates executions that fall due together in so long, and waits for that.
#[expect(clippy::disallowed_methods, reason = "the servers run by the clock of this machine")]
async fn create_due(worker: &Claimer, rows: u64, within: Duration) -> Result<(), Failure> {
    let due = SystemTime::now() + within;
    let due_ms = i64::try_from(due.duration_since(UNIX_EPOCH)?.as_millis())?;
    worker.create_delayed(rows, TimestampMs::from_ms(due_ms)).await?;
    match due.duration_since(SystemTime::now()) {
        Ok(left) => tokio::time::sleep(left).await,
        Err(_) => {
            return Err("the store became twice as slow meanwhile: some were due before all were there".into());
        }
    }
    Ok(())
}
