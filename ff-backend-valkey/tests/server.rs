//! What only a server can show of this backend: preparation, key names, the error table, atomic steps by hand.

#[cfg(test)]
mod support;

use std::time::Duration;

use ff_core::{
    Attempts, CapabilitySet, ClaimPolicy, Claims, CreateExecutionArgs, EngineBackend, ExecutionId, Executions, Handle,
    HandleKind, LaneId, Leases, Namespace, PartitionConfig, PublicState, WorkerId, WorkerInstanceId,
};
use support::Server;

fn lane() -> LaneId {
    LaneId::try_new("mail").unwrap()
}

fn args() -> CreateExecutionArgs {
    let id = ExecutionId::solo(&lane(), PartitionConfig::default());
    CreateExecutionArgs::new(id, Namespace::try_new("tests").unwrap(), lane(), "send")
}

async fn claim(backend: &dyn EngineBackend, ttl: Duration) -> Option<Handle> {
    let worker = WorkerId::try_new("w").unwrap();
    let policy = ClaimPolicy::new(worker, WorkerInstanceId::try_new("w-1").unwrap(), ttl);
    backend.claim(&lane(), &CapabilitySet::default(), policy).await.unwrap()
}

#[tokio::test]
async fn one_execution_goes_through_its_life() {
    let server = Server::new().await;
    let backend = server.backend().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let args = args().input_payload(every_byte.clone()).tag("team.name", "blue");
    let id = args.execution_id;
    backend.create_execution(args).await.unwrap();
    let handle = claim(&*backend, Duration::from_secs(30)).await.unwrap();
    assert_eq!(handle.kind(), HandleKind::Fresh);
    assert!(claim(&*backend, Duration::from_secs(30)).await.is_none());
    backend.progress(&handle, Some(50), Some("half".to_owned())).await.unwrap();
    backend.renew(&handle).await.unwrap();
    backend.complete(&handle, Some(every_byte.clone())).await.unwrap();
    backend.complete(&handle, None).await.unwrap();
    assert_eq!(backend.read_execution_state(&id).await.unwrap(), Some(PublicState::Completed));
    assert_eq!(backend.get_execution_result(&id).await.unwrap(), Some(every_byte.clone()));
    let info = backend.read_execution_info(&id).await.unwrap().unwrap();
    assert_eq!(info.input_payload, every_byte);
    assert!(info.state.is_legal());
    let snapshot = backend.describe_execution(&id).await.unwrap().unwrap();
    assert_eq!(snapshot.tags.get("team.name").map(String::as_str), Some("blue"));
}
