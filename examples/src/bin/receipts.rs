//! A producer and a worker on the store of your choice: `receipts [memory | postgres://… | redis://…]`.

use std::{error::Error, sync::Arc, time::Duration};

use ff_backend_memory::MemoryBackend;
use ff_backend_postgres::PostgresBackend;
use ff_backend_valkey::ValkeyBackend;
use ff_core::{
    BackendConfig, CapabilitySet, ClaimPolicy, CreateExecutionArgs, EngineBackend, ExecutionId, ExecutionPolicy,
    FailureClass, FailureReason, LaneId, Namespace, PartitionConfig, RetryPolicy, WorkerId, WorkerInstanceId,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let engine = open(std::env::args().nth(1).as_deref().unwrap_or("memory")).await?;
    engine.prepare().await?;
    println!("on {}", engine.backend_label());

    let lane = LaneId::try_new("receipts")?;
    for order in 1..=3 {
        let id = ExecutionId::solo(&lane, PartitionConfig::default());
        let args = CreateExecutionArgs::new(id, Namespace::try_new("shop")?, lane.clone(), "send_receipt")
            .input_payload(format!("order {order}"))
            .idempotency_key(format!("receipt-{order}-{id}"))
            .policy(ExecutionPolicy::new().retry(RetryPolicy::default()));
        engine.create_execution(args).await?;
    }
    work(&*engine, &lane).await?;
    engine.shutdown_prepare(Duration::from_secs(5)).await?;
    Ok(())
}

/// The only line of a program that knows its store.
async fn open(place: &str) -> Result<Arc<dyn EngineBackend>, Box<dyn Error>> {
    if place == "memory" {
        return Ok(Arc::new(MemoryBackend::new()));
    }
    if place.starts_with("postgres") {
        return Ok(PostgresBackend::connect(BackendConfig::postgres(place)).await?);
    }
    Ok(ValkeyBackend::connect(BackendConfig::valkey(place)).await?)
}

/// Takes work until none has come for a second.
async fn work(engine: &dyn EngineBackend, lane: &LaneId) -> Result<(), Box<dyn Error>> {
    let worker =
        ClaimPolicy::new(WorkerId::try_new("mailer")?, WorkerInstanceId::try_new("mailer-1")?, Duration::from_secs(30))
            .max_wait(Duration::from_secs(1));
    while let Some(handle) = engine.claim(lane, &CapabilitySet::default(), worker.clone()).await? {
        let id = handle.decode(engine.backend_label())?.execution_id;
        let Some(info) = engine.read_execution_info(&id).await? else { continue };
        let order = String::from_utf8_lossy(&info.input_payload).into_owned();
        if info.retry_count == 0 && order.ends_with('2') {
            let outcome =
                engine.fail(&handle, FailureReason::new("mail server is busy"), FailureClass::Transient).await?;
            println!("{order}: {outcome:?}");
        } else {
            engine.complete(&handle, Some(b"sent".to_vec())).await?;
            println!("{order}: sent");
        }
    }
    Ok(())
}
