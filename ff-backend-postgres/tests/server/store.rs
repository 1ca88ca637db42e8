//! What a client finds: a store that is missing, too new, too old, damaged, or not as its pool says.

use std::time::Duration;

use ff_backend_postgres::PostgresBackend;
use ff_core::{
    Applied, AttemptPhase, AttemptState, AttemptType, BackendConfig, BackendConnection, BlockingReason,
    CreateExecutionArgs, EligibilityState, EngineError, ExecutionId, Executions, LaneId, LifecyclePhase, Namespace,
    OwnershipState, PartitionConfig, PrepareOutcome, TerminalOutcome, TransportKind, ValidationKind,
};
use sqlx::{PgPool, Row, postgres::PgPoolOptions};
use uuid::Uuid;

use crate::database::{Database, rows, run};

fn detail(error: &EngineError) -> &str {
    match error {
        EngineError::Validation { kind: ValidationKind::InvalidInput, detail } => detail,
        other => panic!("{other:?}"),
    }
}

async fn refusal(config: BackendConfig) -> EngineError {
    PostgresBackend::connect(config).await.err().expect("the store does not fit")
}

/// A pool of the test's own, as a program has one.
fn pool(database: &Database, settings: &[(&str, &str)]) -> PgPool {
    PgPoolOptions::new().max_connections(2).connect_lazy_with(database.options().options(settings.iter().copied()))
}

fn args() -> CreateExecutionArgs {
    let lane = LaneId::try_new("lane").unwrap();
    let id = ExecutionId::solo(&lane, PartitionConfig::default());
    CreateExecutionArgs::new(id, Namespace::try_new("ns").unwrap(), lane, "kind")
}

#[tokio::test]
async fn a_configuration_of_another_backend_is_unavailable() {
    let config = BackendConfig::valkey("redis://127.0.0.1");
    assert_eq!(refusal(config.clone()).await.code(), "Unavailable(connect)");
    assert_eq!(PostgresBackend::migrate(&config).await.unwrap_err().code(), "Unavailable(connect)");
}

#[tokio::test]
async fn a_store_without_the_schema_names_the_command_to_run() {
    let database = Database::empty().await;
    let error = refusal(database.config()).await;
    assert!(detail(&error).contains("ff-conformance migrate --url"), "{error}");
    let backend =
        PostgresBackend::from_pool(pool(&database, &PostgresBackend::SESSION_SETTINGS), PartitionConfig::default());
    let error = Executions::create_execution(&*backend, args()).await.unwrap_err();
    assert!(detail(&error).contains("sqlx migrate run"), "{error}");
    drop(backend);
    database.drop().await;
}

#[tokio::test]
async fn only_the_first_of_many_migrations_at_once_applies() {
    let database = Database::empty().await;
    let mut config = database.config();
    if let BackendConnection::Postgres(connection) = &mut config.connection {
        connection.schema = "an \"odd\" schema".to_owned();
    }
    let (a, b, c) = tokio::join!(
        PostgresBackend::migrate(&config),
        PostgresBackend::migrate(&config),
        PostgresBackend::migrate(&config)
    );
    let applied = [a, b, c].map(|outcome| outcome.unwrap() != PrepareOutcome::NoOp);
    assert_eq!(applied.iter().filter(|applied| **applied).count(), 1);
    let backend = PostgresBackend::connect(config).await.unwrap();
    assert_eq!(backend.prepare().await.unwrap(), PrepareOutcome::NoOp);
    backend.shutdown_prepare(Duration::from_secs(5)).await.unwrap();
    database.drop().await;
}

#[tokio::test]
async fn a_store_that_is_too_new_or_too_old_is_refused() {
    let database = Database::migrated().await;
    let mut session = database.session().await;
    let backend = PostgresBackend::connect(database.config()).await.unwrap();

    run(&mut session, "UPDATE store SET version = 0, oldest_client = 0".to_owned()).await;
    let error = refusal(database.config()).await;
    assert!(detail(&error).contains("ff-conformance migrate"), "{error}");
    assert_eq!(backend.prepare().await.unwrap_err(), error);

    run(&mut session, "UPDATE store SET version = 9, oldest_client = 7".to_owned()).await;
    let error = refusal(database.config()).await;
    assert!(detail(&error).contains("for schema 7 or later"), "{error}");

    run(&mut session, "UPDATE store SET version = 9, oldest_client = 1".to_owned()).await;
    assert!(PostgresBackend::connect(database.config()).await.is_ok());
    database.drop().await;
}

#[tokio::test]
async fn a_store_keeps_its_number_of_partitions() {
    let database = Database::migrated().await;
    let other = database.config().partitions(PartitionConfig::new(4).unwrap());
    let error = refusal(other).await;
    assert!(detail(&error).contains("configure 1"), "{error}");
    database.drop().await;
}

#[tokio::test]
async fn a_pool_with_another_isolation_is_refused_and_ours_works() {
    let database = Database::migrated().await;
    let strict = pool(&database, &[("default_transaction_isolation", "serializable")]);
    let backend = PostgresBackend::from_pool(strict, PartitionConfig::default());
    let error = Executions::create_execution(&*backend, args()).await.unwrap_err();
    assert!(detail(&error).contains("serializable"), "{error}");

    let backend = PostgresBackend::from_pool(pool(&database, &[]), PartitionConfig::default());
    let args = args();
    let id = backend.create_execution(args.clone()).await.unwrap();
    assert_eq!(id, args.execution_id);
    assert_eq!(backend.create_execution(args).await.unwrap(), id);
    assert!(!backend.pool().is_closed());
    database.drop().await;
}

#[tokio::test]
async fn the_tables_know_the_words_of_the_contract() {
    fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
        all.iter().map(|value| word(*value)).collect()
    }
    let database = Database::migrated().await;
    let mut session = database.session().await;
    for (name, contract) in [
        ("lifecycle_phase", words(LifecyclePhase::ALL, LifecyclePhase::as_str)),
        ("ownership_state", words(OwnershipState::ALL, OwnershipState::as_str)),
        ("eligibility_state", words(EligibilityState::ALL, EligibilityState::as_str)),
        ("blocking_reason", words(BlockingReason::ALL, BlockingReason::as_str)),
        ("terminal_outcome", words(TerminalOutcome::ALL, TerminalOutcome::as_str)),
        ("attempt_state", words(AttemptState::ALL, AttemptState::as_str)),
        ("attempt_type", words(AttemptType::ALL, AttemptType::as_str)),
        ("attempt_phase", words(AttemptPhase::ALL, AttemptPhase::as_str)),
    ] {
        let stored = rows(&mut session, format!("SELECT enum_range(NULL::ff_{name})::text[]")).await;
        assert_eq!(stored[0].get::<Vec<String>, _>(0), contract, "{name}");
    }
    database.drop().await;
}

/// As the engine stores them: see the tests of `id.rs`.
#[tokio::test]
async fn people_translate_ids_in_the_tables() {
    let database = Database::migrated().await;
    let mut session = database.session().await;
    for (partition, stands) in [(0, "0fffff"), (10, "10ffff"), (65_535, "65535f")] {
        let id = ExecutionId::from_parts(partition, Uuid::max()).to_string();
        let told = format!("SELECT encode(ff_id('{id}'), 'hex'), ff_id_text(ff_id('{id}'))");
        let row = rows(&mut session, told).await.remove(0);
        assert_eq!(row.get::<String, _>(0), format!("{stands}{}", "f".repeat(32)));
        assert_eq!(row.get::<String, _>(1), id);
    }
    database.drop().await;
}

#[tokio::test]
async fn damaged_rows_are_corruption() {
    let database = Database::migrated().await;
    let mut session = database.session().await;
    let backend = PostgresBackend::connect(database.config()).await.unwrap();
    run(&mut session, "ALTER TYPE ff_lifecycle_phase ADD VALUE 'asleep'".to_owned()).await;
    for damage in [
        "lifecycle_phase = 'asleep'",
        "lane_id = ''",
        "retry_count = -1",
        "progress_percent = 300, progress_updated_at = 1",
        "lease_id = gen_random_uuid()",
        "id = 'x'",
    ] {
        let args = args();
        let id = args.execution_id;
        backend.create_execution(args).await.unwrap();
        run(&mut session, format!("UPDATE executions SET {damage} WHERE id = ff_id('{id}')")).await;
        if damage == "id = 'x'" {
            let page = backend.list_executions(None, ff_core::PageLimit::MAX).await.unwrap_err();
            assert_eq!(page.code(), "Validation(Corruption)", "{damage}");
        } else {
            let error = backend.describe_execution(&id).await.unwrap_err();
            assert_eq!(error.code(), "Validation(Corruption)", "{damage}: {error}");
        }
    }
    database.drop().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_a_connection_that_was_not_made() {
    let database = Database::empty().await;
    // A port that was free a moment ago and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut config = BackendConfig::postgres(format!("postgres://nobody@127.0.0.1:{port}/none"));
    config.timeouts.acquire = Duration::from_millis(200);
    let EngineError::Transport(fault) = refusal(config).await else { panic!("a transport fault") };
    assert_eq!((fault.kind, fault.applied), (TransportKind::Connection, Applied::No));
    database.drop().await;
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_told_apart() {
    let database = Database::empty().await;
    let url = database.config();
    let BackendConnection::Postgres(connection) = &url.connection else { panic!("postgres") };
    let url = connection.url.expose().to_owned();
    let missing = url.replace("ffc_crate_", "ffc_missing_");
    let EngineError::Transport(fault) = refusal(BackendConfig::postgres(missing)).await else { panic!("a fault") };
    assert_eq!((fault.kind, fault.applied), (TransportKind::NotPrepared, Applied::No));
    let stranger = BackendConfig::postgres(format!("{url}&user=ffc_nobody&password=wrong").replacen("?&", "?", 1));
    let error = refusal(stranger).await;
    assert_eq!(error.code(), "Transport(Auth, No)", "{error}");
    database.drop().await;
}

#[test]
fn a_backend_may_outlive_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (database, backend) = runtime.block_on(async {
        let database = Database::migrated().await;
        let backend = PostgresBackend::connect(database.config()).await.unwrap();
        Executions::create_execution(&*backend, args()).await.unwrap();
        (database, backend)
    });
    drop(runtime);
    drop(backend);
    tokio::runtime::Runtime::new().unwrap().block_on(database.drop());
}
