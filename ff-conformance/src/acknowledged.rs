//! Load on a server that is killed in the midst of it, and what becomes of all that was acknowledged.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ff_core::{
    CancelExecutionArgs, CapabilitySet, ClaimPolicy, CompletionEvent, CreateExecutionArgs, Durability, EngineBackend,
    EngineError, ExecutionId, LaneId, LifecyclePhase, Namespace, PartitionConfig, ScannerFilter, StreamCursor,
    WorkerId, WorkerInstanceId,
};
use futures::StreamExt;
use tokio::{sync::watch, task::JoinSet};

use crate::{Cx, MortalServer, Stop, WriteThrough, feeds::Family};

/// Clients that work while the server is killed.
const CLIENTS: usize = 6;
/// Acknowledged calls without which a kill says nothing.
const LEAST: usize = 200;
/// How long the load may take to acknowledge so many, and how long the events may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client was told.
#[derive(Clone, Copy, Debug)]
enum Ack {
    Created(ExecutionId),
    Claimed(ExecutionId, u64),
    Completed(ExecutionId),
}

/// What a kill came to.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    /// What the backend declared of its durability before the kill.
    pub(crate) declared: Durability,
    /// What is there by half, each in words: an end without its event, or an event without its end.
    pub(crate) torn: Vec<String>,
    /// Of each client, what it was told, in that order, with whether it is there.
    told: Vec<Vec<(Ack, bool)>>,
}

impl Kill {
    /// What is gone although the declaration says that it stays, each in words.
    ///
    /// With `Sync` that is everything that is gone. With less, what a client lost is the last of what it was told.
    pub(crate) fn broken(&self) -> Vec<String> {
        let gone = |told: &Vec<(Ack, bool)>| {
            let kept = match self.declared {
                Durability::Sync => told.len(),
                Durability::Bounded(_) | Durability::None => {
                    told.iter().rposition(|(_, is_there)| *is_there).unwrap_or(0)
                }
            };
            let gone = told.iter().take(kept).filter(|(_, is_there)| !is_there);
            gone.map(|(ack, _)| format!("{ack:?} was acknowledged, and is gone")).collect::<Vec<_>>()
        };
        self.told.iter().flat_map(gone).collect()
    }
}

/// Starts a server, lets clients create, claim and complete, kills it in the midst of that, starts it again, and looks.
pub(crate) async fn killed_under_load(cx: &Cx, through: WriteThrough) -> Result<Kill, Stop> {
    let mut server = cx.server()?.start(through).await?;
    let kill = judged(&mut *server).await;
    server.remove().await?;
    kill
}

async fn judged(server: &mut dyn MortalServer) -> Result<Kill, Stop> {
    let declared = server.connect().await?.capabilities().properties.durability;
    let count = watch::Sender::new(0);
    let mut load = JoinSet::new();
    for number in 0..CLIENTS {
        load.spawn(work(server.connect().await?, number, count.clone()));
    }
    let mut counted = count.subscribe();
    let came = tokio::time::timeout(PATIENCE, counted.wait_for(|count| *count >= LEAST)).await.is_ok();
    if !came {
        let text = format!("{} calls were acknowledged within {PATIENCE:?}, which says nothing", *count.borrow());
        return Err(Stop::Errored(text));
    }
    server.kill().await?;
    let told = load.join_all().await;
    server.restart().await?;
    let survivor = server.connect().await?;
    look(&survivor, declared, told).await
}

/// Creates, claims and completes until a call fails, as one that the end of the server cuts off does.
async fn work(client: Arc<dyn EngineBackend>, number: usize, count: watch::Sender<usize>) -> Vec<Ack> {
    let mut told = Vec::new();
    while turn(&client, number, &mut told, &count).await.is_ok() {}
    told
}

async fn turn(
    client: &Arc<dyn EngineBackend>,
    number: usize,
    told: &mut Vec<Ack>,
    count: &watch::Sender<usize>,
) -> Result<(), EngineError> {
    let lane = LaneId::try_new("kill")?;
    let mut tell = |ack| {
        told.push(ack);
        count.send_modify(|count| *count += 1);
    };
    let id = ExecutionId::solo(&lane, PartitionConfig::default());
    let args = CreateExecutionArgs::new(id, Namespace::try_new("kill")?, lane.clone(), "work");
    client.create_execution(args).await?;
    tell(Ack::Created(id));
    let process = WorkerInstanceId::try_new(format!("w-{number}"))?;
    let policy = ClaimPolicy::new(WorkerId::try_new("w")?, process, Duration::from_secs(600));
    let Some(handle) = client.claim(&lane, &CapabilitySet::default(), policy).await? else { return Ok(()) };
    let held = handle.decode(client.backend_label())?;
    tell(Ack::Claimed(held.execution_id, held.fence.lease_epoch.0));
    client.complete(&handle, None).await?;
    tell(Ack::Completed(held.execution_id));
    Ok(())
}

/// Compares what was acknowledged with what is there.
async fn look(client: &Arc<dyn EngineBackend>, declared: Durability, told: Vec<Vec<Ack>>) -> Result<Kill, Stop> {
    let ended = completions(client).await?;
    let mut kill = Kill { declared, torn: Vec::new(), told: Vec::new() };
    for acks in told {
        let mut seen = Vec::new();
        for ack in acks {
            let (Ack::Created(id) | Ack::Claimed(id, _) | Ack::Completed(id)) = ack;
            let info = client.read_execution_info(&id).await?;
            let has_ended = info.as_ref().is_some_and(|info| info.state.lifecycle_phase == LifecyclePhase::Terminal);
            let is_there = match ack {
                Ack::Created(_) => info.is_some(),
                Ack::Claimed(_, epoch) => info.is_some_and(|info| info.current_lease_epoch.0 >= epoch),
                Ack::Completed(_) => has_ended,
            };
            if has_ended != ended.contains(&id) {
                kill.torn.push(format!("{id}: ended {has_ended}, told {}", ended.contains(&id)));
            }
            seen.push((ack, is_there));
        }
        kill.told.push(seen);
    }
    Ok(kill)
}

/// Everything that is told to have ended: all events up to that of an execution which is ended for this.
async fn completions(client: &Arc<dyn EngineBackend>) -> Result<BTreeSet<ExecutionId>, Stop> {
    let lane = LaneId::try_new("last").map_err(EngineError::from)?;
    let last = ExecutionId::solo(&lane, PartitionConfig::default());
    let namespace = Namespace::try_new("kill").map_err(EngineError::from)?;
    client.create_execution(CreateExecutionArgs::new(last, namespace, lane, "last")).await?;
    client.cancel_execution(CancelExecutionArgs::new(last, "last")).await?;
    let mut feed = CompletionEvent::subscribe(client, &StreamCursor::Start, &ScannerFilter::new()).await?;
    let mut ended = BTreeSet::new();
    let read = async {
        while let Some(delivered) = feed.next().await {
            let id = delivered?.event.execution_id;
            if id == last {
                break;
            }
            ended.insert(id);
        }
        Ok::<_, EngineError>(())
    };
    let late = |_| Stop::Errored(format!("the events did not come within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, read).await.map_err(late)??;
    Ok(ended)
}
