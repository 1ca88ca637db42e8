-- cancel_execution: the execution ends as cancelled, on somebody's authority outside its lease.
-- $1 id bytea, $2 source text, $3 reason text, $4 fenced bool, $5 lease_id uuid, $6 lease_epoch int8, $7 attempt_id uuid
-- returns: verdict text, terminal_outcome text, lifecycle_phase text, lease_epoch int8, attempt_id uuid, timed_out text,
--   listened bool
-- verdict: ok, replay, or a refusal: missing, again, terminal, not_active, lease_revoked, lease_expired, stale_lease
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT timed.*, CASE
        WHEN terminal_outcome = 'cancelled' OR timed_out = 'cancel' THEN 'replay'
        WHEN lifecycle_phase = 'terminal' OR execution_deadline_at <= now OR timed_out IN ('fail', 'expire') THEN 'terminal'
        WHEN NOT $4 THEN 'ok'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN lease_id = $5 AND lease_epoch = $6 AND attempt_id = $7 THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM (SELECT ok.*, CASE WHEN lifecycle_phase = 'suspended'
        AND suspension_timeout_at <= least(now, execution_deadline_at - 1) THEN timeout_behavior END AS timed_out FROM ok) timed
),
ended AS (
    UPDATE executions e SET
        lifecycle_phase = 'terminal', ownership_state = 'unowned', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'cancelled',
        attempt_state = CASE WHEN e.total_attempt_count = 0 THEN 'none' ELSE 'attempt_terminal' END,
        ready = false, due_at = NULL, ended_by = NULL, grant_key = NULL, cancellation_reason = $3, cancelled_by = $2,
        completed_at = j.now, last_transition_at = j.now, last_mutation_at = j.now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok'
),
closed AS (
    UPDATE attempts a SET phase = 'ended_cancelled', ended_at = j.now
    FROM judged j
    WHERE a.execution_id = $1 AND a.attempt_index = j.attempt_index AND a.phase IN ('started', 'suspended')
      AND j.verdict = 'ok'
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace,
        CASE WHEN lease_expires_at <= now THEN 'expired' ELSE 'revoked' END, worker_instance_id,
        CASE WHEN lease_expires_at > now THEN 'cancelled' END
    FROM judged WHERE verdict = 'ok' AND ownership_state = 'leased'
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, 'cancelled' FROM judged WHERE verdict = 'ok'
),
operated AS (
    INSERT INTO operator_events (at, execution_id, namespace, kind, detail)
    SELECT now, id, namespace, 'cancelled', $2 || ': ' || $3 FROM judged WHERE verdict = 'ok'
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    j.terminal_outcome::text, j.lifecycle_phase::text, j.lease_epoch, j.attempt_id, j.timed_out,
    coalesce(j.verdict = 'ok' AND EXISTS (SELECT FROM completion_waiters WHERE expires_at > j.now), false) AS listened
FROM (VALUES (1)) one LEFT JOIN judged j ON true;
