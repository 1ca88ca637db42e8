-- complete_and_claim: the execution ends with success, by the fence, and the first row of a lane is taken if it
-- has no attempt that goes on and nothing of the lane is due.
-- $1 id bytea, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 attempt_index int8, $6 payload bytea,
-- $7 lane_id text, $8 capabilities text[], $9 new_lease_id uuid, $10 new_attempt_id uuid, $11 worker_id text,
-- $12 worker_instance_id text, $13 ttl_ms int8, $14 read_at int8, $15 shelves int8[], $16 starts int8[],
-- $17 stops int8[], $18 due_start int8, $19 passes int8
-- returns: verdict text, took text, terminal_outcome text, lifecycle_phase text, id bytea, kind text, lease_id uuid,
--   attempt_id uuid, attempt_index int8, lease_epoch int8, timed_out text, listened bool,
--   now int8, oldest int8, own int8, clear_to int8, passes int8, shelves int8[], places int8[]
-- verdict: ok, replay, or a refusal: missing, again, deadline, not_active, lease_revoked, lease_expired, stale_lease
-- took, if verdict is ok or replay: taken, none, or claim if it takes the statements of claim
-- The first half is complete.sql. The second half chooses as claim.sql does, among all sets that the worker covers; what
-- an attempt was interrupted of, or a lease lapsed of, it leaves to that.
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN ended_by = 'complete' AND lease_id = $2 AND lease_epoch = $3 AND attempt_id = $4 AND attempt_index = $5
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
        blocking_reason = 'none', terminal_outcome = 'success', attempt_state = 'attempt_terminal', ready = false,
        due_at = NULL, ended_by = 'complete', completed_at = j.now, last_transition_at = j.now, last_mutation_at = j.now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok'
),
closed AS (
    UPDATE attempts a SET phase = 'ended_success', ended_at = j.now
    FROM judged j WHERE a.execution_id = $1 AND a.attempt_index = j.attempt_index AND j.verdict = 'ok'
),
result AS (
    INSERT INTO execution_results (execution_id, payload)
    SELECT id, $6 FROM judged WHERE verdict = 'ok' AND $6::bytea IS NOT NULL
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, 'success' FROM judged WHERE verdict = 'ok'
),
able AS MATERIALIZED (SELECT now FROM judged WHERE verdict IN ('ok', 'replay')),
due AS MATERIALIZED (SELECT d.due_at FROM able, ff_due($7, now, $14, $18) d LIMIT 1),
looks AS MATERIALIZED (
    SELECT w.* FROM able, ff_windows($7, $8, now, $14, $15, $16, $17, $19) w WHERE NOT EXISTS (SELECT FROM due)
),
heads AS MATERIALIZED (
    SELECT h.* FROM looks l, LATERAL (SELECT * FROM ff_ready(l.shelf, start, stop) WHERE id <> $1 LIMIT 8) h
    ORDER BY place, id LIMIT 8
),
begins AS MATERIALIZED (
    SELECT l.shelf, min(place) AS place FROM looks l LEFT JOIN heads h ON h.shelf = l.shelf
    WHERE ff_part(l.shelf) < 2 GROUP BY l.shelf HAVING count(place) > 0 OR (SELECT count(*) FROM heads) < 8
),
next AS MATERIALIZED (
    SELECT e.* FROM (SELECT * FROM heads ORDER BY place, id) h, LATERAL (
        SELECT ownership_state, attempt_state, ctid AS spot FROM executions
        WHERE ctid = h.spot AND xmin = h.version FOR NO KEY UPDATE SKIP LOCKED) e
    ORDER BY h.place, h.id LIMIT 1
),
fresh AS MATERIALIZED (
    SELECT spot, attempt_state, now FROM next, able
    WHERE ownership_state = 'unowned' AND attempt_state <> 'attempt_interrupted'
),
taken AS (
    UPDATE executions e SET
        lifecycle_phase = 'active', ownership_state = 'leased', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'none', attempt_state = 'running_attempt',
        ready = false, due_at = least(now + $13, now + e.attempt_timeout_ms, e.execution_deadline_at),
        delay_until = NULL, ended_by = NULL, grant_key = NULL, lease_id = $9, attempt_id = $10,
        attempt_index = e.total_attempt_count, total_attempt_count = e.total_attempt_count + 1,
        worker_instance_id = $12, lease_acquired_at = now, lease_last_renewed_at = NULL,
        lease_expires_at = least(now + $13, now + e.attempt_timeout_ms),
        attempt_timeout_at = now + e.attempt_timeout_ms, lease_epoch = e.lease_epoch + 1,
        started_at = coalesce(e.started_at, now), last_transition_at = now, last_mutation_at = now
    FROM fresh WHERE e.ctid = fresh.spot
    RETURNING e.id, e.namespace, e.attempt_index, e.lease_epoch, fresh.attempt_state, now
),
opened AS (
    INSERT INTO attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT id, attempt_index, $10, CASE WHEN attempt_index = 0 THEN 'initial'
        WHEN attempt_state = 'pending_replay_attempt' THEN 'replay' ELSE 'retry' END, 'started', now,
        $9, lease_epoch, $11, $12
    FROM taken
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'released', worker_instance_id, 'completed'
    FROM judged WHERE verdict = 'ok'
    UNION ALL SELECT now, lease_epoch, attempt_index, $9, id, namespace, 'acquired', $12, NULL FROM taken
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    CASE WHEN t.id IS NOT NULL THEN 'taken' WHEN EXISTS (SELECT FROM due) OR EXISTS (SELECT FROM heads) THEN 'claim'
        ELSE 'none' END AS took,
    j.terminal_outcome::text, j.lifecycle_phase::text, t.id, 'fresh' AS kind, $9 AS lease_id,
    CASE WHEN t.id IS NULL THEN j.attempt_id ELSE $10 END AS attempt_id, t.attempt_index,
    coalesce(t.lease_epoch, j.lease_epoch) AS lease_epoch,
    CASE WHEN j.lifecycle_phase = 'suspended' AND j.suspension_timeout_at <= least(j.now, j.execution_deadline_at - 1)
        THEN j.timeout_behavior END AS timed_out,
    coalesce(j.verdict = 'ok' AND EXISTS (SELECT FROM completion_waiters WHERE expires_at > j.now), false) AS listened,
    j.now AS now, ff_oldest() AS oldest, ff_own() AS own,
    (SELECT now FROM able WHERE NOT EXISTS (SELECT FROM due)) AS clear_to,
    (SELECT passes FROM lanes WHERE lane_id = $7 AND ($19 IS NOT NULL OR EXISTS (SELECT FROM heads WHERE ff_part(shelf) = 1))) AS passes,
    ARRAY(SELECT shelf FROM begins ORDER BY shelf) AS shelves, ARRAY(SELECT place FROM begins ORDER BY shelf) AS places
FROM (VALUES (1)) one LEFT JOIN judged j ON true LEFT JOIN taken t ON true;
