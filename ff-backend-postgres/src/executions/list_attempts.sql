-- list_attempts: the attempts of an execution by index, behind a cursor, which is -1 before the first.
-- $1 id text, $2 cursor int8, $3 most int8
-- returns: attempt_index int8, attempt_id uuid, attempt_type text, phase text, lease_id uuid, lease_epoch int8,
--   worker_id text, worker_instance_id text, started_at int8, resumed_at int8, ended_at int8, failure_reason text,
--   failure_category text, expired_at int8
-- expired_at: when the deadline ended the execution, if nobody has written that down.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now)
SELECT
    a.attempt_index, a.attempt_id, a.attempt_type, a.phase, a.lease_id, a.lease_epoch, a.worker_id,
    a.worker_instance_id, a.started_at, a.resumed_at, a.ended_at, a.failure_reason, a.failure_category,
    CASE WHEN e.lifecycle_phase <> 'terminal' AND e.execution_deadline_at <= now
        THEN greatest(e.execution_deadline_at, e.created_at) END AS expired_at
FROM clock, executions e JOIN attempts a ON a.execution_id = e.id
WHERE e.id = $1 AND a.attempt_index > $2
ORDER BY a.attempt_index LIMIT $3;
