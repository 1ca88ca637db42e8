-- $1 id text, $2 token uuid, $3 signal_id uuid, $4 name text
-- returns: one row, or none if nothing waits for it
WITH clock AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now),
resumed AS (
    UPDATE raw_executions e SET state = 'ready', token = NULL, resumed_at = now, last_transition_at = now
    FROM clock WHERE e.id = $1 AND e.state = 'suspended' AND e.token = $2
    RETURNING e.id, e.namespace, e.lease_epoch, e.worker_instance_id, now
),
signal AS (
    INSERT INTO raw_signals (execution_id, token, signal_id, accepted_at, signal_name)
    SELECT id, $2, $3, now, $4 FROM resumed
),
event AS (
    INSERT INTO raw_events (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, 0, $3, id, namespace, 'satisfied', worker_instance_id FROM resumed
)
SELECT id FROM resumed;
