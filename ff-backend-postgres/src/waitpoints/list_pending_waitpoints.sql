-- list_pending_waitpoints: the waitpoints of an execution that take signals, by id, behind one.
-- $1 id bytea, $2 after uuid, $3 most int8
-- returns: waitpoint_id uuid, waitpoint_key text, active bool, created_at int8, activated_at int8, expires_at int8,
--   token_kid text, token_fingerprint text, leaves text
-- One row at least, without a waitpoint, if the execution exists. Leaves of an active one only.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
lives AS MATERIALIZED (
    SELECT e.*, lifecycle_phase = 'suspended' AND (suspension_timeout_at > now OR timeout_behavior = 'escalate'
        OR suspension_timeout_at IS NULL) AS open,
        lifecycle_phase = 'terminal' OR execution_deadline_at <= now OR (lifecycle_phase = 'suspended'
            AND suspension_timeout_at <= now AND timeout_behavior IN ('fail', 'cancel', 'expire')) AS over
    FROM executions e, clock WHERE e.id = $1
),
open AS MATERIALIZED (
    SELECT w.*, w.suspension_number IS NOT NULL AS active, l.suspension_timeout_at, now
    FROM lives l, clock, waitpoints w
    WHERE w.execution_id = $1 AND ($2::uuid IS NULL OR w.waitpoint_id > $2) AND l.over IS NOT TRUE
      AND CASE WHEN w.suspension_number IS NOT NULL THEN l.open AND w.suspension_number = l.suspension_number
          ELSE w.expires_at > now AND w.attempt_id = l.attempt_id
            AND l.attempt_state IN ('running_attempt', 'attempt_interrupted') END
    ORDER BY w.waitpoint_id LIMIT $3
)
SELECT o.waitpoint_id, o.waitpoint_key, o.active, o.created_at, o.activated_at,
    CASE WHEN NOT o.active THEN o.expires_at WHEN o.suspension_timeout_at > o.now THEN o.suspension_timeout_at END
        AS expires_at,
    o.token_kid, o.token_fingerprint,
    (SELECT u.leaves::text FROM suspensions u
        WHERE o.active AND u.execution_id = $1 AND u.suspension_number = o.suspension_number LIMIT 1) AS leaves
FROM lives l LEFT JOIN open o ON true ORDER BY o.waitpoint_id;
