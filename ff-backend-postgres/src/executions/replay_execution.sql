-- replay_execution: an execution that has ended waits for another attempt, as if it had used up nothing.
-- $1 id bytea
-- returns: verdict text, awaited text
-- verdict: ok, replay, or a refusal: missing, again, not_terminal, replays_exhausted, past_deadline
-- An end by time that nobody has written down is written down first, as settle_due.sql and settle_suspensions.sql do.
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT timed.*, CASE
        WHEN lifecycle_phase <> 'terminal' AND NOT past AND timed_out IS NULL
            THEN CASE WHEN attempt_state = 'pending_replay_attempt' THEN 'replay' ELSE 'not_terminal' END
        WHEN replay_count >= replays_max THEN 'replays_exhausted'
        WHEN past AND deadline_after_ms IS NULL THEN 'past_deadline'
        ELSE 'ok' END AS verdict
    FROM (SELECT ok.*, coalesce(execution_deadline_at <= now, false) AS past, CASE
        WHEN lifecycle_phase = 'suspended' AND suspension_timeout_at <= least(now, execution_deadline_at - 1)
            AND timeout_behavior IN ('fail', 'cancel', 'expire') THEN timeout_behavior END AS timed_out FROM ok) timed
),
expired AS MATERIALIZED (
    SELECT *, CASE WHEN timed_out IS NULL THEN greatest(execution_deadline_at, created_at)
        ELSE greatest(suspension_timeout_at, suspended_at) END AS ended_at
    FROM judged WHERE verdict = 'ok' AND lifecycle_phase <> 'terminal'
),
begun AS (
    UPDATE executions e SET
        lifecycle_phase = 'runnable', ownership_state = 'unowned', eligibility_state = 'eligible_now',
        blocking_reason = 'waiting_for_worker', terminal_outcome = 'none', attempt_state = 'pending_replay_attempt',
        ready = true, part = 2, due_at = coalesce(j.now + e.deadline_after_ms, e.execution_deadline_at),
        execution_deadline_at = coalesce(j.now + e.deadline_after_ms, e.execution_deadline_at),
        delay_until = NULL, ended_by = NULL, grant_key = NULL, completed_at = NULL,
        retry_count = 0, lease_reclaim_count = 0, replay_count = e.replay_count + 1,
        failure_reason = NULL, failure_category = NULL, cancellation_reason = NULL, cancelled_by = NULL,
        progress_percent = NULL, progress_message = NULL, progress_updated_at = NULL,
        suspension_closed_at = coalesce(e.suspension_closed_at, least(e.completed_at, e.execution_deadline_at - 1)),
        last_transition_at = j.now, last_mutation_at = j.now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok'
),
forgotten AS (
    DELETE FROM execution_results WHERE execution_id = (SELECT id FROM judged WHERE verdict = 'ok')
),
closed AS (
    UPDATE attempts a SET phase = CASE WHEN timed_out = 'cancel' THEN 'ended_cancelled' ELSE 'ended_failure' END,
        ended_at = x.ended_at, failure_reason = CASE WHEN timed_out IS NULL THEN 'execution_deadline'
            WHEN timed_out <> 'cancel' THEN 'suspension_timeout:' || timed_out END,
        failure_category = CASE WHEN timed_out = 'cancel' THEN NULL ELSE 'timeout' END
    FROM expired x
    WHERE a.execution_id = $1 AND a.attempt_index = x.attempt_index AND a.phase IN ('started', 'suspended')
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace,
        CASE WHEN lease_expires_at <= execution_deadline_at THEN 'expired' ELSE 'released' END, worker_instance_id,
        CASE WHEN lease_expires_at > execution_deadline_at THEN 'execution_deadline' END
    FROM expired WHERE ownership_state = 'leased'
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, CASE timed_out WHEN 'fail' THEN 'failed' WHEN 'cancel' THEN 'cancelled' ELSE 'expired' END
    FROM expired
),
operated AS (
    INSERT INTO operator_events (at, execution_id, namespace, kind, detail)
    SELECT now, id, namespace, 'replayed', (replay_count + 1)::text FROM judged WHERE verdict = 'ok'
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    (SELECT w.lane_id FROM claim_waiters w
        WHERE j.verdict = 'ok' AND w.lane_id = j.lane_id AND w.expires_at > j.now LIMIT 1) AS awaited
FROM (VALUES (1)) one LEFT JOIN judged j ON true;
