//! What waiting costs, and how soon it ends.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use ff_conformance::Proxy;

use super::{Target, Told};
use crate::{
    Failure,
    engine::{Claimer, Engine},
    stage::{Stage, Store},
    stats,
};

/// Executions that are created, one by one, while a worker waits.
const CREATES: usize = 200;

/// Between two of them: the store is idle again by then.
const PAUSE: Duration = Duration::from_millis(20);

/// For how long a worker is watched that gets no work.
const WATCHED: Duration = Duration::from_secs(30);

/// From the call that creates an execution until a worker of another client, which waits, has its handle.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
pub(super) async fn latency(stage: &Stage) -> Result<Vec<Told>, Failure> {
    let mut told = Vec::new();
    for store in [Store::Postgres, Store::Valkey] {
        let (mut worker, creator) = (worker(stage, store, None, 2).await?, worker(stage, store, None, 2).await?);
        worker.policy.max_wait = Some(Duration::from_secs(30));
        let mut took = Vec::new();
        for _ in 0..CREATES {
            let waiting = worker.clone();
            let claim = tokio::spawn(async move {
                let handle = waiting.backend.claim(&waiting.lane, &waiting.capabilities, waiting.policy.clone()).await;
                (Instant::now(), handle)
            });
            tokio::time::sleep(PAUSE).await;
            let begun = Instant::now();
            creator.create_one(&[]).await?;
            let (ended, handle) = claim.await?;
            handle?.ok_or("the worker got nothing")?;
            took.push((ended - begun).as_secs_f64() * 1e3);
        }
        let figure = |what: &str, share, most| {
            let what = format!("{store} create to handle, worker waits, {what}, ms");
            Told::figure("10", what, stats::quantile(&took, share), Target::AtMost(most))
        };
        told.extend([figure("p50", 0.5, 3.0), figure("p99", 0.99, 15.0)]);
    }
    Ok(told)
}

/// Requests of a client whose worker waits in an idle lane, in five seconds.
#[expect(clippy::cast_precision_loss, reason = "few requests")]
pub(super) async fn questions(stage: &Stage) -> Result<Vec<Told>, Failure> {
    let mut told = Vec::new();
    for store in [Store::Postgres, Store::Valkey] {
        let target = address(stage, store).await?.parse::<SocketAddr>()?;
        let proxy = Proxy::start(target)?;
        let mut worker = worker(stage, store, Some(proxy.address()), 2).await?;
        worker.policy.max_wait = Some(WATCHED + Duration::from_secs(5));
        let waiting = tokio::spawn(async move {
            worker.backend.claim(&worker.lane, &worker.capabilities, worker.policy.clone()).await
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        proxy.reset();
        tokio::time::sleep(WATCHED).await;
        let asked = proxy.turns() as f64 * 5.0 / WATCHED.as_secs_f64();
        waiting.abort();
        let what = format!("{store} requests of a worker that waits, in 5 s");
        told.push(Told::figure("11", what, asked, Target::AtMost(1.0)));
    }
    Ok(told)
}

/// A client of its own on an empty store, through `by` if there is one.
async fn worker(stage: &Stage, store: Store, by: Option<SocketAddr>, connections: usize) -> Result<Claimer, Failure> {
    let through = async |url: String| match by {
        Some(by) => Ok::<_, Failure>(url.replacen(&address(stage, store).await?, &by.to_string(), 1)),
        None => Ok(url),
    };
    let engine = match store {
        Store::Memory => return Err("nobody waits for the memory backend in another process".into()),
        Store::Postgres => {
            let stage = stage.postgres().await?;
            let url = through(stage.url.clone()).await?;
            Engine::postgres_at(&url, stage, connections).await?
        }
        Store::Valkey => {
            let stage = stage.valkey().await?;
            let url = through(stage.url().to_owned()).await?;
            Engine::valkey_at(&url, stage).await?
        }
    };
    engine.fill(0).await
}

/// Host and port in the address of a store.
async fn address(stage: &Stage, store: Store) -> Result<String, Failure> {
    let url = match store {
        Store::Postgres => stage.postgres().await?.url.clone(),
        Store::Memory | Store::Valkey => stage.valkey().await?.url().to_owned(),
    };
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    Ok(host.split(['/', '?']).next().unwrap_or(host).to_owned())
}
