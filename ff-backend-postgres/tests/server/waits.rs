//! A claim that waits, and work that was being written when it began to.

use std::time::Duration;

use ff_backend_postgres::PostgresBackend;
use ff_core::{
    CapabilitySet, ClaimPolicy, CreateExecutionArgs, ExecutionId, LaneId, Namespace, PartitionConfig, WorkerId,
    WorkerInstanceId,
};
use sqlx::Row;

use crate::database::{Database, rows, run, until_waiting};

/// Shorter than a claim takes that is not woken.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn work_that_was_being_written_when_a_claim_began_to_wait_is_found_soon() {
    let database = Database::migrated().await;
    let mut gate = database.session().await;
    let pid = rows(&mut gate, "SELECT pg_backend_pid()".to_owned()).await[0].get(0);
    let key = "BEGIN; INSERT INTO idempotency_keys (namespace, key, execution_id, expires_at) \
        VALUES ('ns', 'key', 'another', 9e15::bigint)";
    run(&mut gate, key.to_owned()).await;
    let lane = LaneId::try_new("lane").unwrap();
    let id = ExecutionId::solo(&lane, PartitionConfig::default());
    let args = CreateExecutionArgs::new(id, Namespace::try_new("ns").unwrap(), lane.clone(), "kind");
    let creator = PostgresBackend::connect(database.config()).await.unwrap();
    let create = tokio::spawn(async move { creator.create_execution(args.idempotency_key("key")).await });
    let mut session = database.session().await;
    until_waiting(&mut session, pid).await;

    let claimer = PostgresBackend::connect(database.config()).await.unwrap();
    let policy =
        ClaimPolicy::new(WorkerId::try_new("worker").unwrap(), WorkerInstanceId::try_new("worker-1").unwrap(), SOON);
    let claim = tokio::spawn(async move {
        claimer.claim(&lane, &CapabilitySet::default(), policy.max_wait(Duration::from_secs(60))).await
    });
    until_it_has_looked(&mut session).await;
    run(&mut gate, "ROLLBACK".to_owned()).await;

    create.await.unwrap().unwrap();
    let claimed = tokio::time::timeout(SOON, claim).await.expect("the claim sleeps beside work").unwrap();
    assert!(claimed.unwrap().is_some());
    database.drop().await;
}

/// Until a claim has entered the lane and has looked once more.
async fn until_it_has_looked(session: &mut sqlx::PgConnection) {
    let asked = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND state = 'idle' AND query LIKE '-- claim_many:%'";
    while rows(session, asked.to_owned()).await[0].get::<i64, _>(0) == 0 {
        tokio::task::yield_now().await;
    }
}
