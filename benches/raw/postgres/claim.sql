-- $1 lane_id text, $2 lease_id uuid, $3 attempt_id uuid, $4 worker_id text, $5 worker_instance_id text, $6 ttl_ms int8
-- returns: id text, attempt_index int8, lease_epoch int8, attempt_id uuid, or no row
WITH clock AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now),
picked AS MATERIALIZED (
    SELECT id FROM raw_executions WHERE lane_id = $1 AND state = 'ready'
    ORDER BY priority DESC, created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
),
taken AS (
    UPDATE raw_executions e SET
        state = 'leased', lease_id = $2, attempt_id = $3, worker_instance_id = $5,
        lease_acquired_at = now, lease_expires_at = now + $6, lease_epoch = lease_epoch + 1,
        attempt_count = attempt_count + 1, started_at = coalesce(started_at, now), last_transition_at = now
    FROM clock WHERE e.id = (SELECT id FROM picked)
    RETURNING e.id, e.namespace, e.attempt_count - 1 AS attempt_index, e.lease_epoch, now
),
attempt AS (
    INSERT INTO raw_attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT id, attempt_index, $3, 'initial', 'started', now, $2, lease_epoch, $4, $5 FROM taken
),
event AS (
    INSERT INTO raw_events (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, attempt_index, $2, id, namespace, 'acquired', $5 FROM taken
)
SELECT id, attempt_index, lease_epoch, $3 AS attempt_id FROM taken;
