//! Cases of batches of claims: the first rows of a lane in its order, each once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ff_core::{
    CapabilitySet, EngineBackend, EngineError, ExecutionId, ExecutionPolicy, FailureClass, FailureReason, Handle,
    HandleKind, PageLimit, TimestampMs,
};
use futures::future::{join, join_all};

use crate::{
    Cx, Stop, TTL, Verdict, check,
    crowds::{clients, created_many},
    equals,
    facts::facts_of,
    instants::{after, ms},
    refused,
    stages::retrying,
};

/// Longer than it takes until what a claim waits for has come.
const LONG: Duration = Duration::from_secs(30);

/// A batch of claims in the lane called `lane`.
pub(crate) async fn claims(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    lane: &str,
    limit: u32,
) -> Result<Vec<(ExecutionId, HandleKind)>, Stop> {
    let (lane, worker) = (cx.lane_called(lane)?, cx.worker("worker", TTL)?);
    let handles = client.claim_many(&lane, &CapabilitySet::default(), worker, PageLimit::new(limit)?).await?;
    taken(client, handles)
}

fn taken(client: &Arc<dyn EngineBackend>, handles: Vec<Handle>) -> Result<Vec<(ExecutionId, HandleKind)>, Stop> {
    let take = |handle: Handle| Ok((handle.decode(client.backend_label())?.execution_id, handle.kind()));
    handles.into_iter().map(take).collect()
}

pub(crate) fn ids(taken: Vec<(ExecutionId, HandleKind)>) -> Vec<ExecutionId> {
    taken.into_iter().map(|(id, _)| id).collect()
}

/// Batches take the rows of a lane in its order, over all capability sets that the worker covers, up to their limit.
///
/// Covers FF-CLM-080.
pub async fn claim_many_takes_the_first_rows_in_order(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let requirements: [&[&str]; 5] = [&["a"], &[], &["b"], &["a", "b"], &["c"]];
    let mut rows = Vec::new();
    for n in 0..40_i32 {
        let tokens = requirements[usize::try_from(n).unwrap_or_default() * 3 % 5];
        let policy = ExecutionPolicy::new().required_capabilities(CapabilitySet::try_new(tokens.iter().copied())?);
        let id = cx.created(&a, cx.execution()?.policy(policy).priority(n * 7 % 4)).await?;
        if tokens != ["c"] {
            rows.push((-(n * 7 % 4), n / 3, id.to_string(), id));
        }
        if n % 3 == 2 {
            cx.pass_time(ms(1)).await?;
        }
    }
    rows.sort_unstable();
    let order: Vec<_> = rows.into_iter().map(|(.., id)| id).collect();
    let (lane, offered) = (cx.lane()?, CapabilitySet::try_new(["a", "b"])?);

    let mut batches = Vec::new();
    for limit in [1, 10, 15, 1000, 1000] {
        let (limit, worker) = (PageLimit::new(limit)?, cx.worker("worker", TTL)?);
        batches.push(ids(taken(&a, a.claim_many(&lane, &offered, worker, limit).await?)?));
    }

    check!(cx, "FF-CLM-080", batches.iter().map(Vec::len).collect::<Vec<_>>(), equals(vec![1, 10, 15, 6, 0]));
    check!(cx, "FF-CLM-080", batches.concat(), equals(order));
    Ok(())
}

/// Work of every kind in the lane called `lane`, some of it due: fresh, given back, to be retried, and lapsed.
async fn every_kind(cx: &Cx, client: &Arc<dyn EngineBackend>, lane: &str) -> Result<(), Stop> {
    let now = cx.now().await?;
    let name = cx.lane_called(lane)?;
    for _ in 0..4 {
        cx.created(client, cx.execution_in(lane)?.policy(retrying(2, 500))).await?;
    }
    let worker = || cx.worker("worker", ms(500));
    for n in 0..4 {
        let claimed = client.claim(&name, &CapabilitySet::default(), worker()?).await?;
        let handle = claimed.ok_or_else(|| Stop::Errored("no work".to_owned()))?;
        match n {
            0 => client.delay(&handle, now).await?,
            1 => client.delay(&handle, after(now, 400)).await?,
            2 => drop(client.fail(&handle, FailureReason::new("broken"), FailureClass::Transient).await?),
            _ => {}
        }
        if n == 0 {
            // What was given back at once stands in the way of the others.
            let resumed = client.claim(&name, &CapabilitySet::default(), worker()?).await?;
            let handle = resumed.ok_or_else(|| Stop::Errored("no work".to_owned()))?;
            client.delay(&handle, after(now, 1)).await?;
        }
    }
    for delay in [None, Some(after(now, 300)), None] {
        let mut args = cx.execution_in(lane)?;
        args.delay_until = delay;
        cx.created(client, args).await?;
    }
    Ok(())
}

/// What a batch takes of every kind of work, due or not, is what single claims take, with the same records and events.
///
/// Covers FF-CLM-080.
pub async fn claim_many_does_what_single_claims_do(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    every_kind(cx, &a, "singles").await?;
    every_kind(cx, &a, "batch").await?;
    cx.pass_time(ms(500)).await?;
    let lane = cx.lane_called("singles")?;
    let mut singles = Vec::new();
    while let Some(handle) = a.claim(&lane, &CapabilitySet::default(), cx.worker("worker", TTL)?).await? {
        singles.push((handle.decode(a.backend_label())?.execution_id, handle.kind()));
    }

    let batch = claims(cx, &a, "batch", 100).await?;

    let mut kinds =
        [&singles, &batch].map(|taken| taken.iter().map(|(_, kind)| format!("{kind:?}")).collect::<Vec<_>>());
    kinds.iter_mut().for_each(|kinds| kinds.sort());
    let [singles_kinds, batch_kinds] = kinds;
    check!(cx, "FF-CLM-080", batch_kinds, equals(singles_kinds));
    check!(cx, "FF-CLM-080", batch.len(), equals(7));
    let mut left = Vec::new();
    for (id, _) in &singles {
        left.push(facts_of(cx, &a, id, TimestampMs::from_ms(0)).await?.in_lane("singles"));
    }
    for (id, _) in batch {
        let found = facts_of(cx, &a, &id, TimestampMs::from_ms(0)).await?.in_lane("batch");
        let twin = left.iter().position(|single| single.others(&found).is_empty());
        check!(
            cx,
            "FF-CLM-080",
            (&found, twin),
            crate::satisfies("has a twin", |got: &(_, Option<usize>)| got.1.is_some())
        );
        left.remove(twin.unwrap_or_default());
    }
    Ok(())
}

/// A limit of 0 takes nothing and changes nothing, also where work is due; an empty lane answers an empty batch.
///
/// Covers FF-CLM-080.
pub async fn claim_many_of_nothing_changes_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    every_kind(cx, &a, "lane").await?;
    cx.pass_time(ms(500)).await?;
    let written = cx.dump().await?;
    check!(cx, "FF-CLM-080", claims(cx, &a, "lane", 0).await?, equals(Vec::new()));
    check!(cx, "FF-CLM-080", claims(cx, &a, "unheard of", 1000).await?, equals(Vec::new()));
    let policy = cx.worker("worker", ms(0))?;
    let refusal = a.claim_many(&cx.lane()?, &CapabilitySet::default(), policy, PageLimit::MAX).await;
    check!(cx, "FF-CLM-080", refusal, refused("Validation(InvalidInput)"));
    check!(cx, "FF-CLM-080", cx.dump().await?, equals(written));
    Ok(())
}

/// Batches of several clients at the same time share the rows of a lane: each is taken once, and none is left.
///
/// Covers FF-CLM-081.
pub async fn claim_many_at_once_takes_each_row_once(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    let created: BTreeSet<_> = created_many(cx, a, 100, |_, args| args).await?.into_iter().collect();
    let (mut got, mut last) = (Vec::new(), false);
    while got.len() < 100 && !last {
        let round = join_all(clients.iter().map(|client| claims(cx, client, "lane", 7))).await;
        let before = got.len();
        for batch in round {
            got.extend(ids(batch?));
        }
        last = got.len() == before;
    }
    check!(cx, "FF-CLM-081", got.len(), equals(100));
    check!(cx, "FF-CLM-081", got.into_iter().collect::<BTreeSet<_>>(), equals(created));
    check!(cx, "FF-CLM-081", claims(cx, a, "lane", 1000).await?, equals(Vec::new()));
    Ok(())
}

/// A batch that waits takes what comes first, however little, and gives up when its wait is over.
///
/// Covers FF-CLM-080.
pub async fn claim_many_waits_for_the_first_row_only(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let (lane, limit) = (cx.lane()?, PageLimit::new(10)?);
    let waiting = |wait| {
        let policy = cx.worker("worker", TTL).map(|worker| worker.max_wait(wait));
        let (a, lane) = (&a, &lane);
        async move {
            Ok::<Result<_, EngineError>, Stop>(a.claim_many(lane, &CapabilitySet::default(), policy?, limit).await)
        }
    };
    check!(cx, "FF-CLM-080", waiting(ms(60)).await??, equals(Vec::new()));
    let create = async {
        for _ in 0..20 {
            b.ping().await?;
        }
        cx.created_plain(&b).await
    };

    let (claimed, created) = join(waiting(LONG), create).await;

    check!(cx, "FF-CLM-080", ids(taken(&a, claimed??)?), equals(vec![created?]));
    Ok(())
}
