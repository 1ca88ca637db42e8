//! Reserved work, and the three ways to redeem its grant.

use std::{sync::Arc, time::Duration};

use ff_core::{
    CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimGrant,
    EngineBackend, EngineError, ExecutionId, Handle,
};
use futures::future::join_all;

use crate::{Cx, Stop, TTL, expect};

/// The life of a grant unless a case says otherwise.
pub(crate) const GRANT_TTL: Duration = Duration::from_secs(5);

/// A reservation in the lane of the case for the worker process `<worker>-1`.
pub(crate) fn wants(cx: &Cx, worker: &str, ttl: Duration) -> Result<ClaimForWorkerArgs, Stop> {
    let policy = cx.worker(worker, TTL)?;
    Ok(ClaimForWorkerArgs::new(cx.lane()?, policy.worker_id, policy.worker_instance_id, ttl))
}

/// A grant for `worker`, if there is work.
pub(crate) async fn try_grant(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    worker: &str,
) -> Result<Option<ClaimGrant>, Stop> {
    grant_of(client, wants(cx, worker, GRANT_TTL)?).await
}

/// The grant that `args` lead to, if there is work.
pub(crate) async fn grant_of(
    client: &Arc<dyn EngineBackend>,
    args: ClaimForWorkerArgs,
) -> Result<Option<ClaimGrant>, Stop> {
    match client.claim_for_worker(args).await? {
        ClaimForWorkerOutcome::NoWork => Ok(None),
        ClaimForWorkerOutcome::Granted(grant) => Ok(Some(grant)),
    }
}

/// A grant for `worker`; there must be work.
pub(crate) async fn granted(cx: &Cx, client: &Arc<dyn EngineBackend>, worker: &str) -> Result<ClaimGrant, Stop> {
    match try_grant(cx, client, worker).await? {
        Some(grant) => Ok(grant),
        None => {
            let expectation = expect::satisfies("reserves work", |_: &&str| false);
            expect::judge("FF-CLM-041", "claim_for_worker", &"NoWork", &expectation)?;
            Err(Stop::Errored("no work".to_owned()))
        }
    }
}

/// Reserves up to `count` times, one after the other, and tells which executions came.
pub(crate) async fn grant_order(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    count: usize,
    offered: &CapabilitySet,
) -> Result<Vec<ExecutionId>, Stop> {
    let mut order = Vec::with_capacity(count);
    for _ in 0..count {
        let args = wants(cx, "worker", GRANT_TTL)?.worker_capabilities(offered.clone());
        match grant_of(client, args).await? {
            Some(grant) => order.push(grant.execution_id),
            None => break,
        }
    }
    Ok(order)
}

/// `each` reservations by every client, all at the same time; those that got something.
pub(crate) async fn grants_at_once(
    cx: &Cx,
    clients: &[Arc<dyn EngineBackend>],
    each: usize,
) -> Result<Vec<ClaimGrant>, Stop> {
    let grants = clients.iter().flat_map(|client| (0..each).map(move |_| try_grant(cx, client, "worker")));
    let answers = join_all(grants.collect::<Vec<_>>()).await;
    let granted = answers.into_iter().collect::<Result<Vec<_>, Stop>>()?;
    Ok(granted.into_iter().flatten().collect())
}

/// How a grant is redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By `claim_execution`.
    Execution,
    /// By `claim_from_reclaim`.
    Reclaim,
    /// By `claim_resumed_execution`.
    Resumed,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Execution, Self::Reclaim, Self::Resumed];
}

/// What redeems `grant` as the worker process `<worker>-1`, for [`TTL`].
pub(crate) fn redeems(cx: &Cx, grant: &ClaimGrant, worker: &str) -> Result<ClaimExecutionArgs, Stop> {
    let policy = cx.worker(worker, TTL)?;
    Ok(ClaimExecutionArgs::new(grant.clone(), policy.worker_id, policy.worker_instance_id, TTL))
}

/// Redeems a grant in one of the three ways.
pub(crate) async fn redeem(
    client: &Arc<dyn EngineBackend>,
    way: Way,
    args: ClaimExecutionArgs,
) -> Result<Option<Handle>, EngineError> {
    match way {
        Way::Execution => client.claim_execution(args).await.map(lease),
        Way::Reclaim => client.claim_from_reclaim(args).await,
        Way::Resumed => client.claim_resumed_execution(args).await.map(lease),
    }
}

fn lease(ClaimExecutionResult::Claimed(handle): ClaimExecutionResult) -> Option<Handle> {
    Some(handle)
}
