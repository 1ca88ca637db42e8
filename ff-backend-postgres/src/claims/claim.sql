-- claim: takes the first ready row of a lane that the worker's capabilities cover if no lease of it has lapsed, and nothing
-- of the lane is due.
-- $1 lane_id text, $2 capabilities text[], $3 lease_id uuid, $4 attempt_id uuid, $5 worker_id text,
-- $6 worker_instance_id text, $7 ttl_ms int8, $8 read_at int8, $9 shelves int8[], $10 starts int8[], $11 stops int8[],
-- $12 due_start int8, $13 passes int8
-- returns: verdict text, id bytea, kind text, lease_id uuid, attempt_id uuid, attempt_index int8, lease_epoch int8,
--   now int8, oldest int8, own int8, clear_to int8, passes int8, shelves int8[], places int8[]
-- verdict: taken, none, due if settle_due.sql has to go first, again if it takes claim_many.sql: the lease of the first
-- row has lapsed, or others hold what is there
-- Nothing is due up to clear_to, and what is ready on shelves begins at places, null where there is none: see marks.rs.
-- Nothing waits: rows are chosen unlocked, and the first is taken that nobody holds and nobody wrote since the snapshot.
-- It has no part for take-overs: a claim pays for each part of its statement, whether or not it has rows.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
due AS MATERIALIZED (SELECT d.due_at FROM clock, ff_due($1, now, $8, $12) d LIMIT 1),
looks AS MATERIALIZED (
    SELECT w.* FROM clock, ff_windows($1, $2, now, $8, $9, $10, $11, $13) w WHERE NOT EXISTS (SELECT FROM due)
),
heads AS MATERIALIZED (
    SELECT h.* FROM looks l, LATERAL (SELECT * FROM ff_ready(l.shelf, start, stop) LIMIT 8) h
    ORDER BY place, id LIMIT 8
),
-- Where what is new and what time made ready begin; nothing of a shelf whose work may lie behind the window.
begins AS MATERIALIZED (
    SELECT l.shelf, min(place) AS place FROM looks l LEFT JOIN heads h ON h.shelf = l.shelf
    WHERE ff_part(l.shelf) < 2 GROUP BY l.shelf HAVING count(place) > 0 OR (SELECT count(*) FROM heads) < 8
),
held AS MATERIALIZED (
    SELECT e.* FROM (SELECT * FROM heads ORDER BY place, id) h, LATERAL (
        SELECT id, ownership_state, attempt_state, execution_deadline_at, ctid AS spot FROM executions
        WHERE ctid = h.spot AND xmin = h.version FOR NO KEY UPDATE SKIP LOCKED) e
    ORDER BY h.place, h.id LIMIT 1
),
ok AS MATERIALIZED (
    SELECT id, spot, attempt_state, attempt_state = 'attempt_interrupted' AS resumes, now
    FROM (SELECT held.*, ff_now_ms() AS now FROM held) timed
    WHERE ownership_state = 'unowned' AND (execution_deadline_at IS NULL OR execution_deadline_at > now)
),
taken AS (
    UPDATE executions e SET
        lifecycle_phase = 'active', ownership_state = 'leased', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'none', attempt_state = 'running_attempt',
        ready = false, due_at = least(now + $7, now + e.attempt_timeout_ms, e.execution_deadline_at),
        delay_until = NULL, ended_by = NULL, grant_key = NULL, lease_id = $3,
        attempt_id = CASE WHEN resumes THEN e.attempt_id ELSE $4 END,
        attempt_index = CASE WHEN resumes THEN e.attempt_index ELSE e.total_attempt_count END,
        total_attempt_count = e.total_attempt_count + (NOT resumes)::int,
        worker_instance_id = $6, lease_acquired_at = now, lease_last_renewed_at = NULL,
        lease_expires_at = least(now + $7, now + e.attempt_timeout_ms),
        attempt_timeout_at = now + e.attempt_timeout_ms, lease_epoch = e.lease_epoch + 1,
        started_at = coalesce(e.started_at, now), last_transition_at = now, last_mutation_at = now
    FROM ok WHERE e.ctid = ok.spot
    RETURNING e.id, e.namespace, e.attempt_id, e.attempt_index, e.lease_epoch, ok.attempt_state, resumes, now
),
opened AS (
    INSERT INTO attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT id, attempt_index, $4, CASE WHEN attempt_index = 0 THEN 'initial'
        WHEN attempt_state = 'pending_replay_attempt' THEN 'replay' ELSE 'retry' END, 'started', now,
        $3, lease_epoch, $5, $6
    FROM taken WHERE NOT resumes
),
resumed AS (
    UPDATE attempts a SET phase = 'started', resumed_at = now, lease_id = $3, lease_epoch = t.lease_epoch,
        worker_id = $5, worker_instance_id = $6
    FROM taken t WHERE a.execution_id = (SELECT id FROM ok WHERE resumes) AND a.attempt_index = t.attempt_index
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, attempt_index, $3, id, namespace, 'acquired', $6 FROM taken
)
SELECT
    CASE WHEN t.id IS NOT NULL THEN 'taken' WHEN EXISTS (SELECT FROM due) THEN 'due'
         WHEN EXISTS (SELECT FROM heads) THEN 'again' ELSE 'none' END AS verdict,
    t.id, CASE WHEN resumes THEN 'resumed' ELSE 'fresh' END AS kind, $3 AS lease_id, t.attempt_id, t.attempt_index, t.lease_epoch,
    (SELECT now FROM clock) AS now, ff_oldest() AS oldest, ff_own() AS own,
    (SELECT now FROM clock WHERE NOT EXISTS (SELECT FROM due)) AS clear_to,
    (SELECT passes FROM lanes WHERE lane_id = $1 AND ($13 IS NOT NULL OR EXISTS (SELECT FROM heads WHERE ff_part(shelf) = 1))) AS passes,
    ARRAY(SELECT shelf FROM begins ORDER BY shelf) AS shelves, ARRAY(SELECT place FROM begins ORDER BY shelf) AS places
FROM (VALUES (1)) one LEFT JOIN taken t ON true;
