//! What has fallen due in a lane is written down by one statement at a time, and by none that looked before another did.

use sqlx::{PgConnection, Row};

use crate::database::{Database, rows, run, until_waiting};

/// The lane: two rows of work that is due, as `due` says, and one that is ready and younger.
fn lane(due: &str) -> String {
    format!(
        "INSERT INTO lanes (lane_id) VALUES ('lane'); \
         INSERT INTO lane_sets (lane_id, tokens_digest, tokens) VALUES ('lane', '', '{{}}'); \
         INSERT INTO executions (id, namespace, lane_id, set_id, priority, ready, lifecycle_phase, ownership_state, \
             eligibility_state, blocking_reason, terminal_outcome, attempt_state, created_at, last_transition_at, \
             last_mutation_at, reclaims_max, replays_max) \
         SELECT id, 'ns', 'lane', 1, 0, id = 'young', 'runnable', 'unowned', 'eligible_now', 'waiting_for_worker', \
             'none', 'pending_first_attempt', n, n, n, 100, 10 \
         FROM unnest(ARRAY['first', 'second', 'young']::bytea[]) WITH ORDINALITY AS row (id, n); \
         UPDATE executions SET due_at = 5, {due} WHERE NOT ready"
    )
}

/// The clock behind a gate, at which the first transaction that comes waits and nobody else.
const GATED_CLOCK: &str = "CREATE OR REPLACE FUNCTION ff_now_ms() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ \
    BEGIN \
        IF pg_try_advisory_xact_lock(1) THEN PERFORM pg_advisory_xact_lock_shared(2); END IF; \
        RETURN 1000; \
    END $$";

async fn prepared(database: &Database, text: &str) -> PgConnection {
    let mut session = database.session().await;
    run(&mut session, format!("PREPARE call AS {text}")).await;
    session
}

/// One statement looks, and waits; another settles the lane; the first goes on and stays open. What a claim takes then.
async fn taken_beside_a_late_settle(due: &str, text: &str, arguments: &str) -> String {
    let database = Database::migrated().await;
    run(&mut database.session().await, lane(due)).await;
    run(&mut database.session().await, GATED_CLOCK.to_owned()).await;
    let execute = format!("EXECUTE call({arguments})");
    let (mut gate, mut late) = (database.session().await, prepared(&database, text).await);
    let pid = rows(&mut gate, "SELECT pg_backend_pid() FROM pg_advisory_lock(2)".to_owned()).await[0].get(0);
    run(&mut late, "BEGIN".to_owned()).await;
    let statement = execute.clone();
    let waiting = tokio::spawn(async move {
        let row = rows(&mut late, statement).await.remove(0);
        (late, row.get::<i64, _>("settled"))
    });
    until_waiting(&mut gate, pid).await;
    let settled = rows(&mut prepared(&database, text).await, execute).await;
    assert_eq!(settled[0].get::<i64, _>("settled"), 2);
    run(&mut gate, "SELECT pg_advisory_unlock(2)".to_owned()).await;
    let (late, settled) = waiting.await.unwrap();
    assert_eq!(settled, 0);
    let mut claimer = prepared(&database, include_str!("../../src/claims/claim_many.sql")).await;
    let claim = "EXECUTE call('lane', '{}', ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], 'worker', 'worker-1', \
        1000, NULL, '{0, 1, 2}', '{0, 0, 0}', \
        '{9223372036854775807, 9223372036854775807, 9223372036854775807}', NULL, NULL, 1, 16, false)";
    let taken: Vec<u8> = rows(&mut claimer, claim.to_owned()).await[0].get("id");
    let taken = String::from_utf8(taken).unwrap();
    drop(late);
    database.drop().await;
    taken
}

#[tokio::test]
async fn a_late_settle_holds_no_work_that_is_ready_by_then() {
    let text = include_str!("../../src/claims/settle_due.sql");
    let arguments = "'lane', -1, '', 256, 0, '{ready}', false, NULL, NULL, NULL, true";
    assert_eq!(taken_beside_a_late_settle("delay_until = 5", text, arguments).await, "first");
}

#[tokio::test]
async fn a_late_settle_of_suspensions_holds_no_work_that_is_ready_by_then() {
    let due = "lifecycle_phase = 'suspended', suspended_at = 1, suspension_timeout_at = 5, \
        timeout_behavior = 'auto_resume_with_timeout_signal'";
    let text = include_str!("../../src/waitpoints/settle_suspensions.sql");
    let arguments = "'lane', -1, '', 256, NULL, NULL, NULL, 9, ''";
    assert_eq!(taken_beside_a_late_settle(due, text, arguments).await, "first");
}
