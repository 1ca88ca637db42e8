//! Everything that can be read of a store, beside the specification.

use std::time::Duration;

use ff_backend_memory::{Op, State};
use ff_core::{
    CapabilitySet, CompletionEvent, ExecutionId, LeaseHistoryEvent, ListPendingWaitpointsArgs, Operation,
    OperatorEvent, PageLimit, ScannerFilter, SignalDeliveryEvent, StreamCursor,
};
use futures::{StreamExt, stream};

use super::play::{Halt, Stage};
use crate::{
    Dump,
    feeds::{Family, by_execution},
    perform::perform,
};

/// Reads under way at once.
const AT_ONCE: usize = 8;
/// Longer than any event may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A family as the specification keeps it.
trait Told: Family {
    /// What a report calls it.
    const NAME: &'static str;
    /// What reads it.
    const OPERATION: Operation;
    /// Its log, oldest first.
    fn expected(state: &State) -> Vec<Self>;
}

impl Told for LeaseHistoryEvent {
    const NAME: &'static str = "lease history";
    const OPERATION: Operation = Operation::SubscribeLeaseHistory;

    fn expected(state: &State) -> Vec<Self> {
        state.lease_events().collect()
    }
}

impl Told for CompletionEvent {
    const NAME: &'static str = "completions";
    const OPERATION: Operation = Operation::SubscribeCompletion;

    fn expected(state: &State) -> Vec<Self> {
        state.completion_events().collect()
    }
}

impl Told for OperatorEvent {
    const NAME: &'static str = "operator events";
    const OPERATION: Operation = Operation::SubscribeOperatorEvents;

    fn expected(state: &State) -> Vec<Self> {
        state.operator_events().collect()
    }
}

impl Told for SignalDeliveryEvent {
    const NAME: &'static str = "signal deliveries";
    const OPERATION: Operation = Operation::SubscribeSignalDelivery;

    fn expected(state: &State) -> Vec<Self> {
        state.signal_events().collect()
    }
}

/// Every public read of every execution, and the listings.
pub(super) async fn reads(stage: &mut Stage<'_>) -> Result<(), Halt> {
    let supports = stage.supports();
    let mut ops: Vec<Op> = Vec::new();
    for id in stage.models.first().iter().flat_map(|state| state.executions()).map(|row| row.record.execution_id) {
        ops.extend(reads_of(id)?);
    }
    ops.push(Op::ListExecutions { cursor: None, limit: PageLimit::MAX });
    ops.push(Op::ListLanes { cursor: None, limit: PageLimit::MAX });
    ops.push(Op::ListSuspended { cursor: None, limit: PageLimit::MAX });
    ops.retain(|op| supports.offers(op.operation()));
    let Some(client) = stage.client(0).cloned() else { return Ok(()) };
    let outcomes: Vec<_> = stream::iter(ops.clone()).map(|op| perform(&*client, op)).buffered(AT_ONCE).collect().await;
    for (op, outcome) in ops.into_iter().zip(&outcomes) {
        stage.judge(0, op, outcome).await?;
    }
    Ok(())
}

fn reads_of(id: ExecutionId) -> Result<[Op; 7], Halt> {
    let all = CapabilitySet::try_new(["eu", "gpu"]).map_err(|error| Halt::Errored(error.to_string()))?;
    Ok([
        Op::DescribeExecution(id),
        Op::ReadExecutionState(id),
        Op::ReadExecutionInfo(id),
        Op::GetExecutionResult(id),
        Op::ListAttempts { id, cursor: None, limit: PageLimit::MAX },
        Op::ExplainUnclaimed { id, capabilities: all },
        Op::ListPendingWaitpoints(ListPendingWaitpointsArgs::new(id)),
    ])
}

/// The logs as the store keeps them, where it shows them.
pub(super) async fn logs(stage: &mut Stage<'_>) -> Result<(), Halt> {
    if stage.cx.controls().dump.is_none() {
        return Ok(());
    }
    let dump = stage.cx.dump().await?;
    of_dump::<LeaseHistoryEvent>(stage, &dump)?;
    of_dump::<CompletionEvent>(stage, &dump)?;
    of_dump::<OperatorEvent>(stage, &dump)?;
    of_dump::<SignalDeliveryEvent>(stage, &dump)
}

fn of_dump<E: Told>(stage: &mut Stage<'_>, dump: &Dump) -> Result<(), Halt> {
    compare::<E>(stage, "as the store keeps it", E::log(dump))
}

/// The logs as subscriptions from the beginning deliver them.
pub(super) async fn subscriptions(stage: &mut Stage<'_>) -> Result<(), Halt> {
    delivered::<LeaseHistoryEvent>(stage).await?;
    delivered::<CompletionEvent>(stage).await?;
    delivered::<OperatorEvent>(stage).await?;
    delivered::<SignalDeliveryEvent>(stage).await
}

async fn delivered<E: Told>(stage: &mut Stage<'_>) -> Result<(), Halt> {
    let (Some(client), true) = (stage.client(0).cloned(), stage.supports().offers(E::OPERATION)) else {
        return Ok(());
    };
    let count = stage.models.first().map_or(0, |state| E::expected(state).len());
    let mut events = Vec::with_capacity(count);
    let refused = |error: &dyn std::fmt::Display| Halt::Errored(format!("{}: {error}", E::NAME));
    let all = ScannerFilter::new();
    let mut feed = E::subscribe(&client, &StreamCursor::Start, &all).await.map_err(|error| refused(&error))?;
    while events.len() < count {
        match tokio::time::timeout(PATIENCE, feed.next()).await {
            Ok(Some(Ok(delivered))) => events.push(delivered.event),
            Ok(Some(Err(error))) => return Err(refused(&error)),
            Ok(None) | Err(_) => break,
        }
    }
    stage.coverage.hit(E::OPERATION, "ok");
    compare::<E>(stage, "as it is delivered", events)
}

/// The events of each execution in their order; the contract has no order over all.
fn compare<E: Told>(stage: &mut Stage<'_>, how: &str, found: Vec<E>) -> Result<(), Halt> {
    let found = by_execution(found);
    let agrees = |state: &State| by_execution(E::expected(state)) == found;
    let fits: Vec<_> = stage.models.iter().map(agrees).collect();
    if !fits.contains(&true) {
        let expected = stage.models.first().map(|state| by_execution(E::expected(state))).unwrap_or_default();
        let ids = expected.keys().chain(found.keys()).find(|id| expected.get(*id) != found.get(*id));
        let tell = |events: Option<&Vec<E>>| events.map_or("no event".to_owned(), |events| format!("{events:?}"));
        let (wanted, got) = ids.map_or_else(Default::default, |id| (tell(expected.get(id)), tell(found.get(id))));
        return Err(stage.disagree(E::NAME, how, &wanted, &got));
    }
    let mut fits = fits.into_iter();
    stage.models.retain(|_| fits.next().unwrap_or(true));
    Ok(())
}
