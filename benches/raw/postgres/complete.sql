-- $1 id text, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 attempt_index int8
-- returns: one row, or none if the lease is lost
WITH clock AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now),
done AS (
    UPDATE raw_executions e SET state = 'done', completed_at = now, last_transition_at = now
    FROM clock
    WHERE e.id = $1 AND e.lease_id = $2 AND e.lease_epoch = $3 AND e.attempt_id = $4
      AND e.completed_at IS NULL AND e.lease_expires_at > now
    RETURNING e.id, e.namespace, e.lease_epoch, e.worker_instance_id, now
),
attempt AS (
    UPDATE raw_attempts a SET phase = 'ended_success', ended_at = now
    FROM done WHERE a.execution_id = $1 AND a.attempt_index = $5
),
events AS (
    INSERT INTO raw_events (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, $5, $2, id, namespace, kind, worker_instance_id
    FROM done, (VALUES ('released'), ('success')) kinds (kind)
)
SELECT id FROM done;
