//! Kills a server under load and counts what it had acknowledged and lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ff_backend_postgres::PostgresBackend;
use ff_backend_valkey::ValkeyBackend;
use ff_core::{
    BackendConfig, CapabilitySet, ClaimPolicy, CompletionEvent, CreateExecutionArgs, Durability, EngineBackend,
    EngineError, ExecutionId, Handle, LaneId, LifecyclePhase, Namespace, PartitionConfig, ScannerFilter, StreamCursor,
    WorkerId, WorkerInstanceId,
};
use futures::StreamExt;

use crate::{
    HarnessError,
    feeds::Family,
    servers::{Kind, MortalServer, WriteThrough},
};

/// Clients that work while the server is killed.
const CLIENTS: usize = 6;
/// Acknowledged calls without which a kill says nothing.
const LEAST: usize = 200;
/// How long the load may take to acknowledge so many.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a kill came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Kill {
    /// What the backend declared of its durability before the kill, as it read it from the server.
    pub declared: Durability,
    /// The settings that it follows from, as the server told them.
    pub settings: BTreeMap<String, String>,
    /// Calls that were acknowledged before the kill.
    pub acknowledged: usize,
    /// What of that is gone, each in words.
    pub lost: Vec<String>,
    /// What is there by half, each in words: an end without its event, or an event without its end.
    pub torn: Vec<String>,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { declared, settings, acknowledged, lost, torn } = self;
        write!(f, "{declared:?} by {settings:?}: of {acknowledged} acknowledged calls ")?;
        write!(f, "{} lost, {} torn", lost.len(), torn.len())?;
        lost.iter().chain(torn).take(5).try_for_each(|sentence| write!(f, "\n  {sentence}"))
    }
}

/// What clients were told.
#[derive(Debug, Default)]
struct Acknowledged {
    created: BTreeSet<ExecutionId>,
    claimed: BTreeMap<ExecutionId, u64>,
    completed: BTreeSet<ExecutionId>,
}

impl Acknowledged {
    fn count(&self) -> usize {
        self.created.len() + self.claimed.len() + self.completed.len()
    }
}

/// Starts a server, lets clients create, claim and complete, kills it in the midst of that, starts it again, and looks.
///
/// # Errors
/// If the server cannot be started, or too little was acknowledged for a verdict.
pub async fn kill_under_load(kind: Kind, through: WriteThrough) -> Result<Kill, HarnessError> {
    let mut server = MortalServer::start(kind, through).await?;
    let judged = judged(&mut server, kind).await;
    server.remove().await;
    judged
}

async fn judged(server: &mut MortalServer, kind: Kind) -> Result<Kill, HarnessError> {
    if kind == Kind::Postgres {
        PostgresBackend::migrate(&BackendConfig::postgres(&server.url)).await?;
    }
    let first = connect(kind, &server.url).await?;
    first.prepare().await?;
    let declared = first.capabilities().properties.durability;
    let settings = server.facts().await?.settings;
    let told = Arc::new(Mutex::new(Acknowledged::default()));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut load = Vec::new();
    for number in 0..CLIENTS {
        let client = connect(kind, &server.url).await?;
        load.push(tokio::spawn(work(client, number, Arc::clone(&told), Arc::clone(&is_over))));
    }
    let count = || told.lock().unwrap_or_else(PoisonError::into_inner).count();
    let enough = async {
        while count() < LEAST {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, enough).await;
    server.kill().await?;
    is_over.store(true, Ordering::Release);
    for client in load {
        // A client that was cut off ended with the call that it had under way.
        let _ended = client.await;
    }
    if came.is_err() {
        let text = format!("{} calls were acknowledged within {PATIENCE:?}, which says nothing", count());
        return Err(HarnessError::new(text));
    }
    server.restart().await?;
    let survivor = connect(kind, &server.url).await?;
    survivor.prepare().await?;
    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    let mut kill = Kill { declared, settings, acknowledged: told.count(), lost: Vec::new(), torn: Vec::new() };
    look(&survivor, &told, &mut kill).await?;
    Ok(kill)
}

async fn connect(kind: Kind, url: &str) -> Result<Arc<dyn EngineBackend>, EngineError> {
    Ok(match kind {
        Kind::Postgres => PostgresBackend::connect(BackendConfig::postgres(url)).await?,
        Kind::Valkey => ValkeyBackend::connect(BackendConfig::valkey(url)).await?,
    })
}

/// Creates, claims and completes until a call fails or the load is over.
async fn work(
    client: Arc<dyn EngineBackend>,
    number: usize,
    told: Arc<Mutex<Acknowledged>>,
    is_over: Arc<AtomicBool>,
) -> Result<(), EngineError> {
    let lane = LaneId::try_new("kill")?;
    let label = client.backend_label();
    let tell = |note: &dyn Fn(&mut Acknowledged)| note(&mut told.lock().unwrap_or_else(PoisonError::into_inner));
    while !is_over.load(Ordering::Acquire) {
        let id = ExecutionId::solo(&lane, PartitionConfig::default());
        client
            .create_execution(CreateExecutionArgs::new(id, Namespace::try_new("kill")?, lane.clone(), "work"))
            .await?;
        tell(&|told| told.created.extend([id]));
        let process = WorkerInstanceId::try_new(format!("w-{number}"))?;
        let policy = ClaimPolicy::new(WorkerId::try_new("w")?, process, Duration::from_secs(600));
        let Some(handle): Option<Handle> = client.claim(&lane, &CapabilitySet::default(), policy).await? else {
            continue;
        };
        let held = handle.decode(label)?;
        tell(&|told| told.claimed.extend([(held.execution_id, held.fence.lease_epoch.0)]));
        client.complete(&handle, None).await?;
        tell(&|told| told.completed.extend([held.execution_id]));
    }
    Ok(())
}

/// Compares what was acknowledged with what is there.
async fn look(client: &Arc<dyn EngineBackend>, told: &Acknowledged, kill: &mut Kill) -> Result<(), EngineError> {
    let ended = completions(client).await?;
    for id in &told.created {
        let Some(info) = client.read_execution_info(id).await? else {
            kill.lost.push(format!("{id} was created, and is gone"));
            continue;
        };
        let epoch = info.current_lease_epoch.0;
        if told.claimed.get(id).is_some_and(|claimed| epoch < *claimed) {
            kill.lost.push(format!("{id} was claimed, and is not"));
        }
        let has_ended = info.state.lifecycle_phase == LifecyclePhase::Terminal;
        if told.completed.contains(id) && !has_ended {
            kill.lost.push(format!("{id} was completed, and is not"));
        }
        if has_ended != ended.contains(id) {
            kill.torn.push(format!("{id}: ended {has_ended}, told {}", ended.contains(id)));
        }
    }
    Ok(())
}

/// Everything that is told to have ended.
async fn completions(client: &Arc<dyn EngineBackend>) -> Result<BTreeSet<ExecutionId>, EngineError> {
    let mut feed = CompletionEvent::subscribe(client, &StreamCursor::Start, &ScannerFilter::new()).await?;
    let mut ended = BTreeSet::new();
    while let Ok(Some(delivered)) = tokio::time::timeout(Duration::from_secs(2), feed.next()).await {
        ended.insert(delivered?.event.execution_id);
    }
    Ok(ended)
}
