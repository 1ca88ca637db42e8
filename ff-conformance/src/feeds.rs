//! Subscriptions as cases use them: opened for any family, read with a limit, compared with the log.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Duration};

use ff_core::{
    CompletionEvent, Delivered, EngineBackend, EngineError, ExecutionId, LeaseHistoryEvent, Namespace, OperatorEvent,
    ScannerFilter, SignalDeliveryEvent, StreamCursor, Subscription,
};
use futures::{StreamExt, future::BoxFuture};

use crate::{Dump, Stop};

/// Longer than any event may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A family of events.
pub(crate) trait Family: Clone + Debug + PartialEq + Send + 'static {
    /// Subscribes to it.
    fn subscribe<'a>(
        client: &'a Arc<dyn EngineBackend>,
        cursor: &StreamCursor,
        filter: &'a ScannerFilter,
    ) -> BoxFuture<'a, Result<Subscription<Self>, EngineError>>;
    /// Its log, as the store keeps it.
    fn log(dump: &Dump) -> Vec<Self>;
    /// Whose an event is.
    fn of(&self) -> (&ExecutionId, &Namespace);
}

/// A family: its events, the operation that subscribes to them, and where a dump has them.
macro_rules! family {
    ($event:ident, $subscribe:ident, $log:ident) => {
        impl Family for $event {
            fn subscribe<'a>(
                client: &'a Arc<dyn EngineBackend>,
                cursor: &StreamCursor,
                filter: &'a ScannerFilter,
            ) -> BoxFuture<'a, Result<Subscription<Self>, EngineError>> {
                client.$subscribe(cursor.clone(), filter)
            }

            fn log(dump: &Dump) -> Vec<Self> {
                dump.$log.clone()
            }

            fn of(&self) -> (&ExecutionId, &Namespace) {
                (&self.execution_id, &self.namespace)
            }
        }
    };
}

family!(LeaseHistoryEvent, subscribe_lease_history, lease_history);
family!(CompletionEvent, subscribe_completion, completions);
family!(OperatorEvent, subscribe_operator_events, operator_events);
family!(SignalDeliveryEvent, subscribe_signal_delivery, signal_deliveries);

/// A subscription to everything behind `cursor`.
pub(crate) async fn feed<E: Family>(
    client: &Arc<dyn EngineBackend>,
    cursor: &StreamCursor,
) -> Result<Subscription<E>, Stop> {
    Ok(E::subscribe(client, cursor, &ScannerFilter::new()).await?)
}

/// The next `count` events, with their cursors; fewer if they do not come in time.
pub(crate) async fn taken<E: Family>(feed: &mut Subscription<E>, count: usize) -> Result<Vec<Delivered<E>>, Stop> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        match tokio::time::timeout(PATIENCE, feed.next()).await {
            Ok(Some(item)) => taken.push(item?),
            Ok(None) | Err(_) => break,
        }
    }
    Ok(taken)
}

/// The next item, whatever it is; `None` if there is none in time or ever.
pub(crate) async fn item<T>(stream: &mut (impl StreamExt<Item = T> + Unpin)) -> Option<T> {
    tokio::time::timeout(PATIENCE, stream.next()).await.ok().flatten()
}

/// The events without their cursors.
pub(crate) fn events<E: Family>(delivered: &[Delivered<E>]) -> Vec<E> {
    delivered.iter().map(|delivered| delivered.event.clone()).collect()
}

/// The events of each execution, in their order: two executions have no order between them.
pub(crate) fn by_execution<E: Family>(events: Vec<E>) -> BTreeMap<ExecutionId, Vec<E>> {
    let mut sorted: BTreeMap<ExecutionId, Vec<E>> = BTreeMap::new();
    for event in events {
        sorted.entry(*event.of().0).or_default().push(event);
    }
    sorted
}
