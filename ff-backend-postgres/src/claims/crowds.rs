//! Claims of one process that want the same work go together, and a claim takes the short way where that leads to work.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ff_core::{CapabilitySet, ClaimPolicy, Convoy, Crowd, EngineError, Handle, LaneId, Operation};
use futures::TryFutureExt;

use super::{Batch, Claimer, Look, Way};
use crate::{
    backend::PostgresBackend,
    error::{PgError, refused},
    tx::Sender,
};

/// The longest row of claims that do not try the short way.
const DETOURS: u32 = 64;

/// What batches that go together take at most. One statement is on its way, and nothing is done for others while it waits
/// for the disk: the more rows it takes, the less each pays for that.
const BATCH: usize = 1_024;

/// Lanes with a detour that are remembered; beyond them all are forgotten.
const LANES: usize = 1_024;

/// What a claim wants, but for how long it waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    lane: LaneId,
    capabilities: CapabilitySet,
    policy: ClaimPolicy,
}

/// The claims of a process that are on their way, and what they have learnt of their lanes.
#[derive(Debug)]
pub(crate) struct Crowds {
    crowd: Crowd<Wanted, Handle, Option<Duration>, EngineError>,
    batches: Convoy<Wanted, usize, Result<Batch, EngineError>>,
    detours: Mutex<HashMap<LaneId, Detour>>,
}

/// After the short way led to nothing: how many claims do not try it, and how many after the next failure.
#[derive(Clone, Copy, Debug)]
struct Detour {
    left: u32,
    next: u32,
}

impl Wanted {
    pub(crate) fn new(lane: &LaneId, capabilities: &CapabilitySet, policy: &ClaimPolicy) -> Self {
        let mut wanted = Self { lane: lane.clone(), capabilities: capabilities.clone(), policy: policy.clone() };
        wanted.policy.max_wait = None;
        wanted
    }

    /// The lane in which it looks.
    pub(crate) const fn lane(&self) -> &LaneId {
        &self.lane
    }

    /// A claim of so many rows.
    pub(crate) fn claimer(&self, most: usize) -> Result<Claimer<'_>, PgError> {
        Claimer::new(&self.lane, &self.capabilities, &self.policy, most)
    }
}

impl Default for Crowds {
    fn default() -> Self {
        let batches = Convoy::bounded(BATCH, |most| *most);
        Self { crowd: Crowd::default(), batches, detours: Mutex::default() }
    }
}

impl Crowds {
    fn detours(&self) -> MutexGuard<'_, HashMap<LaneId, Detour>> {
        self.detours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the next claim in `lane` had better not try the short way.
    pub(super) fn goes_round(&self, lane: &LaneId) -> bool {
        let mut detours = self.detours();
        let Some(detour) = detours.get_mut(lane).filter(|detour| detour.left > 0) else { return false };
        detour.left -= 1;
        true
    }

    /// Remembers whether the short way led to an answer.
    pub(super) fn learn(&self, lane: &LaneId, answered: bool) {
        let mut detours = self.detours();
        if answered {
            detours.remove(lane);
            return;
        }
        if detours.len() >= LANES {
            detours.clear();
        }
        let detour = detours.entry(lane.clone()).or_insert(Detour { left: 0, next: 1 });
        *detour = Detour { left: detour.next, next: (2 * detour.next).min(DETOURS) };
    }
}

/// One look for one row, with others or alone.
pub(crate) async fn look(
    backend: &PostgresBackend,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    policy: &ClaimPolicy,
    way: Way,
) -> Result<Look, PgError> {
    let claimer = Claimer::new(lane, capabilities, policy, 1)?;
    let store = backend.store().await?;
    let crowds = backend.crowds();
    let alone = pin!(async {
        if way == Way::Long || store.marks().is_behind(lane) || crowds.goes_round(lane) {
            claimer.look_around(store).await
        } else {
            claimer.look(store, crowds, way == Way::ShortFirst).await
        }
    });
    let together = |wanted| {
        let wanted = Arc::new(wanted);
        let store = Arc::clone(store);
        move |most| {
            let looked = look_for(Arc::clone(&wanted), most, Arc::clone(&store));
            looked.map_err(|error| error.at(Operation::Claim))
        }
    };
    crowds.crowd.look(Wanted::new(lane, capabilities, policy), alone, together).await
}

/// One look for at most so many rows, with others or alone.
pub(super) async fn look_for_many(
    backend: &PostgresBackend,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    policy: &ClaimPolicy,
    most: usize,
) -> Result<Batch, PgError> {
    let store = backend.store().await?;
    let looked = async { Claimer::new(lane, capabilities, policy, most)?.look_for_many(store).await };
    let alone = pin!(looked.map_err(|error: PgError| error.at(Operation::ClaimMany)));
    let together = |wanted| {
        let wanted = Arc::new(wanted);
        let store = Arc::clone(store);
        move |batches| look_for_batches(Arc::clone(&wanted), batches, Arc::clone(&store))
    };
    let batches = &backend.crowds().batches;
    Ok(batches.bring(Wanted::new(lane, capabilities, policy), most, alone, together).await?)
}

/// One look for several batches, first come first served; one that nothing was left for looks by itself.
async fn look_for_batches(
    wanted: Arc<Wanted>,
    batches: Vec<usize>,
    store: Arc<Sender>,
) -> Vec<Option<Result<Batch, EngineError>>> {
    let looked = look_for(wanted, batches.iter().sum(), store).await;
    let (taken, due) = match looked {
        Ok(looked) => looked,
        Err(error) => return refused(&error.at(Operation::ClaimMany), batches.len()),
    };
    let is_none = taken.is_empty();
    let mut taken = taken.into_iter();
    let hand_out = |most| {
        let batch: Vec<Handle> = taken.by_ref().take(most).collect();
        (is_none || !batch.is_empty()).then_some(Ok((batch, due)))
    };
    batches.into_iter().map(hand_out).collect()
}

/// One look for at most so many rows.
async fn look_for(wanted: Arc<Wanted>, most: usize, store: Arc<Sender>) -> Result<Batch, PgError> {
    wanted.claimer(most)?.look_for_many(&store).await
}
