-- claim_many: takes the first ready rows of a lane that the worker's capabilities cover, in the order of the lane.
-- $1 lane_id text, $2 capabilities text[], $3 lease_ids uuid[], $4 attempt_ids uuid[], $5 worker_id text,
-- $6 worker_instance_id text, $7 ttl_ms int8, $8 read_at int8, $9 shelves int8[], $10 starts int8[], $11 stops int8[],
-- $12 due_start int8, $13 passes int8, $14 most int8, $15 window int8, $16 settled bool
-- returns: id bytea, kind text, lease_id uuid, attempt_id uuid, attempt_index int8, lease_epoch int8, verdict text,
--   due_in_ms int8, now int8, oldest int8, own int8, clear_to int8, passes int8, shelves int8[], places int8[]
-- shelves and places stand in the first row only.
-- verdict, in a row of its own if nothing was taken: taken, none, due if settle_due.sql has to go first ($16 says that
-- it went), again if all that could be taken was locked or has moved
-- Nothing is due up to clear_to, and what is ready on shelves begins at places, null where there is none: see marks.rs.
-- Nothing waits: rows are chosen unlocked and taken if nobody holds them and nobody wrote them since the snapshot, so what
-- that shows of attempts holds. The clock is read again once they are held: see marks.rs.
-- The rows that were chosen are found again by their place: no version of them goes while the snapshot stands.
-- An equality by = ANY (ARRAY[…]) keeps generic plans on primary keys.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
due AS MATERIALIZED (SELECT d.due_at FROM clock, ff_due($1, now, $8, $12) d WHERE NOT $16 LIMIT 1),
looks AS MATERIALIZED (
    SELECT w.* FROM clock, ff_windows($1, $2, now, $8, $9, $10, $11, $13) w WHERE NOT EXISTS (SELECT FROM due)
),
heads AS MATERIALIZED (
    SELECT h.* FROM looks l, LATERAL (SELECT * FROM ff_ready(l.shelf, start, stop)
        WHERE deadline_at IS NULL OR deadline_at > (SELECT now FROM clock) LIMIT $15) h
    ORDER BY place, id LIMIT $15
),
-- Where what is new and what time made ready begin; nothing of a shelf whose work may lie behind the window.
begins AS MATERIALIZED (
    SELECT l.shelf, min(place) AS place FROM looks l LEFT JOIN heads h ON h.shelf = l.shelf
    WHERE ff_part(l.shelf) < 2 GROUP BY l.shelf HAVING count(place) > 0 OR (SELECT count(*) FROM heads) < $15
),
held AS MATERIALIZED (
    SELECT e.*, place FROM (SELECT * FROM heads ORDER BY place, id) h, LATERAL (
        SELECT id, namespace, ownership_state, attempt_state, attempt_index, lease_id, lease_epoch, worker_instance_id,
            execution_deadline_at, ctid AS spot FROM executions
        WHERE ctid = h.spot AND xmin = h.version FOR NO KEY UPDATE SKIP LOCKED) e
    ORDER BY place, h.id LIMIT $14
),
read AS MATERIALIZED (SELECT ff_now_ms() AS now FROM (SELECT count(*) FROM held) all_held),
ok AS MATERIALIZED (
    SELECT held.*, now, ($3::uuid[])[nth] AS new_lease_id, ($4::uuid[])[nth] AS new_attempt_id,
        CASE WHEN ownership_state <> 'unowned' THEN 'reclaimed'
            WHEN attempt_state = 'attempt_interrupted' THEN 'resumed' ELSE 'fresh' END AS kind
    FROM (SELECT held.*, row_number() OVER (ORDER BY place, id) AS nth FROM held) held, read
    WHERE execution_deadline_at IS NULL OR execution_deadline_at > now
),
taken AS (
    UPDATE executions e SET
        lifecycle_phase = 'active', ownership_state = 'leased', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'none', attempt_state = 'running_attempt',
        ready = false, due_at = least(now + $7, now + e.attempt_timeout_ms, e.execution_deadline_at),
        delay_until = NULL, ended_by = NULL, grant_key = NULL, lease_id = new_lease_id,
        attempt_id = CASE WHEN kind = 'resumed' THEN e.attempt_id ELSE new_attempt_id END,
        attempt_index = CASE WHEN kind = 'resumed' THEN e.attempt_index ELSE e.total_attempt_count END,
        worker_instance_id = $6, lease_acquired_at = now, lease_last_renewed_at = NULL,
        lease_expires_at = least(now + $7, now + e.attempt_timeout_ms),
        attempt_timeout_at = now + e.attempt_timeout_ms, lease_epoch = e.lease_epoch + 1,
        total_attempt_count = e.total_attempt_count + (kind <> 'resumed')::int,
        lease_reclaim_count = e.lease_reclaim_count + (kind = 'reclaimed')::int,
        started_at = coalesce(e.started_at, now), last_transition_at = now, last_mutation_at = now
    FROM ok WHERE e.ctid = ok.spot
    RETURNING e.id, e.namespace, e.attempt_id, e.attempt_index, e.lease_epoch, new_lease_id, kind, nth,
        ok.attempt_state, now
),
opened AS (
    INSERT INTO attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT id, attempt_index, attempt_id, CASE
        WHEN kind = 'reclaimed' THEN 'reclaim' WHEN attempt_index = 0 THEN 'initial'
        WHEN attempt_state = 'pending_replay_attempt' THEN 'replay' ELSE 'retry' END, 'started', now,
        new_lease_id, lease_epoch, $5, $6
    FROM taken WHERE kind <> 'resumed'
),
resumed AS (
    UPDATE attempts a SET phase = 'started', resumed_at = now, lease_id = new_lease_id, lease_epoch = t.lease_epoch,
        worker_id = $5, worker_instance_id = $6
    FROM taken t
    WHERE a.execution_id = ANY (ARRAY[t.id]) AND a.attempt_index = t.attempt_index AND kind = 'resumed'
),
closed AS (
    UPDATE attempts a SET phase = 'interrupted_reclaimed', ended_at = now
    FROM ok
    WHERE a.execution_id = ANY (ARRAY[ok.id]) AND a.attempt_index = ok.attempt_index AND kind = 'reclaimed'
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, told, worker_instance_id FROM (
        SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'expired' AS told, worker_instance_id, nth,
            1 AS step FROM ok WHERE ownership_state = 'leased'
        UNION ALL
        SELECT now, lease_epoch, attempt_index, new_lease_id, id, namespace,
            CASE WHEN kind = 'reclaimed' THEN 'reclaimed' ELSE 'acquired' END, $6, nth, 2 FROM taken) events
    ORDER BY nth, step
)
SELECT t.id, t.kind, t.new_lease_id AS lease_id, t.attempt_id, t.attempt_index, t.lease_epoch,
    CASE WHEN t.id IS NOT NULL THEN 'taken' WHEN EXISTS (SELECT FROM due) THEN 'due'
        WHEN EXISTS (SELECT FROM heads) THEN 'again' ELSE 'none' END AS verdict,
    (SELECT due_at - (SELECT now FROM clock) FROM executions
        WHERE lane_id = $1 AND t.id IS NULL AND due_at > (SELECT now FROM clock) ORDER BY due_at, id LIMIT 1) AS due_in_ms,
    (SELECT now FROM clock) AS now, (SELECT ff_oldest()) AS oldest, (SELECT ff_own()) AS own,
    (SELECT now FROM clock WHERE NOT $16 AND NOT EXISTS (SELECT FROM due)) AS clear_to,
    (SELECT passes FROM lanes WHERE lane_id = $1 AND ($13 IS NOT NULL OR EXISTS (SELECT FROM heads WHERE ff_part(shelf) = 1))) AS passes,
    CASE WHEN coalesce(nth, 1) = 1 THEN ARRAY(SELECT shelf FROM begins ORDER BY shelf) END AS shelves,
    CASE WHEN coalesce(nth, 1) = 1 THEN ARRAY(SELECT place FROM begins ORDER BY shelf) END AS places
FROM (VALUES (1)) one LEFT JOIN taken t ON true ORDER BY t.nth;
