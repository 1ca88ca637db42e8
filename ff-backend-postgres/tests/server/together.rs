//! Ends of one process that go together, and batches: each has its own answer, and none holds up another.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ff_backend_postgres::PostgresBackend;
use ff_core::{
    CapabilitySet, ClaimPolicy, ContentionKind, CreateExecutionArgs, EngineBackend, EngineError, ExecutionId, Handle,
    LaneId, Namespace, PageLimit, PartitionConfig, WorkerId, WorkerInstanceId,
};
use sqlx::{Connection, Row};
use tokio::task::JoinHandle;

use crate::database::{Database, rows, run};

/// Long enough for a few statements on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn worker() -> ClaimPolicy {
    let instance = WorkerInstanceId::try_new("worker-1").unwrap();
    ClaimPolicy::new(WorkerId::try_new("worker").unwrap(), instance, Duration::from_secs(600))
}

/// A backend, so many executions in a lane, and the leases of the first of them.
async fn held(database: &Database, executions: u32, leases: u32) -> (Arc<dyn EngineBackend>, Vec<Handle>) {
    let backend = PostgresBackend::connect(database.config()).await.unwrap();
    let (lane, namespace) = (LaneId::try_new("lane").unwrap(), Namespace::try_new("ns").unwrap());
    for _ in 0..executions {
        let id = ExecutionId::solo(&lane, PartitionConfig::default());
        let args = CreateExecutionArgs::new(id, namespace.clone(), lane.clone(), "kind");
        backend.create_execution(args).await.unwrap();
    }
    let limit = PageLimit::new(leases).unwrap();
    let handles = backend.claim_many(&lane, &CapabilitySet::default(), worker(), limit).await.unwrap();
    assert_eq!(handles.len(), usize::try_from(leases).unwrap());
    (backend, handles)
}

fn id(handle: &Handle) -> ExecutionId {
    handle.decode("postgres").unwrap().execution_id
}

fn hand_over(backend: &Arc<dyn EngineBackend>, handle: &Handle) -> JoinHandle<Result<Option<Handle>, EngineError>> {
    let (backend, handle) = (Arc::clone(backend), handle.clone());
    tokio::spawn(async move { backend.complete_and_claim(&handle, None, &CapabilitySet::default(), worker()).await })
}

fn complete(backend: &Arc<dyn EngineBackend>, handle: &Handle) -> JoinHandle<Result<(), EngineError>> {
    let (backend, handle) = (Arc::clone(backend), handle.clone());
    tokio::spawn(async move { backend.complete(&handle, Some(b"done".to_vec())).await })
}

async fn count(database: &Database, statement: &str) -> i64 {
    rows(&mut database.session().await, statement.to_owned()).await[0].get(0)
}

#[tokio::test]
async fn hand_overs_at_once_have_their_own_answers() {
    let database = Database::migrated().await;
    let (backend, handles) = held(&database, 24, 12).await;
    let (first, rest) = handles.split_first().unwrap();
    let (last, rest) = rest.split_last().unwrap();
    backend.complete(first, None).await.unwrap();
    backend.cancel(last, "enough").await.unwrap();
    // One is a repeat, one comes twice, one is refused.
    let calls: Vec<_> =
        [first, &rest[0], last].into_iter().chain(rest).map(|handle| hand_over(&backend, handle)).collect();
    let mut taken = BTreeSet::new();
    for (place, call) in calls.into_iter().enumerate() {
        match call.await.unwrap() {
            Ok(next) => assert!(taken.insert(id(&next.unwrap()))),
            Err(EngineError::Contention(ContentionKind::ExecutionNotActive { .. })) => assert_eq!(place, 2),
            Err(other) => panic!("{place}: {other}"),
        }
    }
    assert_eq!(taken.len(), 12);
    assert!(handles.iter().all(|handle| !taken.contains(&id(handle))));
    assert_eq!(count(&database, "SELECT count(*) FROM completion_events WHERE outcome = 'success'").await, 11);
    assert_eq!(count(&database, "SELECT count(*) FROM lease_events WHERE kind = 'acquired'").await, 24);
    assert_eq!(count(&database, "SELECT count(*) FROM lease_events WHERE reason = 'completed'").await, 11);
    assert_eq!(count(&database, "SELECT count(*) FROM attempts WHERE phase = 'ended_success'").await, 11);
    database.drop().await;
}

#[tokio::test]
async fn batches_at_once_share_what_there_is() {
    let database = Database::migrated().await;
    let (backend, mut handles) = held(&database, 60, 1).await;
    let lane = LaneId::try_new("lane").unwrap();
    loop {
        let claim = |most| {
            let (backend, lane, limit) = (Arc::clone(&backend), lane.clone(), PageLimit::new(most).unwrap());
            tokio::spawn(
                async move { backend.claim_many(&lane, &CapabilitySet::default(), worker(), limit).await.unwrap() },
            )
        };
        let before = handles.len();
        for (call, most) in [7, 1, 0, 9, 500, 3].map(|most| (claim(most), most)) {
            let batch = call.await.unwrap();
            assert!(batch.len() <= usize::try_from(most).unwrap());
            handles.extend(batch);
        }
        if handles.len() == before {
            break;
        }
    }
    assert_eq!(handles.iter().map(id).collect::<BTreeSet<_>>().len(), 60);
    assert_eq!(handles.len(), 60);
    assert_eq!(count(&database, "SELECT count(*) FROM lease_events WHERE kind = 'acquired'").await, 60);
    for handle in &handles {
        backend.complete(handle, None).await.unwrap();
    }
    database.drop().await;
}

#[tokio::test]
async fn an_execution_that_somebody_holds_holds_up_no_other_end() {
    let database = Database::migrated().await;
    let (backend, handles) = held(&database, 24, 12).await;
    let mut session = database.session().await;
    let mut other = session.begin().await.unwrap();
    let waits = &handles[5];
    run(&mut other, format!("SELECT FROM executions WHERE id = ff_id('{}') FOR UPDATE", id(waits))).await;
    let waiting = complete(&backend, waits);
    let ends: Vec<_> = handles[..5].iter().map(|handle| complete(&backend, handle)).collect();
    let waiting_too = hand_over(&backend, waits);
    let hand_overs: Vec<_> = handles[6..].iter().map(|handle| hand_over(&backend, handle)).collect();
    let others = async {
        for end in ends {
            end.await.unwrap().unwrap();
        }
        for next in hand_overs {
            assert!(next.await.unwrap().unwrap().is_some());
        }
    };
    tokio::time::timeout(PATIENCE, others).await.unwrap();
    assert!(!waiting.is_finished() && !waiting_too.is_finished());
    other.rollback().await.unwrap();
    waiting.await.unwrap().unwrap();
    assert!(waiting_too.await.unwrap().unwrap().is_some());
    assert_eq!(count(&database, "SELECT count(*) FROM completion_events WHERE outcome = 'success'").await, 12);
    database.drop().await;
}
