-- $1 id text, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 attempt_index int8, $6 token uuid
-- returns: one row, or none if the lease is lost
WITH clock AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now),
done AS (
    UPDATE raw_executions e SET state = 'suspended', token = $6, last_transition_at = now
    FROM clock
    WHERE e.id = $1 AND e.lease_id = $2 AND e.lease_epoch = $3 AND e.attempt_id = $4
      AND e.state = 'leased' AND e.lease_expires_at > now
    RETURNING e.id, e.namespace, e.lease_epoch, e.worker_instance_id, now
),
attempt AS (
    UPDATE raw_attempts a SET phase = 'suspended' FROM done WHERE a.execution_id = $1 AND a.attempt_index = $5
),
suspension AS (
    INSERT INTO raw_suspensions (execution_id, suspended_at, lease_epoch, token, condition)
    SELECT id, now, lease_epoch, $6, '[{"keys": ["approval"], "n": 1}]' FROM done
),
waitpoint AS (
    INSERT INTO raw_waitpoints (execution_id, token, created_at, waitpoint_key) SELECT id, $6, now, 'approval' FROM done
),
event AS (
    INSERT INTO raw_events (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, $5, $2, id, namespace, 'released', worker_instance_id FROM done
)
SELECT id FROM done;
