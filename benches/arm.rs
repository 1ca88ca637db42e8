//! The two sides of a comparison: the engine through its contract, and its bare store by hand.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Failure,
    drive::{self, Load, Run, Shape},
    engine::Engine,
    raw::{Floor, Nothing, RawMemory, RawPostgres, RawValkey},
    stage::{Stage, Store},
};

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The engine, through `Arc<dyn EngineBackend>`.
    Ours,
    /// The store by hand, with the same rows written.
    Raw,
    /// The least that a round trip to the store can do: one row that lasts, or a function that does nothing.
    Bare,
}

impl Side {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::Raw, Self::Bare];

    /// Whether this side has such a load on such a store.
    pub(crate) fn has(self, store: Store, shape: Shape) -> bool {
        self != Self::Bare || (store != Store::Memory && shape == Shape::Claim)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ours => "ours",
            Self::Raw => "raw",
            Self::Bare => "bare",
        })
    }
}

/// One side on one store, connected.
pub(crate) enum Arm {
    Engine(Engine),
    Memory(RawMemory),
    Postgres(RawPostgres),
    Valkey(RawValkey),
    Floor(Floor),
    Nothing(Nothing),
}

impl Arm {
    /// Connects for `workers` workers.
    pub(crate) async fn open(stage: &Stage, store: Store, side: Side, workers: usize) -> Result<Self, Failure> {
        Ok(match (side, store) {
            (Side::Ours, Store::Memory) => Self::Engine(Engine::memory()),
            (Side::Ours, Store::Postgres) => Self::Engine(Engine::postgres(stage.postgres().await?, workers).await?),
            (Side::Ours, Store::Valkey) => Self::Engine(Engine::valkey(stage.valkey().await?).await?),
            (Side::Bare, Store::Memory) => return Err("memory has nothing below it".into()),
            (Side::Bare, Store::Postgres) => Self::Floor(Floor::open(&*stage.postgres().await?, workers).await?),
            (Side::Bare, Store::Valkey) => Self::Nothing(Nothing::open(&*stage.valkey().await?).await?),
            (Side::Raw, Store::Memory) => Self::Memory(RawMemory),
            (Side::Raw, Store::Postgres) => Self::Postgres(RawPostgres::open(&*stage.postgres().await?, workers)?),
            (Side::Raw, Store::Valkey) => Self::Valkey(RawValkey::open(stage.valkey().await?).await?),
        })
    }

    /// Fills the store anew and says how long the load takes from there.
    pub(crate) async fn run(&self, load: Load) -> Result<Duration, Failure> {
        let rows = load.rows();
        match self {
            Self::Engine(engine) => timed(engine.fill(rows).await?, load).await,
            Self::Memory(raw) => timed(Arc::new(raw.fill(rows)), load).await,
            Self::Postgres(raw) => timed(raw.fill(rows).await?, load).await,
            Self::Valkey(raw) => timed(raw.fill(rows).await?, load).await,
            Self::Floor(floor) => timed(floor.clone(), load).await,
            Self::Nothing(nothing) => timed(nothing.clone(), load).await,
        }
    }
}

async fn timed(run: impl Run, load: Load) -> Result<Duration, Failure> {
    drive::run(run, load).await
}
