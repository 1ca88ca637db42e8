//! How long the slowest claims take at a rate that the store sustains, in an open loop.

use ff_conformance::load::{self, Paced, SLO, TRIAL, highest, paced};

use super::{Target, Told};
use crate::{
    Failure,
    arm::Side,
    drive::{Load, Run, Shape},
    engine::Engine,
    raw::{RawPostgres, RawValkey},
    stage::{Stage, Store},
    stats, table,
};

/// Of the highest rate that is sustained.
const SHARE: f64 = 0.7;

/// How often both sides are measured at that rate.
const ROUNDS: usize = 5;

/// Clients of a store at once, as far as it has connections.
const WORKERS: usize = 32;

/// The p99 of claims at 70 % of the highest rate that the engine sustains, on both sides by turns.
pub(super) async fn p99(stage: &Stage) -> Result<Vec<Told>, Failure> {
    load::check().await?;
    let mut told = Vec::new();
    for store in [Store::Postgres, Store::Valkey] {
        let closed = (store, Side::Ours, Load::new(Shape::Claim, 16, store.count(16)));
        let first = table::by_turns(stage, &[closed], 3).await?;
        let guess = first.first().map_or(100.0, |rates| stats::median(rates));
        let rate = SHARE * highest(guess, SLO, async |rate| trial(stage, store, Side::Ours, rate).await).await?;
        let mut sides = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            for turn in [round % 2, 1 - round % 2] {
                let side = if turn == 0 { Side::Ours } else { Side::Raw };
                sides[turn].push(trial(stage, store, side, rate).await?.summary().p99_ms());
            }
        }
        let what = format!("{store} p99 of claim at {rate:.0}/s, ours / raw");
        told.push(Told::ratio("9", what, sides, Target::AtMost(1.5)));
    }
    Ok(told)
}

/// Claims of one side at a rate, on a store with enough rows.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of rows")]
async fn trial(stage: &Stage, store: Store, side: Side, rate: f64) -> Result<Paced, Failure> {
    let rows = (rate * TRIAL.as_secs_f64()) as u64 + 1_000;
    match (store, side) {
        (Store::Postgres, Side::Ours) => {
            claims(Engine::postgres(stage.postgres().await?, WORKERS).await?.fill(rows).await?, rate).await
        }
        (Store::Postgres, _) => {
            claims(RawPostgres::open(&*stage.postgres().await?, WORKERS)?.fill(rows).await?, rate).await
        }
        (_, Side::Ours) => claims(Engine::valkey(stage.valkey().await?).await?.fill(rows).await?, rate).await,
        _ => claims(RawValkey::open(stage.valkey().await?).await?.fill(rows).await?, rate).await,
    }
}

async fn claims(run: impl Run, rate: f64) -> Result<Paced, Failure> {
    // Connections are made and statements prepared by then.
    for claim in futures::future::join_all((0..4 * WORKERS).map(|_| run.claim())).await {
        claim?;
    }
    let call = || {
        let run = run.clone();
        async move { matches!(run.claim().await, Ok(Some(_))) }
    };
    paced(call, rate, TRIAL).await
}
