//! Claims of one process that want the same work go together.

use std::{pin::pin, sync::Arc, time::Duration};

use ff_core::{CapabilitySet, ClaimPolicy, Crowd, EngineError, Handle, LaneId};

use super::{Claimer, Look};
use crate::{backend::ValkeyBackend, error::ValkeyError, fcall::Server, keys::Keys};

/// What a claim wants, but for how long it waits; `waits` asks for a wake-up if there is nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    lane: LaneId,
    capabilities: CapabilitySet,
    policy: ClaimPolicy,
    waits: bool,
}

/// The claims of a process that are on their way.
#[derive(Default)]
pub(crate) struct Crowds(Crowd<Wanted, Handle, Duration, EngineError>);

/// One look for one row, with others or alone.
pub(super) async fn look(
    backend: &ValkeyBackend,
    lane: &LaneId,
    capabilities: &CapabilitySet,
    policy: &ClaimPolicy,
    waits: bool,
) -> Result<Look, EngineError> {
    let mut wanted = Wanted { lane: lane.clone(), capabilities: capabilities.clone(), policy: policy.clone(), waits };
    wanted.policy.max_wait = None;
    let claimer = Claimer::new(&backend.server, &backend.keys, lane, capabilities, policy)?;
    let alone = pin!(async { Ok(claimer.look(waits).await?) });
    let together = |wanted| {
        let ways = Arc::new((wanted, Arc::clone(&backend.server), backend.keys.clone()));
        move |most| look_for(Arc::clone(&ways), most)
    };
    backend.crowds.0.look(wanted, alone, together).await
}

/// One look for at most so many rows.
async fn look_for(ways: Arc<(Wanted, Arc<Server>, Keys)>, most: usize) -> Result<(Vec<Handle>, Duration), EngineError> {
    let (Wanted { lane, capabilities, policy, waits }, server, keys) = &*ways;
    let looked: Result<_, ValkeyError> =
        Claimer::new(server, keys, lane, capabilities, policy)?.look_for_many(most, *waits).await;
    Ok(looked?)
}
