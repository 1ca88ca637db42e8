-- As claim.sql, where what was resumed goes on with its attempt.
-- $1 lane_id text, $2 lease_id uuid, $3 attempt_id uuid, $4 worker_id text, $5 worker_instance_id text, $6 ttl_ms int8
-- returns: id text, attempt_index int8, lease_epoch int8, attempt_id uuid, or no row
WITH clock AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now),
picked AS MATERIALIZED (
    SELECT id, resumed_at FROM raw_executions WHERE lane_id = $1 AND state = 'ready'
    ORDER BY priority DESC, created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
),
taken AS (
    UPDATE raw_executions e SET
        state = 'leased', lease_id = $2, worker_instance_id = $5, lease_acquired_at = now, lease_expires_at = now + $6,
        attempt_id = CASE WHEN resumed_at IS NULL THEN $3 ELSE attempt_id END,
        attempt_count = attempt_count + (resumed_at IS NULL)::int, resumed_at = NULL, lease_epoch = lease_epoch + 1,
        started_at = coalesce(started_at, now), last_transition_at = now
    FROM clock WHERE e.id = (SELECT id FROM picked)
    RETURNING e.id, e.namespace, e.attempt_count - 1 AS attempt_index, e.attempt_id, e.lease_epoch, now
),
opened AS (
    INSERT INTO raw_attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT t.id, attempt_index, attempt_id, 'initial', 'started', now, $2, lease_epoch, $4, $5
    FROM taken t, picked WHERE resumed_at IS NULL
),
resumed AS (
    UPDATE raw_attempts a SET phase = 'started', lease_id = $2, lease_epoch = t.lease_epoch, worker_id = $4,
        worker_instance_id = $5
    FROM taken t WHERE a.execution_id = (SELECT id FROM picked WHERE resumed_at IS NOT NULL)
      AND a.attempt_index = t.attempt_index
),
event AS (
    INSERT INTO raw_events (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, attempt_index, $2, id, namespace, 'acquired', $5 FROM taken
)
SELECT id, attempt_index, lease_epoch, attempt_id FROM taken;
