-- list_suspended: what is suspended, longest ago first, then by id, behind a place.
-- $1 after_at int8, $2 after_id bytea, $3 most int8
-- returns: id bytea, suspension_id uuid, suspended_at int8, timeout_at int8, reason text, requested_by text,
--   continuation_pointer text
-- What time has ended is not suspended, whether or not somebody has written that down.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now)
SELECT e.id, s.suspension_id, e.suspended_at,
    CASE WHEN suspension_timeout_at > now THEN suspension_timeout_at END AS timeout_at,
    CASE WHEN suspension_timeout_at <= now THEN 'waiting_for_operator_review' ELSE suspension_reason END AS reason,
    s.requested_by, s.continuation_pointer
FROM clock, executions e CROSS JOIN LATERAL (
    SELECT * FROM suspensions WHERE execution_id = e.id AND suspension_number = e.suspension_number LIMIT 1) s
WHERE lifecycle_phase = 'suspended' AND (suspended_at, id) > ($1, $2)
  AND (execution_deadline_at IS NULL OR execution_deadline_at > now)
  AND (suspension_timeout_at IS NULL OR suspension_timeout_at > now OR timeout_behavior = 'escalate')
ORDER BY suspended_at, id LIMIT $3;
