-- complete_many: each execution ends with success, by its own fence.
-- $1 ids bytea[], $2 lease_ids uuid[], $3 lease_epochs int8[], $4 attempt_ids uuid[], $5 attempt_indexes int8[],
-- $6 payloads bytea[]
-- returns: verdict text, terminal_outcome text, lifecycle_phase text, lease_epoch int8, attempt_id uuid, timed_out text,
--   listened bool
-- verdict, a row for each item in its place: ok, replay, or a refusal: missing, again, deadline, not_active,
-- lease_revoked, lease_expired, stale_lease
-- Rows are locked in the order of their ids, so that two batches never wait for each other in a circle.
WITH asked AS MATERIALIZED (
    SELECT a.*, e.xmin AS version
    FROM unnest($1::bytea[], $2::uuid[], $3::int8[], $4::uuid[], $5::int8[])
        WITH ORDINALITY AS a (id, lease_id, lease_epoch, attempt_id, attempt_index, place)
        LEFT JOIN LATERAL (SELECT xmin FROM executions WHERE id = a.id OFFSET 0) e ON true
    ORDER BY a.id
),
held AS MATERIALIZED (
    SELECT place, a.attempt_index = h.attempt_index AS is_index, h.version = a.version AS is_seen,
        (a.lease_id, a.lease_epoch, a.attempt_id) = (h.lease_id, h.lease_epoch, h.attempt_id) AS is_latest, h.*
    FROM asked a LEFT JOIN LATERAL (
        SELECT xmin AS version, id, namespace, lifecycle_phase, ownership_state, terminal_outcome, ended_by, lease_id,
            lease_epoch, attempt_id, attempt_index, worker_instance_id, lease_expires_at, execution_deadline_at,
            suspension_timeout_at, timeout_behavior
        FROM executions e WHERE e.id = a.id FOR NO KEY UPDATE) h ON true
),
clock AS MATERIALIZED (SELECT ff_now_ms() AS now FROM (SELECT count(*) FROM held) all_held),
judged AS MATERIALIZED (
    SELECT held.*, now, CASE
        WHEN id IS NULL THEN 'missing'
        WHEN is_seen IS NOT TRUE THEN 'again'
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN ended_by = 'complete' AND is_latest AND is_index THEN 'replay'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN is_latest THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM held, clock
),
-- The first of the items that complete one execution does so; those behind it see that.
ranked AS MATERIALIZED (
    SELECT judged.*, verdict = 'ok' AND place = first AS is_first, first < place AS is_behind
    FROM (SELECT judged.*, min(place) FILTER (WHERE verdict = 'ok') OVER (PARTITION BY id) AS first FROM judged) judged
),
ended AS (
    UPDATE executions e SET
        lifecycle_phase = 'terminal', ownership_state = 'unowned', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'success', attempt_state = 'attempt_terminal',
        ready = false, due_at = NULL, ended_by = 'complete',
        completed_at = r.now, last_transition_at = r.now, last_mutation_at = r.now
    FROM ranked r WHERE e.id = ANY (ARRAY[r.id]) AND is_first
),
closed AS (
    UPDATE attempts a SET phase = 'ended_success', ended_at = r.now
    FROM ranked r WHERE a.execution_id = ANY (ARRAY[r.id]) AND a.attempt_index = r.attempt_index AND is_first
),
result AS (
    INSERT INTO execution_results (execution_id, payload)
    SELECT id, ($6::bytea[])[place] FROM ranked WHERE is_first AND ($6::bytea[])[place] IS NOT NULL
),
released AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'released', worker_instance_id, 'completed'
    FROM ranked WHERE is_first ORDER BY place
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, 'success' FROM ranked WHERE is_first ORDER BY place
)
SELECT
    CASE WHEN is_behind AND verdict = 'ok' AND is_index THEN 'replay' WHEN is_behind THEN 'not_active'
        ELSE verdict END AS verdict,
    CASE WHEN is_behind THEN 'success' ELSE terminal_outcome END::text AS terminal_outcome,
    CASE WHEN is_behind THEN 'terminal' ELSE lifecycle_phase END::text AS lifecycle_phase,
    lease_epoch, attempt_id,
    CASE WHEN lifecycle_phase = 'suspended' AND suspension_timeout_at <= least(now, execution_deadline_at - 1)
        THEN timeout_behavior END AS timed_out,
    EXISTS (SELECT FROM completion_waiters WHERE expires_at > (SELECT now FROM clock)) AS listened
FROM ranked ORDER BY place;
