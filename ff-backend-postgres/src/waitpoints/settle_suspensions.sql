-- settle_suspensions: writes down which suspensions of a lane have timed out, oldest due instant first, then id.
-- $1 lane_id text, $2 after_due int8, $3 after_id bytea, $4 most int8, $5 namespace text, $6 tag_key text, $7 tag_value text,
-- $8 last_due int8, $9 last_id bytea
-- returns: seen int8, held int8, settled int8, last_due int8, last_id bytea
-- Looks at the due rows up to the last place, in its turn, as settle_due.sql does, and leaves the others to that.
-- A suspension ends when its time came, not when somebody writes it down.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
seen AS MATERIALIZED (
    SELECT id, due_at, xmin AS version FROM executions
    WHERE lane_id = $1 AND due_at <= (SELECT now FROM clock) AND (due_at, id) > ($2, $3)
      AND (due_at, id) <= ($8, $9)
    ORDER BY due_at, id LIMIT $4
),
turn AS MATERIALIZED (
    SELECT lane_id FROM lanes WHERE lane_id = $1 AND xmin = (SELECT xmin FROM lanes WHERE lane_id = $1)
    FOR NO KEY UPDATE SKIP LOCKED
),
held AS MATERIALIZED (
    SELECT e.* FROM seen s JOIN executions e ON e.id = ANY (ARRAY[s.id]) AND e.xmin = s.version
    WHERE EXISTS (SELECT FROM turn) AND ($5::text IS NULL OR e.namespace = $5)
      AND ($6::text IS NULL OR EXISTS (
          SELECT FROM execution_inputs i WHERE i.execution_id = e.id AND i.tags ->> $6 = $7::text))
    FOR NO KEY UPDATE OF e SKIP LOCKED
),
read AS MATERIALIZED (SELECT ff_now_ms() AS now FROM (SELECT count(*) FROM held) all_held),
timed AS MATERIALIZED (
    SELECT held.*, now, greatest(suspension_timeout_at, suspended_at) AS ended_at FROM held, read
    WHERE lifecycle_phase = 'suspended' AND suspension_timeout_at <= least(now, execution_deadline_at - 1)
      AND (timeout_behavior IN ('fail', 'cancel', 'expire') OR coalesce(execution_deadline_at > now, true))
),
turned AS (
    UPDATE lanes SET lane_id = $1 WHERE lane_id = (SELECT turn.lane_id FROM turn, timed LIMIT 1)
),
ended AS (
    UPDATE executions e SET
        lifecycle_phase = 'terminal', blocking_reason = 'none', attempt_state = 'attempt_terminal',
        ready = false, due_at = NULL, ended_by = NULL, terminal_outcome = CASE t.timeout_behavior
            WHEN 'fail' THEN 'failed' WHEN 'cancel' THEN 'cancelled' ELSE 'expired' END,
        failure_reason = CASE WHEN t.timeout_behavior = 'cancel' THEN e.failure_reason
            ELSE 'suspension_timeout:' || t.timeout_behavior END,
        failure_category = CASE WHEN t.timeout_behavior = 'cancel' THEN e.failure_category ELSE 'timeout' END,
        cancellation_reason = CASE WHEN t.timeout_behavior = 'cancel' THEN 'suspension_timeout:cancel' END,
        cancelled_by = CASE WHEN t.timeout_behavior = 'cancel' THEN 'system_timeout' END,
        suspension_closed_at = ended_at, close_reason = 'timed_out_' || t.timeout_behavior,
        completed_at = ended_at, last_transition_at = now, last_mutation_at = now
    FROM timed t WHERE e.id = ANY (ARRAY[t.id]) AND t.timeout_behavior IN ('fail', 'cancel', 'expire')
    RETURNING e.id, e.namespace, e.terminal_outcome, t.due_at, now
),
resumed AS (
    UPDATE executions e SET
        lifecycle_phase = 'runnable', eligibility_state = 'eligible_now', blocking_reason = 'waiting_for_worker',
        ready = true, part = 2, due_at = e.execution_deadline_at,
        suspension_closed_at = ended_at, close_reason = 'timed_out_auto_resume',
        last_transition_at = now, last_mutation_at = now
    FROM timed t WHERE e.id = ANY (ARRAY[t.id]) AND t.timeout_behavior = 'auto_resume_with_timeout_signal'
),
escalated AS (
    UPDATE executions e SET
        blocking_reason = 'paused_by_operator', suspension_reason = 'waiting_for_operator_review',
        suspension_timeout_at = NULL, due_at = e.execution_deadline_at, last_transition_at = now, last_mutation_at = now
    FROM timed t WHERE e.id = ANY (ARRAY[t.id]) AND t.timeout_behavior = 'escalate'
),
closed AS (
    UPDATE attempts a SET ended_at = t.ended_at,
        phase = CASE WHEN t.timeout_behavior = 'cancel' THEN 'ended_cancelled' ELSE 'ended_failure' END,
        failure_reason = CASE WHEN t.timeout_behavior <> 'cancel' THEN 'suspension_timeout:' || t.timeout_behavior END,
        failure_category = CASE WHEN t.timeout_behavior <> 'cancel' THEN 'timeout' END
    FROM timed t
    WHERE a.execution_id = ANY (ARRAY[t.id]) AND a.attempt_index = t.attempt_index
      AND t.timeout_behavior IN ('fail', 'cancel', 'expire')
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, terminal_outcome FROM ended ORDER BY due_at, id
)
SELECT (SELECT count(*) FROM seen) AS seen, (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM timed) AS settled,
    (SELECT due_at FROM seen ORDER BY due_at DESC, id DESC LIMIT 1) AS last_due,
    (SELECT id FROM seen ORDER BY due_at DESC, id DESC LIMIT 1) AS last_id;
