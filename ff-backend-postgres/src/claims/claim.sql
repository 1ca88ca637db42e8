-- claim: takes the first ready row of a lane that the worker's capabilities cover, unless a row of the lane is due.
-- $1 lane_id text, $2 capabilities text[], $3 lease_id uuid, $4 attempt_id uuid, $5 worker_id text,
-- $6 worker_instance_id text, $7 ttl_ms int8, $8 settled bool
-- returns: verdict text, id text, kind text, lease_id uuid, attempt_id uuid, attempt_index int8, lease_epoch int8,
--   due_in_ms int8
-- verdict: taken, none, due if settle_due.sql has to go first ($8 says that it went), again if it takes claim_many.sql
-- due_in_ms: if nothing was taken, until time changes a row of the lane
-- It chooses a set by the heads of all covered sets, and then the first row of that set that nobody holds. It writes
-- nothing and says 'again' if the head of another set goes before the row it got, or if it got none that stood still.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
-- Ordered: without an order the planner hopes to meet a due row early in a scan of the whole table.
due AS MATERIALIZED (
    SELECT due_at FROM executions WHERE lane_id = $1 AND NOT $8 AND due_at <= (SELECT now FROM clock)
    ORDER BY due_at, id LIMIT 1
),
heads AS MATERIALIZED (
    SELECT h.* FROM lane_sets s, LATERAL (
        SELECT set_id, priority, created_at, id FROM executions
        WHERE set_id = s.set_id AND ready
          AND (execution_deadline_at IS NULL OR execution_deadline_at > (SELECT now FROM clock))
        ORDER BY priority DESC, created_at, id LIMIT 1) h
    WHERE s.lane_id = $1 AND s.tokens <@ $2::text[] AND NOT EXISTS (SELECT FROM due)
),
held AS MATERIALIZED (
    SELECT id, set_id, priority, created_at, namespace, ownership_state, attempt_state, attempt_index, lease_id,
        lease_epoch, worker_instance_id, execution_deadline_at, xmin AS version
    FROM executions
    WHERE set_id = (SELECT set_id FROM heads ORDER BY priority DESC, created_at, id LIMIT 1) AND ready
      AND (execution_deadline_at IS NULL OR execution_deadline_at > (SELECT now FROM clock))
    ORDER BY priority DESC, created_at, id LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
),
timed AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held),
-- A row with an open attempt must not have moved since the snapshot, or the attempt is not seen.
ok AS MATERIALIZED (
    SELECT t.*, CASE WHEN ownership_state <> 'unowned' THEN 'reclaimed'
        WHEN attempt_state = 'attempt_interrupted' THEN 'resumed' ELSE 'fresh' END AS kind
    FROM timed t
    WHERE (execution_deadline_at IS NULL OR execution_deadline_at > now)
      AND CASE WHEN attempt_state IN ('pending_first_attempt', 'pending_retry_attempt', 'pending_replay_attempt')
          THEN true ELSE version = (SELECT s.xmin FROM executions s WHERE s.id = t.id) END
      AND NOT EXISTS (
          SELECT FROM heads h WHERE h.set_id <> t.set_id
            AND (-h.priority, h.created_at, h.id) < (-t.priority, t.created_at, t.id))
),
taken AS (
    UPDATE executions e SET
        lifecycle_phase = 'active', ownership_state = 'leased', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'none', attempt_state = 'running_attempt',
        ready = false, due_at = least(now + $7, now + e.attempt_timeout_ms, e.execution_deadline_at),
        delay_until = NULL, ended_by = NULL, grant_key = NULL, lease_id = $3,
        attempt_id = CASE WHEN kind = 'resumed' THEN e.attempt_id ELSE $4 END,
        attempt_index = CASE WHEN kind = 'resumed' THEN e.attempt_index ELSE e.total_attempt_count END,
        worker_instance_id = $6, lease_acquired_at = now, lease_last_renewed_at = NULL,
        lease_expires_at = least(now + $7, now + e.attempt_timeout_ms),
        attempt_timeout_at = now + e.attempt_timeout_ms, lease_epoch = e.lease_epoch + 1,
        total_attempt_count = e.total_attempt_count + (kind <> 'resumed')::int,
        lease_reclaim_count = e.lease_reclaim_count + (kind = 'reclaimed')::int,
        started_at = coalesce(e.started_at, now), last_transition_at = now, last_mutation_at = now
    FROM ok WHERE e.id = (SELECT id FROM ok)
    RETURNING e.id, e.namespace, e.attempt_id, e.attempt_index, e.lease_epoch, kind, ok.attempt_state, now
),
opened AS (
    INSERT INTO attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT id, attempt_index, attempt_id, CASE
        WHEN kind = 'reclaimed' THEN 'reclaim' WHEN attempt_index = 0 THEN 'initial'
        WHEN attempt_state = 'pending_replay_attempt' THEN 'replay' ELSE 'retry' END, 'started', now,
        $3, lease_epoch, $5, $6
    FROM taken WHERE kind <> 'resumed'
),
resumed AS (
    UPDATE attempts a SET phase = 'started', resumed_at = now, lease_id = $3, lease_epoch = t.lease_epoch,
        worker_id = $5, worker_instance_id = $6
    FROM taken t WHERE a.execution_id = (SELECT id FROM ok WHERE kind = 'resumed') AND a.attempt_index = t.attempt_index
),
closed AS (
    UPDATE attempts a SET phase = 'interrupted_reclaimed', ended_at = now
    FROM ok WHERE a.execution_id = (SELECT id FROM ok WHERE kind = 'reclaimed') AND a.attempt_index = ok.attempt_index
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'expired', worker_instance_id
    FROM ok WHERE ownership_state = 'leased'
    UNION ALL
    SELECT now, lease_epoch, attempt_index, $3, id, namespace,
        CASE WHEN kind = 'reclaimed' THEN 'reclaimed' ELSE 'acquired' END, $6 FROM taken
)
SELECT
    CASE WHEN t.id IS NOT NULL THEN 'taken' WHEN EXISTS (SELECT FROM due) THEN 'due'
         WHEN EXISTS (SELECT FROM heads) THEN 'again' ELSE 'none' END AS verdict,
    t.id, t.kind, $3 AS lease_id, t.attempt_id, t.attempt_index, t.lease_epoch,
    (SELECT due_at - (SELECT now FROM clock) FROM executions
        WHERE lane_id = $1 AND t.id IS NULL AND due_at > (SELECT now FROM clock) ORDER BY due_at, id LIMIT 1) AS due_in_ms
FROM (VALUES (1)) one LEFT JOIN taken t ON true;
