-- cancel: the execution ends as cancelled by its worker, by the fence.
-- $1 id bytea, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 attempt_index int8,
-- $6 reason text
-- returns: verdict text, terminal_outcome text, lifecycle_phase text, lease_epoch int8, attempt_id uuid, timed_out text,
--   listened bool
-- verdict: ok, replay, or a refusal: missing, again, deadline, not_active, lease_revoked, lease_expired, stale_lease
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN ended_by = 'cancel' AND lease_id = $2 AND lease_epoch = $3 AND attempt_id = $4 AND attempt_index = $5
            THEN 'replay'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN lease_id = $2 AND lease_epoch = $3 AND attempt_id = $4 THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM ok
),
ended AS (
    UPDATE executions e SET
        lifecycle_phase = 'terminal', ownership_state = 'unowned', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'cancelled', attempt_state = 'attempt_terminal',
        ready = false, due_at = NULL, ended_by = 'cancel', cancellation_reason = $6, cancelled_by = 'worker',
        completed_at = j.now, last_transition_at = j.now, last_mutation_at = j.now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok'
),
closed AS (
    UPDATE attempts a SET phase = 'ended_cancelled', ended_at = j.now
    FROM judged j WHERE a.execution_id = $1 AND a.attempt_index = j.attempt_index AND j.verdict = 'ok'
),
released AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'released', worker_instance_id, 'cancelled'
    FROM judged WHERE verdict = 'ok'
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, 'cancelled' FROM judged WHERE verdict = 'ok'
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    j.terminal_outcome::text, j.lifecycle_phase::text, j.lease_epoch, j.attempt_id,
    CASE WHEN j.lifecycle_phase = 'suspended' AND j.suspension_timeout_at <= least(j.now, j.execution_deadline_at - 1)
        THEN j.timeout_behavior END AS timed_out,
    coalesce(j.verdict = 'ok' AND EXISTS (SELECT FROM completion_waiters WHERE expires_at > j.now), false) AS listened
FROM (VALUES (1)) one LEFT JOIN judged j ON true;
