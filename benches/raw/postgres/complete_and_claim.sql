-- $1 id text, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 attempt_index int8, $6 lane_id text,
-- $7 new_lease_id uuid, $8 new_attempt_id uuid, $9 worker_id text, $10 worker_instance_id text, $11 ttl_ms int8
-- returns: ended bool, id text, attempt_index int8, lease_epoch int8 (of the next one, if there is one)
WITH clock AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now),
done AS (
    UPDATE raw_executions e SET state = 'done', completed_at = now, last_transition_at = now
    FROM clock
    WHERE e.id = $1 AND e.lease_id = $2 AND e.lease_epoch = $3 AND e.attempt_id = $4
      AND e.completed_at IS NULL AND e.lease_expires_at > now
    RETURNING e.id, e.namespace, e.lease_epoch, e.worker_instance_id, now
),
ended AS (
    UPDATE raw_attempts a SET phase = 'ended_success', ended_at = now
    FROM done WHERE a.execution_id = $1 AND a.attempt_index = $5
),
picked AS MATERIALIZED (
    SELECT id FROM raw_executions WHERE lane_id = $6 AND state = 'ready' AND EXISTS (SELECT FROM done)
    ORDER BY priority DESC, created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
),
taken AS (
    UPDATE raw_executions e SET
        state = 'leased', lease_id = $7, attempt_id = $8, worker_instance_id = $10,
        lease_acquired_at = now, lease_expires_at = now + $11, lease_epoch = lease_epoch + 1,
        attempt_count = attempt_count + 1, started_at = coalesce(started_at, now), last_transition_at = now
    FROM clock WHERE e.id = (SELECT id FROM picked)
    RETURNING e.id, e.namespace, e.attempt_count - 1 AS attempt_index, e.lease_epoch, now
),
opened AS (
    INSERT INTO raw_attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT id, attempt_index, $8, 'initial', 'started', now, $7, lease_epoch, $9, $10 FROM taken
),
events AS (
    INSERT INTO raw_events (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, $5, $2, id, namespace, kind, worker_instance_id
    FROM done, (VALUES ('released'), ('success')) kinds (kind)
    UNION ALL SELECT now, lease_epoch, attempt_index, $7, id, namespace, 'acquired', $10 FROM taken
)
SELECT EXISTS (SELECT FROM done) AS ended, t.id, t.attempt_index, t.lease_epoch
FROM (VALUES (1)) one LEFT JOIN taken t ON true;
