//! The plans of statements that must stay fast: they go by the index they were written for, whatever the statistics say.

use sqlx::{PgConnection, Row};

use crate::database::{Database, rows, run};

/// A statement and the indexes of `executions` that it may use; those of other tables are listed below.
struct Hot {
    text: &'static str,
    parameters: usize,
    indexes: &'static [&'static str],
}

const CLAIM: &[&str] = &["executions_pkey", "executions_ready", "executions_due", "executions_overdue"];
const RETENTION: &[&str] = &["executions_pkey", "executions_ended"];
const HOLDER: &[&str] = &["executions_pkey"];
const SUSPENDED: &[&str] = &["executions_suspended"];

const HOT: &[Hot] = &[
    Hot { text: include_str!("../../src/claims/claim.sql"), parameters: 13, indexes: CLAIM },
    Hot { text: include_str!("../../src/claims/claim_many.sql"), parameters: 16, indexes: CLAIM },
    Hot { text: include_str!("../../src/claims/settle_due.sql"), parameters: 11, indexes: CLAIM },
    Hot { text: include_str!("../../src/scanners/list_due_lanes.sql"), parameters: 2, indexes: CLAIM },
    Hot { text: include_str!("../../src/scanners/remove_ended.sql"), parameters: 7, indexes: RETENTION },
    Hot { text: include_str!("../../src/claims/claim_for_worker.sql"), parameters: 14, indexes: CLAIM },
    Hot { text: include_str!("../../src/claims/claim_execution.sql"), parameters: 8, indexes: HOLDER },
    Hot { text: include_str!("../../src/claims/explain_unclaimed.sql"), parameters: 1, indexes: HOLDER },
    Hot { text: include_str!("../../src/leases/renew.sql"), parameters: 5, indexes: HOLDER },
    Hot { text: include_str!("../../src/leases/renew_many.sql"), parameters: 5, indexes: HOLDER },
    Hot { text: include_str!("../../src/attempts/complete_many.sql"), parameters: 6, indexes: HOLDER },
    Hot { text: include_str!("../../src/attempts/complete_together.sql"), parameters: 6, indexes: HOLDER },
    Hot { text: include_str!("../../src/attempts/complete_and_claim.sql"), parameters: 19, indexes: CLAIM },
    Hot { text: include_str!("../../src/attempts/complete_and_claim_many.sql"), parameters: 19, indexes: CLAIM },
    Hot { text: include_str!("../../src/attempts/progress.sql"), parameters: 6, indexes: HOLDER },
    Hot { text: include_str!("../../src/attempts/complete.sql"), parameters: 6, indexes: HOLDER },
    Hot { text: include_str!("../../src/attempts/fail.sql"), parameters: 9, indexes: HOLDER },
    Hot { text: include_str!("../../src/attempts/cancel.sql"), parameters: 6, indexes: HOLDER },
    Hot { text: include_str!("../../src/attempts/delay.sql"), parameters: 6, indexes: HOLDER },
    Hot { text: include_str!("../../src/attempts/wait_children.sql"), parameters: 5, indexes: HOLDER },
    Hot { text: include_str!("../../src/executions/create_execution.sql"), parameters: 28, indexes: HOLDER },
    Hot { text: include_str!("../../src/executions/create_executions.sql"), parameters: 29, indexes: HOLDER },
    Hot { text: include_str!("../../src/executions/describe_execution.sql"), parameters: 1, indexes: HOLDER },
    Hot { text: include_str!("../../src/executions/list_executions.sql"), parameters: 2, indexes: HOLDER },
    Hot { text: include_str!("../../src/waitpoints/suspend.sql"), parameters: 24, indexes: HOLDER },
    Hot { text: include_str!("../../src/waitpoints/create_waitpoint.sql"), parameters: 11, indexes: HOLDER },
    Hot { text: include_str!("../../src/waitpoints/deliver_signal.sql"), parameters: 16, indexes: HOLDER },
    Hot { text: include_str!("../../src/waitpoints/observe_signals.sql"), parameters: 2, indexes: HOLDER },
    Hot { text: include_str!("../../src/waitpoints/resume_execution.sql"), parameters: 3, indexes: HOLDER },
    Hot { text: include_str!("../../src/waitpoints/list_pending_waitpoints.sql"), parameters: 3, indexes: HOLDER },
    Hot { text: include_str!("../../src/waitpoints/list_suspended.sql"), parameters: 3, indexes: SUSPENDED },
    Hot { text: include_str!("../../src/waitpoints/settle_suspensions.sql"), parameters: 9, indexes: CLAIM },
];

/// What an index is asked for first.
fn leading(index: &str) -> &'static str {
    match index {
        "executions_ready" => "(((set_id << 2) + part) =",
        "executions_due" | "executions_overdue" => "(lane_id =",
        "executions_ended" => "(completed_at ",
        "executions_suspended" => "(ROW(suspended_at, id) >",
        "signals_pkey" => "(waitpoint_id =",
        "suspensions_pkey" => "(suspension_number =",
        "attempts_pkey" | "waitpoints_pkey" | "signals_idempotency_key" | "suspensions_idempotency_key" => {
            "(execution_id ="
        }
        _ => "(id ",
    }
}

/// The plan that the statement has in this session, whatever its arguments.
async fn plan(session: &mut PgConnection, hot: &Hot) -> Vec<String> {
    let arguments = vec!["NULL"; hot.parameters].join(", ");
    run(session, format!("PREPARE hot AS {}", hot.text)).await;
    let lines = rows(session, format!("EXPLAIN (COSTS OFF) EXECUTE hot({arguments})")).await;
    run(session, "DEALLOCATE hot".to_owned()).await;
    lines.iter().map(|row| row.get::<String, _>(0)).collect()
}

/// The tables whose looks are checked, beside `executions`; each has its indexes named after it.
const OTHERS: [&str; 4] = ["attempts", "suspensions", "waitpoints", "signals"];

/// Every look at a table of executions or of what belongs to them goes by an allowed index, from its first column on; at
/// signals and suspensions by all that tells one waitpoint's or one suspension's from those of the execution.
fn check(hot: &Hot, plan: &[String], state: &str) {
    let scans = plan.iter().enumerate().filter(|(_, line)| line.contains("Scan"));
    let of_others = |line: &str| OTHERS.iter().any(|table| line.contains(&format!(" on {table}")));
    let scans: Vec<_> = scans.filter(|(_, line)| line.contains(" on executions") || of_others(line)).collect();
    let functions: Vec<_> = plan.iter().filter(|line| line.contains("Function Scan on ff_")).collect();
    assert!(functions.is_empty(), "{state}: not planned with the statement: {functions:?}");
    assert!(!scans.is_empty(), "{state}: no look at a table:\n{}", plan.join("\n"));
    for (at, line) in scans {
        let whole = || format!("{state}: {line}\n{}\n{}", hot.text.lines().next().unwrap_or_default(), plan.join("\n"));
        let condition = plan.get(at + 1).map(|line| line.trim()).unwrap_or_default();
        // A row that an index led to before is found again by its place.
        if line.contains("Tid Scan on executions") && condition.starts_with("TID Cond: (") {
            continue;
        }
        let index = line.split_once(" using ").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or("no index");
        let own = OTHERS.iter().any(|table| index.starts_with(table));
        assert!(own || hot.indexes.contains(&index), "{}", whole());
        let asked = condition.strip_prefix("Index Cond: (").unwrap_or_default();
        let from_first = asked.contains(leading(index)) || format!("({asked}").contains(leading(index));
        // An array beside a condition of another table is sorted again for each row of that.
        assert!(!(asked.contains("= ANY ($") && asked.contains(" AND ")), "{}", whole());
        // What belongs to an execution that is removed goes all at once.
        assert!(from_first || asked.contains("execution_id = ANY"), "{}", whole());
    }
}

/// Rows enough that a scan of the table would be seen: `ready` of them wait, the others have ended.
fn fill(ready: u32, ended: u32) -> String {
    format!(
        "INSERT INTO lane_sets (lane_id, tokens_digest, tokens) VALUES ('lane', '', '{{}}') ON CONFLICT DO NOTHING; \
         INSERT INTO executions (id, namespace, lane_id, set_id, priority, ready, due_at, lifecycle_phase, \
             ownership_state, eligibility_state, blocking_reason, terminal_outcome, attempt_state, created_at, \
             last_transition_at, last_mutation_at, reclaims_max, replays_max) \
         SELECT ff_id('{{fp:0}}:' || gen_random_uuid()), 'ns', 'lane', 1, 0, n <= {ready}, NULL, 'runnable', 'unowned', \
             'eligible_now', 'waiting_for_worker', 'none', 'pending_first_attempt', n, n, n, 100, 10 \
         FROM generate_series(1, {ready} + {ended}) n; \
         INSERT INTO attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at, lease_id, \
             lease_epoch, worker_id, worker_instance_id) \
         SELECT id, 0, gen_random_uuid(), 'initial', 'ended_success', 0, gen_random_uuid(), 1, 'w', 'w' \
         FROM executions WHERE NOT ready ON CONFLICT DO NOTHING"
    )
}

#[tokio::test]
async fn hot_statements_go_by_their_indexes() {
    let database = Database::migrated().await;
    let analyze = "ANALYZE executions, attempts, lane_sets, suspensions, waitpoints, signals";
    let states = [
        ("never analysed", String::new()),
        ("analysed while empty", analyze.to_owned()),
        ("all ended, so that the partial indexes look empty", format!("{}; {analyze}", fill(0, 20_000))),
        ("many wait", format!("{}; {analyze}", fill(20_000, 0))),
    ];
    for (state, statements) in states {
        run(&mut database.session().await, statements).await;
        let mut session = database.session().await;
        for hot in HOT {
            check(hot, &plan(&mut session, hot).await, state);
        }
    }
    database.drop().await;
}
