-- $1 lane_id text, $2 lease_ids uuid[], $3 attempt_ids uuid[], $4 worker_id text, $5 worker_instance_id text,
-- $6 ttl_ms int8, $7 most int8
-- returns: id text, attempt_index int8, lease_epoch int8, lease_id uuid, attempt_id uuid
WITH clock AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now),
picked AS MATERIALIZED (
    SELECT id FROM raw_executions WHERE lane_id = $1 AND state = 'ready'
    ORDER BY priority DESC, created_at, id LIMIT $7 FOR UPDATE SKIP LOCKED
),
placed AS MATERIALIZED (
    SELECT id, ($2::uuid[])[place] AS new_lease_id, ($3::uuid[])[place] AS new_attempt_id
    FROM (SELECT id, row_number() OVER () AS place FROM picked) p
),
taken AS (
    UPDATE raw_executions e SET
        state = 'leased', lease_id = new_lease_id, attempt_id = new_attempt_id, worker_instance_id = $5,
        lease_acquired_at = now, lease_expires_at = now + $6, lease_epoch = lease_epoch + 1,
        attempt_count = attempt_count + 1, started_at = coalesce(started_at, now), last_transition_at = now
    FROM clock, placed p WHERE e.id = ANY (ARRAY(SELECT id FROM picked)) AND e.id = p.id
    RETURNING e.id, e.namespace, e.attempt_count - 1 AS attempt_index, e.lease_epoch, e.lease_id, e.attempt_id, now
),
attempt AS (
    INSERT INTO raw_attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT id, attempt_index, attempt_id, 'initial', 'started', now, lease_id, lease_epoch, $4, $5 FROM taken
),
event AS (
    INSERT INTO raw_events (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'acquired', $5 FROM taken
)
SELECT id, attempt_index, lease_epoch, lease_id, attempt_id FROM taken;
