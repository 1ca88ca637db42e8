//! One execution, read in every way that the contract has.

use std::sync::Arc;

use ff_core::{EngineBackend, ExecutionId, ExecutionInfo, ExecutionSnapshot, PublicState};

use crate::{Cx, Stop};

/// The answers of all reads by id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reads {
    pub(crate) snapshot: ExecutionSnapshot,
    pub(crate) state: PublicState,
    pub(crate) info: ExecutionInfo,
    pub(crate) result: Option<Vec<u8>>,
}

impl Reads {
    /// The public state as each read tells it.
    pub(crate) const fn public_states(&self) -> [PublicState; 3] {
        [self.snapshot.public_state, self.state, self.info.public_state]
    }

    /// True if all reads agree wherever they tell the same fact.
    pub(crate) fn agree(&self) -> bool {
        let (snapshot, info) = (&self.snapshot, &self.info);
        self.public_states() == [self.state; 3]
            && info.state.public_state() == self.state
            && snapshot.execution_id == info.execution_id
            && snapshot.namespace == info.namespace
            && snapshot.lane_id == info.lane_id
            && snapshot.current_attempt == info.current_attempt
            && snapshot.created_at == info.created_at
            && snapshot.last_mutation_at == info.last_mutation_at
            && snapshot.total_attempt_count == info.total_attempt_count
            && (self.result.is_none() || self.state == PublicState::Completed)
    }
}

/// Reads an execution that must exist in every way.
pub(crate) async fn read_all(cx: &Cx, client: &Arc<dyn EngineBackend>, id: &ExecutionId) -> Result<Reads, Stop> {
    let info = cx.info(client, id).await?;
    let missing = || Stop::Errored(format!("{id} has an info and nothing else"));
    Ok(Reads {
        snapshot: client.describe_execution(id).await?.ok_or_else(missing)?,
        state: client.read_execution_state(id).await?.ok_or_else(missing)?,
        info,
        result: client.get_execution_result(id).await?,
    })
}

/// The snapshot of an execution that must exist.
pub(crate) async fn snapshot(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    id: &ExecutionId,
) -> Result<ExecutionSnapshot, Stop> {
    Ok(read_all(cx, client, id).await?.snapshot)
}
