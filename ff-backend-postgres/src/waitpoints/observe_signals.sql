-- observe_signals: the signals of the latest suspension of an attempt, in the order of their acceptance.
-- $1 id bytea, $2 attempt_id uuid
-- returns: resumed_by text, suspension_id uuid, timed_out_at int8, leaves text, waitpoint_key text, signal_id uuid,
--   signal_name text, signal_category text, source_type text, source_identity text, correlation_id text,
--   accepted_at int8, payload bytea, payload_encoding text
-- One row at least if the execution exists, without a signal if there is none. resumed_by is null if the suspension is of
-- another attempt, is open, or did not resume the attempt; else resumed, or timed_out_auto_resume, which time alone does,
-- also to an execution that has ended since.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
closed AS MATERIALIZED (
    SELECT u.suspension_id, u.waitpoint_ids, u.leaves, CASE
        WHEN u.attempt_id <> $2 THEN NULL WHEN close_reason IN ('resumed', 'timed_out_auto_resume') THEN close_reason
        WHEN close_reason IS NULL AND timeout_behavior = 'auto_resume_with_timeout_signal'
            AND suspension_timeout_at <= least(coalesce(suspension_closed_at, completed_at, now), execution_deadline_at - 1)
            THEN 'timed_out_auto_resume' END AS resumed_by,
        greatest(suspension_timeout_at, suspended_at) AS timed_out_at
    FROM clock, executions e LEFT JOIN LATERAL (
        SELECT * FROM suspensions WHERE execution_id = e.id AND suspension_number = e.suspension_number LIMIT 1) u ON true
    WHERE e.id = $1
)
SELECT c.resumed_by, c.suspension_id, c.timed_out_at, c.leaves::text AS leaves, s.waitpoint_key, s.signal_id, s.signal_name,
    s.signal_category, s.source_type, s.source_identity, s.correlation_id, s.accepted_at, s.payload, s.payload_encoding
FROM closed c LEFT JOIN LATERAL (
    SELECT w.waitpoint_key, s.* FROM unnest(c.waitpoint_ids) AS i (id)
        CROSS JOIN LATERAL (
            SELECT waitpoint_key FROM waitpoints WHERE execution_id = $1 AND waitpoint_id = i.id LIMIT 1) w
        CROSS JOIN LATERAL (SELECT * FROM signals WHERE execution_id = $1 AND waitpoint_id = i.id OFFSET 0) s
    WHERE c.resumed_by = 'resumed') s ON true
ORDER BY s.place;
