//! Subscriptions and waiting claims beside what the contract cannot make: late commits, strangers, removed events, lost
//! wake-ups.

use std::{sync::Arc, time::Duration};

use ff_backend_postgres::PostgresBackend;
use ff_core::{
    CancelExecutionArgs, CapabilitySet, ClaimPolicy, CompleteArgs, CompletionEvent, CreateExecutionArgs, Delivered,
    EngineBackend, EngineError, ExecutionId, FailOutcome, FailureClass, FailureReason, Handle, LaneId, Namespace,
    PartitionConfig, PrepareOutcome, ScannerFilter, StreamCursor, Subscription, WorkerId, WorkerInstanceId,
};
use futures::StreamExt;
use sqlx::{PgConnection, Row};

use crate::database::{Database, rows, run};

/// Long enough for any event, short enough for a test that fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an event that somebody's open transaction does not hold up takes at most, with a busy machine's share.
const SOON: Duration = Duration::from_secs(3);

/// How long a subscription is watched that must not deliver.
const QUIET: Duration = Duration::from_millis(1500);

async fn backend(database: &Database) -> Arc<dyn EngineBackend> {
    PostgresBackend::connect(database.config()).await.unwrap()
}

async fn completions(backend: &Arc<dyn EngineBackend>, cursor: StreamCursor) -> Subscription<CompletionEvent> {
    backend.subscribe_completion(cursor, &ScannerFilter::new()).await.unwrap()
}

/// Writes the completion of the execution called `n`, as an operation does: its id is drawn in the transaction.
fn told(n: u32, at: i64) -> String {
    format!(
        "INSERT INTO completion_events (at, execution_id, namespace, outcome) \
         VALUES ({at}, ff_id('{{fp:0}}:00000000-0000-4000-8000-{n:012}'), 'ns', 'success')"
    )
}

/// The number that `told` gave.
fn number(delivered: &Delivered<CompletionEvent>) -> u32 {
    delivered.event.execution_id.to_string().rsplit('-').next().unwrap().parse().unwrap()
}

async fn next(feed: &mut Subscription<CompletionEvent>, limit: Duration) -> Option<Delivered<CompletionEvent>> {
    tokio::time::timeout(limit, feed.next()).await.ok().map(|item| item.unwrap().unwrap())
}

async fn numbers(feed: &mut Subscription<CompletionEvent>, count: usize) -> Vec<u32> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.extend(next(feed, PATIENCE).await.iter().map(number));
    }
    found
}

#[tokio::test]
async fn a_small_id_that_is_committed_late_is_delivered() {
    let database = Database::migrated().await;
    let backend = backend(&database).await;
    let (mut late, mut quick) = (database.session().await, database.session().await);
    let mut feed = completions(&backend, StreamCursor::End).await;

    run(&mut late, format!("BEGIN; {}", told(1, 1))).await;
    run(&mut quick, told(2, 1)).await;
    let second = next(&mut feed, SOON).await.unwrap();
    assert_eq!(number(&second), 2);
    // Behind the second event, and with a step between in which only others were seen.
    run(&mut quick, told(3, 1)).await;
    assert_eq!(numbers(&mut feed, 1).await, [3]);
    run(&mut late, "COMMIT".to_owned()).await;
    assert_eq!(numbers(&mut feed, 1).await, [1]);

    let mut resumed = completions(&backend, second.cursor).await;
    let mut rest = numbers(&mut resumed, 2).await;
    rest.sort_unstable();
    assert_eq!(rest, [1, 3]);
    let mut all = numbers(&mut completions(&backend, StreamCursor::Start).await, 3).await;
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3]);
    database.drop().await;
}

/// An id that the sequence gave before the newest one seen, of a transaction that the snapshot does not list as open
/// because no later one had ended.
#[tokio::test]
async fn an_id_of_a_transaction_above_the_snapshot_is_delivered() {
    let database = Database::migrated().await;
    let backend = backend(&database).await;
    let (mut first, mut last) = (database.session().await, database.session().await);
    run(&mut first, "BEGIN; SELECT pg_current_xact_id()".to_owned()).await;
    run(&mut last, format!("BEGIN; {}", told(1, 1))).await;
    run(&mut first, format!("{}; COMMIT", told(2, 1))).await;
    let mut feed = completions(&backend, StreamCursor::End).await;
    let mut from_start = completions(&backend, StreamCursor::Start).await;
    assert_eq!(numbers(&mut from_start, 1).await, [2]);
    run(&mut last, "COMMIT".to_owned()).await;
    assert_eq!(numbers(&mut feed, 1).await, [1]);
    assert_eq!(numbers(&mut from_start, 1).await, [1]);
    database.drop().await;
}

#[tokio::test]
async fn a_transaction_that_waits_for_its_second_execution_loses_nothing_and_keeps_the_order() {
    let database = Database::migrated().await;
    let backend = backend(&database).await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        sessions.push(database.session().await);
    }
    let [waits, holds] = sessions.as_mut_slice() else { panic!("two sessions") };
    run(holds, "CREATE TABLE held (id int PRIMARY KEY); INSERT INTO held VALUES (1), (2)".to_owned()).await;
    let mut feed = completions(&backend, StreamCursor::End).await;

    let lock = |id: u32| format!("SELECT FROM held WHERE id = {id} FOR NO KEY UPDATE");
    run(holds, format!("BEGIN; {}; {}", lock(2), told(2, 1))).await;
    // The older transaction id gets the younger event of execution 2.
    run(waits, format!("BEGIN; {}; {}", lock(1), told(1, 1))).await;
    let (mut looks, pid) = (database.session().await, pid(waits).await);
    let second = async {
        run(waits, format!("{}; {}; COMMIT", lock(2), told(2, 2))).await;
    };
    let release = async {
        until_waiting(&mut looks, pid).await;
        run(holds, format!("{}; COMMIT", told(3, 1))).await;
    };
    tokio::join!(second, release);

    let mut came = Vec::new();
    for _ in 0..4 {
        let delivered = next(&mut feed, PATIENCE).await.unwrap();
        came.push((number(&delivered), delivered.event.at.as_ms()));
    }
    let of_two: Vec<_> = came.iter().filter(|(id, _)| *id == 2).collect();
    assert_eq!(of_two, [&(2, 1), &(2, 2)]);
    came.sort_unstable();
    assert_eq!(came, [(1, 1), (2, 1), (2, 2), (3, 1)]);
    database.drop().await;
}

async fn pid(session: &mut PgConnection) -> i32 {
    rows(session, "SELECT pg_backend_pid()".to_owned()).await[0].get(0)
}

async fn until_waiting(session: &mut PgConnection, pid: i32) {
    let waits = format!("SELECT cardinality(pg_blocking_pids({pid})) > 0");
    let looks = async { while !rows(session, waits.clone()).await[0].get::<bool, _>(0) {} };
    tokio::time::timeout(PATIENCE, looks).await.unwrap();
}

#[tokio::test]
async fn a_writer_that_stays_open_elsewhere_holds_no_event_up() {
    let (database, elsewhere) = (Database::migrated().await, Database::migrated().await);
    let backend = backend(&database).await;
    let (mut stranger, mut neighbour) = (elsewhere.session().await, database.session().await);
    for open in [&mut stranger, &mut neighbour] {
        run(open, "BEGIN; UPDATE store SET version = version".to_owned()).await;
    }
    let mut writer = database.session().await;
    let mut feed = completions(&backend, StreamCursor::End).await;
    for n in 1..=3 {
        run(&mut writer, told(n, 1)).await;
        assert_eq!(next(&mut feed, SOON).await.as_ref().map(number), Some(n));
    }
    for open in [&mut stranger, &mut neighbour] {
        run(open, "COMMIT".to_owned()).await;
    }
    assert!(next(&mut feed, QUIET).await.is_none());
    elsewhere.drop().await;
    database.drop().await;
}

/// Removes what was written before the instant `cutoff`, in one pass. The clock of the store stands still from here on:
/// the age is counted from the instant that the pass reads.
async fn removed(session: &mut PgConnection, cutoff: i64, limit: u32) -> (i64, i64) {
    const NOW: i64 = 1000;
    let clock = "CREATE OR REPLACE FUNCTION ff_now_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE";
    run(session, format!("{clock} RETURN {NOW}::bigint")).await;
    let statement = include_str!("../../src/subscriptions/remove_completion_events.sql");
    run(session, format!("PREPARE remove AS {statement}")).await;
    let found = rows(session, format!("EXECUTE remove({NOW} - {cutoff} + 1, {limit})")).await;
    run(session, "DEALLOCATE remove".to_owned()).await;
    (found[0].get("examined"), found[0].get("removed"))
}

fn worker() -> ClaimPolicy {
    let (worker, instance) = (WorkerId::try_new("w").unwrap(), WorkerInstanceId::try_new("w-1").unwrap());
    ClaimPolicy::new(worker, instance, Duration::from_secs(30))
}

async fn create(backend: &Arc<dyn EngineBackend>, lane: &LaneId) {
    let id = ExecutionId::solo(lane, PartitionConfig::default());
    let args = CreateExecutionArgs::new(id, Namespace::try_new("ns").unwrap(), lane.clone(), "kind");
    backend.create_execution(args).await.unwrap();
}

/// Waits until nobody is under way who began before the last event, be it in another database of the server.
async fn until_settled(session: &mut PgConnection) {
    let settled = "SELECT pg_snapshot_xmin(pg_current_snapshot()) > max(xid) FROM completion_events".to_owned();
    let waits = async { while !rows(session, settled.clone()).await[0].get::<bool, _>(0) {} };
    tokio::time::timeout(PATIENCE, waits).await.unwrap();
}

async fn refused(backend: &Arc<dyn EngineBackend>, cursor: &StreamCursor) -> EngineError {
    let answer = backend.subscribe_completion(cursor.clone(), &ScannerFilter::new()).await;
    answer.map(drop).unwrap_err()
}

#[tokio::test]
async fn a_cursor_before_a_removed_event_is_refused_with_the_oldest_that_works() {
    let database = Database::migrated().await;
    let backend = backend(&database).await;
    let mut session = database.session().await;
    for n in 1..=8 {
        run(&mut session, told(n, i64::from(n) * 10)).await;
    }
    until_settled(&mut session).await;
    let mut feed = completions(&backend, StreamCursor::Start).await;
    let mut cursors = Vec::new();
    for _ in 1..=8 {
        cursors.push(next(&mut feed, PATIENCE).await.unwrap().cursor);
    }
    let mut slow = completions(&backend, StreamCursor::Start).await;

    assert_eq!(removed(&mut session, 50, 3).await, (3, 2));
    assert_eq!(removed(&mut session, 50, 100).await, (6, 2));
    assert_eq!(removed(&mut session, 50, 100).await, (4, 0));

    // Behind the fourth event and later nothing is missing.
    for (at, cursor) in cursors.iter().enumerate() {
        if at + 1 < 4 {
            let error = refused(&backend, cursor).await;
            assert_eq!(error.code(), "Validation(InvalidOffset)");
            let oldest = error.oldest_cursor().unwrap();
            assert_eq!(numbers(&mut completions(&backend, oldest).await, 4).await, [5, 6, 7, 8]);
        } else {
            let wanted: Vec<u32> = (at as u32 + 2..=8).collect();
            let mut rest = completions(&backend, cursor.clone()).await;
            assert_eq!(numbers(&mut rest, wanted.len()).await, wanted);
        }
    }
    assert_eq!(numbers(&mut completions(&backend, StreamCursor::Start).await, 4).await, [5, 6, 7, 8]);
    // One that had begun before finds out in the middle.
    let error = slow.next().await.unwrap().unwrap_err();
    assert!(error.oldest_cursor().is_some(), "{error}");
    assert!(slow.next().await.is_none());
    // The one that has read everything goes on.
    run(&mut session, told(9, 90)).await;
    assert_eq!(numbers(&mut feed, 1).await, [9]);
    database.drop().await;
}

#[tokio::test]
async fn nothing_is_removed_that_an_open_transaction_could_precede() {
    let database = Database::migrated().await;
    let backend = backend(&database).await;
    let (mut open, mut session) = (database.session().await, database.session().await);
    run(&mut open, format!("BEGIN; {}", told(1, 1))).await;
    run(&mut session, told(2, 1)).await;
    assert_eq!(removed(&mut session, 100, 100).await, (1, 0));
    run(&mut open, "COMMIT".to_owned()).await;
    let mut feed = completions(&backend, StreamCursor::Start).await;
    assert_eq!(numbers(&mut feed, 2).await, [1, 2]);
    until_settled(&mut session).await;
    assert_eq!(removed(&mut session, 100, 100).await, (2, 2));
    database.drop().await;
}

#[tokio::test]
async fn a_cursor_that_lies_ahead_of_the_store_is_refused() {
    let database = Database::migrated().await;
    let backend = backend(&database).await;
    let epoch = "SELECT epoch::text FROM event_horizons WHERE family = 'completions'".to_owned();
    let epoch: String = rows(&mut database.session().await, epoch).await[0].get(0);
    for place in ["9000000000:9000000000:///0/0", "9000000000:9000000000://0/0"] {
        let ahead = StreamCursor::At(format!("postgres/completions/{epoch}/{place}").into_bytes());
        let error = refused(&backend, &ahead).await;
        assert_eq!((error.code().as_str(), error.oldest_cursor()), ("Validation(InvalidOffset)", None));
    }
    database.drop().await;
}

#[tokio::test]
async fn events_that_came_from_another_server_are_taken_over() {
    let database = Database::migrated().await;
    let open = backend(&database).await;
    let mut session = database.session().await;
    for n in 1..=3 {
        run(&mut session, told(n, 1)).await;
    }
    let mut reading = completions(&open, StreamCursor::Start).await;
    let first = next(&mut reading, PATIENCE).await.unwrap().cursor;
    let mut waiting = completions(&open, StreamCursor::End).await;
    // What a dump brings from a server that has done more.
    let far = "UPDATE store SET system_identifier = 7; \
               UPDATE completion_events SET xid = (xid::text::bigint + 9000000000)::text::xid8";
    run(&mut session, far.to_owned()).await;

    let refusal = PostgresBackend::connect(database.config()).await.map(drop).unwrap_err();
    assert!(refusal.to_string().contains("ff-conformance migrate"), "{refusal}");
    let PrepareOutcome::Applied { description } = PostgresBackend::migrate(&database.config()).await.unwrap() else {
        panic!("nothing was done");
    };
    assert_eq!(description, "events of another server taken over");
    assert_eq!(PostgresBackend::migrate(&database.config()).await.unwrap(), PrepareOutcome::NoOp);

    let restored = backend(&database).await;
    let error = refused(&restored, &first).await;
    assert_eq!(error.code(), "Validation(InvalidOffset)");
    for from in [error.oldest_cursor().unwrap(), StreamCursor::Start] {
        let mut feed = completions(&restored, from).await;
        assert_eq!(numbers(&mut feed, 3).await, [1, 2, 3]);
    }
    let mut later = completions(&restored, StreamCursor::End).await;
    run(&mut session, told(4, 1)).await;
    assert_eq!(numbers(&mut later, 1).await, [4]);
    // A process that was not started again finds out as soon as there is something to read.
    let error = tokio::time::timeout(PATIENCE, waiting.next()).await.unwrap().unwrap().unwrap_err();
    assert!(error.oldest_cursor().is_some(), "{error}");
    database.drop().await;
}

#[tokio::test]
async fn an_epoch_that_an_operator_begins_ends_the_cursors_before_it() {
    let page = include_str!("../../../docs/OPERATIONS.md");
    let (_, restoring) = page.split_once("\n## Restoring PostgreSQL\n").unwrap();
    let statement = restoring.split("```").nth(1).unwrap().trim_start_matches("sql").replace("ff.", "");
    let database = Database::migrated().await;
    let backend = backend(&database).await;
    let mut session = database.session().await;
    run(&mut session, told(1, 1)).await;
    let cursor = next(&mut completions(&backend, StreamCursor::Start).await, PATIENCE).await.unwrap().cursor;
    run(&mut session, statement).await;
    let oldest = refused(&backend, &cursor).await.oldest_cursor().unwrap();
    assert_eq!(numbers(&mut completions(&backend, oldest).await, 1).await, [1]);
    database.drop().await;
}

#[tokio::test]
async fn waiting_subscriptions_hold_no_connection_and_dropped_ones_ask_nothing() {
    let database = Database::migrated().await;
    let backend = backend(&database).await;
    let mut feeds = Vec::new();
    for _ in 0..10 {
        feeds.push(completions(&backend, StreamCursor::End).await);
    }
    let mut session = database.session().await;
    let quiet = tokio::time::timeout(QUIET, futures::future::select_all(feeds.iter_mut().map(StreamExt::next))).await;
    assert!(quiet.is_err());
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                AND backend_type = 'client backend' AND state <> 'idle'";
    assert_eq!(rows(&mut session, open.to_owned()).await[0].get::<i64, _>(0), 0);
    drop(feeds);
    // Its hub goes with the last subscription, and so does the connection that listened for it.
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let gone = async { while rows(&mut session, listening.to_owned()).await[0].get::<i64, _>(0) > 0 {} };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    // What was asked before that is answered soon; the connections of the pool rest from then on.
    tokio::time::timeout(QUIET, std::future::pending::<()>()).await.unwrap_err();
    let last = "SELECT max(state_change)::text FROM pg_stat_activity WHERE datname = current_database() \
                AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    let before = rows(&mut session, last.to_owned()).await[0].get::<Option<String>, _>(0);
    tokio::time::timeout(QUIET, std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(rows(&mut session, last.to_owned()).await[0].get::<Option<String>, _>(0), before);
    database.drop().await;
}

#[tokio::test]
async fn a_claim_whose_wake_ups_are_lost_looks_by_itself() {
    let database = Database::migrated().await;
    let (waiting, writing) = (backend(&database).await, backend(&database).await);
    let mut session = database.session().await;
    let lane = LaneId::try_new("lane").unwrap();
    let none = CapabilitySet::default();
    let claim = waiting.claim(&lane, &none, worker().max_wait(Duration::from_secs(60)));
    let create = async {
        let entered = "SELECT count(*) FROM claim_waiters";
        while rows(&mut session, entered.to_owned()).await[0].get::<i64, _>(0) == 0 {}
        // Nobody knows of the claim any more, so nobody wakes it.
        run(&mut session, "DELETE FROM claim_waiters".to_owned()).await;
        create(&writing, &lane).await;
    };
    let both = async { tokio::join!(claim, create).0 };
    let taken = tokio::time::timeout(2 * PATIENCE, both).await.unwrap().unwrap();
    assert!(taken.is_some());
    database.drop().await;
}

/// Every way in which an execution ends by somebody's call.
async fn end(backend: &Arc<dyn EngineBackend>, way: usize, handle: Handle) {
    let none = CapabilitySet::default();
    match way {
        0 => backend.complete(&handle, None).await.unwrap(),
        1 => backend.complete_many(vec![CompleteArgs::new(handle, None)]).await.unwrap().remove(0).unwrap(),
        2 => assert!(backend.complete_and_claim(&handle, None, &none, worker()).await.unwrap().is_none()),
        3 => assert_eq!(
            backend.fail(&handle, FailureReason::new("broken"), FailureClass::Permanent).await.unwrap(),
            FailOutcome::TerminalFailed
        ),
        4 => backend.cancel(&handle, "enough").await.unwrap(),
        _ => {
            let id = handle.decode(backend.backend_label()).unwrap().execution_id;
            backend.cancel_execution(CancelExecutionArgs::new(id, "enough")).await.map(drop).unwrap();
        }
    }
}

#[tokio::test]
async fn a_subscription_is_told_when_an_execution_ends() {
    let database = Database::migrated().await;
    let (reading, writing) = (backend(&database).await, backend(&database).await);
    let mut session = database.session().await;
    let lane = LaneId::try_new("lane").unwrap();
    let mut feed = completions(&reading, StreamCursor::End).await;
    let entered = "SELECT count(*) FROM completion_waiters";
    let waits = async { while rows(&mut session, entered.to_owned()).await[0].get::<i64, _>(0) == 0 {} };
    tokio::time::timeout(PATIENCE, waits).await.unwrap();
    // Each begins just after the look that found the one before: without hints all of them take a look's period.
    let all = async {
        for way in (0..6).cycle().take(24) {
            create(&writing, &lane).await;
            let handle = writing.claim(&lane, &CapabilitySet::default(), worker()).await.unwrap().unwrap();
            end(&writing, way, handle).await;
            next(&mut feed, PATIENCE).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
    database.drop().await;
}
