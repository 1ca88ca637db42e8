-- complete_many: each execution ends with success, by its own fence.
-- $1 ids text[], $2 lease_ids uuid[], $3 lease_epochs int8[], $4 attempt_ids uuid[], $5 attempt_indexes int8[],
-- $6 payloads bytea[]
-- returns: verdict text, terminal_outcome text, lifecycle_phase text, lease_epoch int8, attempt_id uuid, timed_out text,
--   listened bool
-- verdict, a row for each item in its place: ok, replay, or a refusal: missing, again, deadline, not_active,
-- lease_revoked, lease_expired, stale_lease
-- Rows are locked in the order of their ids, so that two batches never wait for each other in a circle.
WITH asked AS MATERIALIZED (
    SELECT a.* FROM unnest($1::text[], $2::uuid[], $3::int8[], $4::uuid[], $5::int8[])
        WITH ORDINALITY AS a (id, lease_id, lease_epoch, attempt_id, attempt_index, place)
),
seen AS MATERIALIZED (SELECT id, xmin AS version FROM executions WHERE id = ANY ($1)),
held AS MATERIALIZED (
    SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = ANY ($1) ORDER BY e.id FOR NO KEY UPDATE
),
clock AS MATERIALIZED (SELECT ff_now_ms() AS now FROM (SELECT count(*) FROM held) all_held),
judged AS MATERIALIZED (
    SELECT a.place, a.attempt_index AS asked_index, h.*, now, CASE
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN ended_by = 'complete' AND h.lease_id = a.lease_id AND h.lease_epoch = a.lease_epoch
            AND h.attempt_id = a.attempt_id AND h.attempt_index = a.attempt_index THEN 'replay'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN h.lease_id = a.lease_id AND h.lease_epoch = a.lease_epoch AND h.attempt_id = a.attempt_id THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM asked a JOIN held h ON h.id = a.id JOIN seen s ON s.id = h.id AND s.version = h.version, clock
),
-- The first of the items that complete one execution does so; those behind it see that.
first AS MATERIALIZED (SELECT DISTINCT ON (id) * FROM judged WHERE verdict = 'ok' ORDER BY id, place),
ended AS (
    UPDATE executions e SET
        lifecycle_phase = 'terminal', ownership_state = 'unowned', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'success', attempt_state = 'attempt_terminal',
        ready = false, due_at = NULL, ended_by = 'complete',
        completed_at = f.now, last_transition_at = f.now, last_mutation_at = f.now
    FROM first f WHERE e.id = ANY (ARRAY(SELECT id FROM first)) AND e.id = f.id
),
closed AS (
    UPDATE attempts a SET phase = 'ended_success', ended_at = f.now
    FROM first f WHERE a.execution_id = ANY (ARRAY(SELECT id FROM first))
      AND a.execution_id = f.id AND a.attempt_index = f.attempt_index
),
result AS (
    INSERT INTO execution_results (execution_id, payload)
    SELECT f.id, p.payload FROM first f JOIN unnest($6::bytea[]) WITH ORDINALITY AS p (payload, place) USING (place)
    WHERE p.payload IS NOT NULL
),
released AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'released', worker_instance_id, 'completed'
    FROM first ORDER BY place
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, 'success' FROM first ORDER BY place
)
SELECT
    CASE WHEN f.place < j.place AND j.verdict = 'ok' AND j.asked_index = j.attempt_index THEN 'replay'
        WHEN f.place < j.place THEN 'not_active'
        WHEN j.id IS NOT NULL THEN j.verdict WHEN h.id IS NOT NULL THEN 'again' ELSE 'missing' END AS verdict,
    CASE WHEN f.place < j.place THEN 'success' ELSE j.terminal_outcome END AS terminal_outcome,
    CASE WHEN f.place < j.place THEN 'terminal' ELSE j.lifecycle_phase END AS lifecycle_phase,
    j.lease_epoch, j.attempt_id,
    CASE WHEN j.lifecycle_phase = 'suspended' AND j.suspension_timeout_at <= least(j.now, j.execution_deadline_at - 1)
        THEN j.timeout_behavior END AS timed_out,
    EXISTS (SELECT FROM completion_waiters WHERE expires_at > (SELECT min(now) FROM first)) AS listened
FROM asked a LEFT JOIN held h ON h.id = a.id LEFT JOIN judged j ON j.place = a.place LEFT JOIN first f ON f.id = a.id
ORDER BY a.place;
