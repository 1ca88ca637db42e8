//! The life of an execution, as a user with no more rights than it needs lives it.

use std::{error::Error, time::Duration};

use ff_core::{
    CapabilitySet, ClaimPolicy, CreateExecutionArgs, EngineBackend, EngineError, ExecutionId, FailureClass,
    FailureReason, LaneId, Namespace, PageLimit, PartitionConfig, PublicState, WorkerId, WorkerInstanceId,
};

/// What a test comes to.
pub(crate) type Tried<T = ()> = Result<T, Box<dyn Error>>;

/// Creates an execution of a lane.
pub(crate) async fn create(engine: &dyn EngineBackend) -> Result<ExecutionId, EngineError> {
    let lane = lane();
    let id = ExecutionId::solo(&lane, PartitionConfig::default());
    let namespace = Namespace::try_new("connections")?;
    let args = CreateExecutionArgs::new(id, namespace, lane, "work").tag("team.name", "blue");
    engine.create_execution(args.idempotency_key(id.to_string())).await?;
    Ok(id)
}

/// Creates, claims, renews, reads and ends.
pub(crate) async fn live(engine: &dyn EngineBackend) -> Tried {
    let id = create(engine).await?;
    let policy = ClaimPolicy::new(WorkerId::try_new("w")?, WorkerInstanceId::try_new("w-1")?, Duration::from_secs(30));
    let handle = engine.claim(&lane(), &CapabilitySet::default(), policy).await?.ok_or("nothing to claim")?;
    engine.renew(&handle).await?;
    engine.progress(&handle, Some(50), None).await?;
    engine.describe_execution(&id).await?.ok_or("no execution")?;
    engine.list_executions(None, PageLimit::new(10)?).await?;
    engine.list_lanes(None, PageLimit::new(10)?).await?;
    engine.fail(&handle, FailureReason::new("nothing to do"), FailureClass::Permanent).await?;
    assert_eq!(engine.read_execution_state(&id).await?, Some(PublicState::Failed));
    Ok(())
}

/// The code of a refusal, with its words.
pub(crate) fn refusal<T>(answer: Result<T, EngineError>) -> (String, String) {
    answer.map_or_else(|error| (error.code(), error.to_string()), |_| ("Ok".to_owned(), String::new()))
}

#[expect(clippy::expect_used, reason = "the name is a constant")]
fn lane() -> LaneId {
    LaneId::try_new("mail").expect("a lane")
}
