-- $1 ids text[], $2 lease_ids uuid[], $3 lease_epochs int8[], $4 attempt_ids uuid[], $5 attempt_indexes int8[]
-- returns: a row for each that was ended
WITH clock AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now),
asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::int8[], $4::uuid[], $5::int8[])
        AS a (id, lease_id, lease_epoch, attempt_id, attempt_index)
),
done AS (
    UPDATE raw_executions e SET state = 'done', completed_at = now, last_transition_at = now
    FROM clock, asked a
    WHERE e.id = ANY ($1) AND e.id = a.id AND e.lease_id = a.lease_id AND e.lease_epoch = a.lease_epoch
      AND e.attempt_id = a.attempt_id AND e.completed_at IS NULL AND e.lease_expires_at > now
    RETURNING e.id, e.namespace, e.lease_epoch, e.lease_id, e.worker_instance_id, a.attempt_index, now
),
attempt AS (
    UPDATE raw_attempts a SET phase = 'ended_success', ended_at = now
    FROM done d WHERE a.execution_id = ANY ($1) AND a.execution_id = d.id AND a.attempt_index = d.attempt_index
),
events AS (
    INSERT INTO raw_events (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, kind, worker_instance_id
    FROM done, (VALUES ('released'), ('success')) kinds (kind)
)
SELECT id FROM done;
