-- claim: takes the first ready row of a lane if it is new or interrupted work of the one capability set that the worker
-- covers there, and nothing of the lane is due.
-- $1 lane_id text, $2 capabilities text[], $3 lease_id uuid, $4 attempt_id uuid, $5 worker_id text,
-- $6 worker_instance_id text, $7 ttl_ms int8
-- returns: verdict text, id text, kind text, lease_id uuid, attempt_id uuid, attempt_index int8, lease_epoch int8
-- verdict: taken, none, due if settle_due.sql has to go first, again if it takes claim_many.sql: several sets are
-- covered, the lease of the first row has lapsed, or others hold what is there
-- It has no part for take-overs: a claim pays for each part of its statement, whether or not it has rows.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
sets AS MATERIALIZED (
    SELECT min(set_id) AS set_id, count(*) AS many FROM lane_sets WHERE lane_id = $1 AND tokens <@ $2::text[]
),
-- Ordered: without an order the planner hopes to meet a due row early in a scan of the whole table.
due AS MATERIALIZED (
    SELECT due_at FROM executions WHERE lane_id = $1 AND due_at <= (SELECT now FROM clock) ORDER BY due_at, id LIMIT 1
),
held AS MATERIALIZED (
    SELECT id, ownership_state, attempt_state, execution_deadline_at, xmin AS version FROM executions
    WHERE set_id = (SELECT set_id FROM sets WHERE many = 1 AND NOT EXISTS (SELECT FROM due)) AND ready
      AND (execution_deadline_at IS NULL OR execution_deadline_at > (SELECT now FROM clock))
    ORDER BY priority DESC, created_at, id LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
),
-- Interrupted work must not have moved since the snapshot, or its attempt is not seen.
ok AS MATERIALIZED (
    SELECT id, attempt_state, attempt_state = 'attempt_interrupted' AS resumes, now
    FROM (SELECT held.*, ff_now_ms() AS now FROM held) timed
    WHERE ownership_state = 'unowned'
      AND (attempt_state <> 'attempt_interrupted'
          OR version = (SELECT s.xmin FROM executions s WHERE s.id = timed.id))
      AND (execution_deadline_at IS NULL OR execution_deadline_at > now)
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
    FROM ok WHERE e.id = (SELECT id FROM ok)
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
         WHEN (SELECT many FROM sets) > 1 OR EXISTS (
             SELECT FROM executions WHERE set_id = (SELECT set_id FROM sets) AND ready
               AND (execution_deadline_at IS NULL OR execution_deadline_at > (SELECT now FROM clock))) THEN 'again'
         ELSE 'none' END AS verdict,
    t.id, CASE WHEN resumes THEN 'resumed' ELSE 'fresh' END AS kind, $3 AS lease_id, t.attempt_id, t.attempt_index,
    t.lease_epoch
FROM (VALUES (1)) one LEFT JOIN taken t ON true;
