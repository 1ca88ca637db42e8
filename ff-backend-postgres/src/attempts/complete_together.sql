-- complete_together: what complete does, for several calls, each by its own fence. Nothing waits, so that no item holds
-- up another.
-- $1 ids bytea[], $2 lease_ids uuid[], $3 lease_epochs int8[], $4 attempt_ids uuid[], $5 attempt_indexes int8[],
-- $6 payloads bytea[]
-- returns: verdict text, terminal_outcome text, lifecycle_phase text, lease_epoch int8, attempt_id uuid, timed_out text,
--   listened bool
-- verdict, a row for each item in its place: ok, replay, or a refusal: missing, deadline, not_active, lease_revoked,
-- lease_expired, stale_lease; again if it has to go by itself: its row is held or has moved, or came up before
-- A row that was looked up is found again by its place, as in claim_many.sql.
WITH asked AS MATERIALIZED (
    SELECT a.*, e.spot, e.version, row_number() OVER (PARTITION BY a.id ORDER BY place) AS turn
    FROM unnest($1::bytea[], $2::uuid[], $3::int8[], $4::uuid[], $5::int8[])
        WITH ORDINALITY AS a (id, lease_id, lease_epoch, attempt_id, attempt_index, place)
        LEFT JOIN LATERAL (SELECT ctid AS spot, xmin AS version FROM executions WHERE id = a.id OFFSET 0) e ON true
),
held AS MATERIALIZED (
    SELECT place, version, spot, a.attempt_index = h.attempt_index AS is_index,
        (a.lease_id, a.lease_epoch, a.attempt_id) = (h.lease_id, h.lease_epoch, h.attempt_id) AS is_latest, h.*
    FROM asked a LEFT JOIN LATERAL (
        SELECT id, namespace, lifecycle_phase, ownership_state, terminal_outcome, ended_by, lease_id, lease_epoch,
            attempt_id, attempt_index, worker_instance_id, lease_expires_at, execution_deadline_at, suspension_timeout_at,
            timeout_behavior
        FROM executions e WHERE turn = 1 AND e.ctid = a.spot AND e.xmin = a.version FOR NO KEY UPDATE SKIP LOCKED) h ON true
),
clock AS MATERIALIZED (SELECT ff_now_ms() AS now FROM (SELECT count(*) FROM held) all_held),
judged AS MATERIALIZED (
    SELECT held.*, now, CASE
        WHEN version IS NULL THEN 'missing' WHEN id IS NULL THEN 'again'
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN ended_by = 'complete' AND is_latest AND is_index THEN 'replay'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN is_latest THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM held, clock
),
ended AS (
    UPDATE executions e SET
        lifecycle_phase = 'terminal', ownership_state = 'unowned', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'success', attempt_state = 'attempt_terminal',
        ready = false, due_at = NULL, ended_by = 'complete',
        completed_at = j.now, last_transition_at = j.now, last_mutation_at = j.now
    FROM judged j WHERE e.ctid = j.spot AND j.verdict = 'ok'
),
closed AS (
    UPDATE attempts a SET phase = 'ended_success', ended_at = j.now
    FROM judged j WHERE a.execution_id = ANY (ARRAY[j.id]) AND a.attempt_index = j.attempt_index AND verdict = 'ok'
),
result AS (
    INSERT INTO execution_results (execution_id, payload)
    SELECT j.id, ($6::bytea[])[place] FROM judged j WHERE verdict = 'ok' AND ($6::bytea[])[place] IS NOT NULL
),
released AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'released', worker_instance_id, 'completed'
    FROM judged WHERE verdict = 'ok' ORDER BY place
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, 'success' FROM judged WHERE verdict = 'ok' ORDER BY place
)
SELECT verdict, terminal_outcome::text, lifecycle_phase::text, lease_epoch, attempt_id,
    CASE WHEN lifecycle_phase = 'suspended' AND suspension_timeout_at <= least(now, execution_deadline_at - 1)
        THEN timeout_behavior END AS timed_out,
    EXISTS (SELECT FROM completion_waiters WHERE expires_at > (SELECT now FROM clock)) AS listened
FROM judged ORDER BY place;
