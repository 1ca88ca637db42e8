-- list_attempts: the attempts of an execution by index, behind a cursor, which is -1 before the first.
-- $1 id bytea, $2 cursor int8, $3 most int8
-- returns: attempt_index int8, attempt_id uuid, attempt_type text, phase text, lease_id uuid, lease_epoch int8,
--   worker_id text, worker_instance_id text, started_at int8, resumed_at int8, ended_at int8, failure_reason text,
--   failure_category text, expired_at int8
-- expired_at: when the deadline ended the execution, if nobody has written that down. What the time-out of a suspension
-- has done to its attempt is told as if it had been written down.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
timed AS MATERIALIZED (
    SELECT e.*, now, CASE
        WHEN lifecycle_phase = 'suspended' AND suspension_timeout_at <= least(now, execution_deadline_at - 1)
            AND timeout_behavior IN ('fail', 'cancel', 'expire') THEN timeout_behavior END AS timed_out
    FROM executions e, clock WHERE e.id = $1
)
SELECT
    a.attempt_index, a.attempt_id, a.attempt_type::text,
    CASE WHEN ended IS NULL THEN a.phase WHEN ended = 'cancel' THEN 'ended_cancelled' ELSE 'ended_failure' END::text AS phase,
    a.lease_id, a.lease_epoch, a.worker_id, a.worker_instance_id, a.started_at, a.resumed_at,
    CASE WHEN ended IS NULL THEN a.ended_at ELSE greatest(suspension_timeout_at, suspended_at) END AS ended_at,
    CASE WHEN ended IN ('fail', 'expire') THEN 'suspension_timeout:' || ended ELSE a.failure_reason END AS failure_reason,
    CASE WHEN ended IN ('fail', 'expire') THEN 'timeout' ELSE a.failure_category END AS failure_category,
    CASE WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now AND timed_out IS NULL
        THEN greatest(execution_deadline_at, created_at) END AS expired_at
FROM timed t JOIN attempts a ON a.execution_id = t.id
    CROSS JOIN LATERAL (SELECT CASE WHEN a.phase = 'suspended' THEN t.timed_out END AS ended) l
WHERE a.attempt_index > $2
ORDER BY a.attempt_index LIMIT $3;
