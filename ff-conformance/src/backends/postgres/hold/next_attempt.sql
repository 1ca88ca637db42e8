-- hold: the next attempt of an execution, which a claim then cannot write.
-- $1 id text
-- returns: pid int4
INSERT INTO attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at, lease_id, lease_epoch,
    worker_id, worker_instance_id)
SELECT id, total_attempt_count, gen_random_uuid(), 'initial', 'started', 0, gen_random_uuid(), 0, 'holder', 'holder'
FROM executions WHERE id = ff_id($1)
RETURNING pg_backend_pid() AS pid;
