//! Many executions and many claims at once.

use std::sync::Arc;

use ff_core::{CapabilitySet, CreateExecutionArgs, EngineBackend, ExecutionId};
use futures::future::join_all;

use crate::{Claimed, Cx, Stop, TTL, check, is_ok};

/// How many calls are under way at a time.
pub(crate) const AT_A_TIME: usize = 16;

/// Creates `count` executions; `shape` makes each out of its number and a plain one. The ids come by number.
pub(crate) async fn created_many(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    count: usize,
    shape: impl Fn(usize, CreateExecutionArgs) -> CreateExecutionArgs,
) -> Result<Vec<ExecutionId>, Stop> {
    let args = (0..count).map(|n| Ok(shape(n, cx.execution()?))).collect::<Result<Vec<_>, Stop>>()?;
    let mut ids = Vec::with_capacity(count);
    for batch in args.chunks(AT_A_TIME) {
        let creates: Vec<_> = batch.iter().map(|args| cx.created(client, args.clone())).collect();
        for id in join_all(creates).await {
            ids.push(id?);
        }
    }
    Ok(ids)
}

/// Claims up to `count` times, one after the other, and tells which executions came.
pub(crate) async fn claim_order(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    count: usize,
) -> Result<Vec<ExecutionId>, Stop> {
    claim_order_offering(cx, client, count, &CapabilitySet::default()).await
}

/// The same with worker capabilities.
pub(crate) async fn claim_order_offering(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    count: usize,
    offered: &CapabilitySet,
) -> Result<Vec<ExecutionId>, Stop> {
    let mut order = Vec::with_capacity(count);
    for _ in 0..count {
        match cx.try_claim_offering(client, "worker", TTL, offered).await? {
            Some(claimed) => order.push(claimed.payload.execution_id),
            None => break,
        }
    }
    Ok(order)
}

/// `each` claims from every client, all at the same time, of which none is refused; those that got something.
pub(crate) async fn claims_at_once(
    cx: &Cx,
    clients: &[Arc<dyn EngineBackend>],
    each: usize,
) -> Result<Vec<Claimed>, Stop> {
    let claims = clients.iter().flat_map(|client| (0..each).map(move |_| cx.try_claim(client, "worker", TTL)));
    let mut claimed = Vec::new();
    for answer in join_all(claims.collect::<Vec<_>>()).await {
        if let Err(Stop::Refused(error, _)) = &answer {
            check!(cx, "FF-CLM-007", Err::<(), _>(error.clone()), is_ok());
        }
        claimed.extend(answer?);
    }
    Ok(claimed)
}

/// `count` clients with connections of their own.
pub(crate) async fn clients(cx: &Cx, count: usize) -> Result<Vec<Arc<dyn EngineBackend>>, Stop> {
    let mut clients = Vec::with_capacity(count);
    for n in 0..count {
        clients.push(cx.client(&format!("client-{n}")).await?);
    }
    Ok(clients)
}
