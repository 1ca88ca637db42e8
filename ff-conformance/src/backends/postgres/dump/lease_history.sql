-- dump: the lease history of all executions, oldest first.
-- no parameters
-- returns: execution_id text, namespace text, kind text, lease_id uuid, lease_epoch int8, attempt_index int8,
--   worker_instance_id text, reason text, at int8
SELECT ff_id_text(execution_id) AS execution_id, namespace, kind, lease_id, lease_epoch, attempt_index,
    worker_instance_id, reason, at
FROM lease_events ORDER BY id;
