-- claim_for_worker: reserves the first ready row of a lane that the worker's capabilities cover, in the order of the
--   lane, unless a row of the lane is due.
-- $1 lane_id text, $2 capabilities text[], $3 grant_key uuid, $4 worker_id text, $5 worker_instance_id text,
-- $6 ttl_ms int8, $7 window int8, $8 settled bool, $9 read_at int8, $10 shelves int8[], $11 starts int8[],
-- $12 stops int8[], $13 due_start int8, $14 passes int8
-- returns: verdict text, id bytea, expires_at int8, now int8, oldest int8, own int8, clear_to int8, passes int8, shelves int8[], places int8[]
-- verdict: granted, none, due if settle_due.sql has to go first ($8 says that it went), again if all that could be
-- reserved was locked or has moved
-- Nothing is due up to clear_to, and what is ready on shelves begins at places, null where there is none: see marks.rs.
-- Nothing waits: rows are chosen unlocked and the first is reserved that nobody holds and nobody wrote since the
-- snapshot. What time has done to the row is written down, so that the grant is all that it waits for.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
due AS MATERIALIZED (SELECT d.due_at FROM clock, ff_due($1, now, $9, $13) d WHERE NOT $8 LIMIT 1),
looks AS MATERIALIZED (
    SELECT w.* FROM clock, ff_windows($1, $2, now, $9, $10, $11, $12, $14) w WHERE NOT EXISTS (SELECT FROM due)
),
heads AS MATERIALIZED (
    SELECT h.* FROM looks l, LATERAL (SELECT * FROM ff_ready(l.shelf, start, stop)
        WHERE deadline_at IS NULL OR deadline_at > (SELECT now FROM clock) LIMIT $7) h
    ORDER BY place, id LIMIT $7
),
-- Where what is new and what time made ready begin; nothing of a shelf whose work may lie behind the window.
begins AS MATERIALIZED (
    SELECT l.shelf, min(place) AS place FROM looks l LEFT JOIN heads h ON h.shelf = l.shelf
    WHERE ff_part(l.shelf) < 2 GROUP BY l.shelf HAVING count(place) > 0 OR (SELECT count(*) FROM heads) < $7
),
held AS MATERIALIZED (
    SELECT e.id, e.namespace, e.ownership_state, e.attempt_index, e.lease_id, e.lease_epoch, e.worker_instance_id,
        e.execution_deadline_at
    FROM (SELECT * FROM heads ORDER BY place, id) h
        JOIN executions e ON e.id = ANY (ARRAY[h.id]) AND e.xmin = h.version
    ORDER BY place, h.id LIMIT 1 FOR NO KEY UPDATE OF e SKIP LOCKED
),
ok AS MATERIALIZED (
    SELECT timed.*, ownership_state = 'leased' AS lapsed FROM (SELECT held.*, ff_now_ms() AS now FROM held) timed
    WHERE execution_deadline_at IS NULL OR execution_deadline_at > now
),
granted AS (
    UPDATE executions e SET
        grant_key = $3, grant_worker_id = $4, grant_worker_instance_id = $5, grant_expires_at = now + $6,
        grant_redeemed = false, ready = false, due_at = least(now + $6, e.execution_deadline_at),
        ownership_state = CASE WHEN lapsed THEN 'lease_expired_reclaimable' ELSE e.ownership_state END,
        attempt_state = CASE WHEN lapsed THEN 'attempt_interrupted' ELSE e.attempt_state END,
        eligibility_state = CASE WHEN e.lifecycle_phase = 'runnable' THEN 'eligible_now' ELSE e.eligibility_state END,
        blocking_reason = 'waiting_for_worker',
        last_transition_at = CASE WHEN lapsed THEN now ELSE e.last_transition_at END, last_mutation_at = now
    FROM ok WHERE e.id = (SELECT id FROM ok)
    RETURNING e.id, e.grant_expires_at
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'expired', worker_instance_id FROM ok WHERE lapsed
)
SELECT
    CASE WHEN g.id IS NOT NULL THEN 'granted' WHEN EXISTS (SELECT FROM due) THEN 'due'
        WHEN EXISTS (SELECT FROM heads) THEN 'again' ELSE 'none' END AS verdict,
    g.id, g.grant_expires_at AS expires_at,
    (SELECT now FROM clock) AS now, ff_oldest() AS oldest, ff_own() AS own,
    (SELECT now FROM clock WHERE NOT $8 AND NOT EXISTS (SELECT FROM due)) AS clear_to,
    (SELECT passes FROM lanes WHERE lane_id = $1 AND ($14 IS NOT NULL OR EXISTS (SELECT FROM heads WHERE ff_part(shelf) = 1))) AS passes,
    ARRAY(SELECT shelf FROM begins ORDER BY shelf) AS shelves, ARRAY(SELECT place FROM begins ORDER BY shelf) AS places
FROM (VALUES (1)) one LEFT JOIN granted g ON true;
