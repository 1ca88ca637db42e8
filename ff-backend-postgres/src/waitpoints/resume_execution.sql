-- resume_execution: an operator ends the suspension, and so closes all its waitpoints; no signal is recorded.
-- $1 id bytea, $2 delay_ms int8, $3 reason text
-- returns: verdict text, delayed bool, awaited text
-- verdict: ok, replay, or a refusal: missing, again, not_suspended
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN lifecycle_phase = 'runnable' AND close_reason = 'operator_resumed' AND ended_by = 'suspend'
            AND coalesce(execution_deadline_at > now, true) THEN 'replay'
        WHEN lifecycle_phase <> 'suspended' OR execution_deadline_at <= now
            OR (suspension_timeout_at <= now AND timeout_behavior <> 'escalate') THEN 'not_suspended'
        ELSE 'ok' END AS verdict
    FROM ok
),
resumed AS (
    UPDATE executions e SET
        lifecycle_phase = 'runnable', ownership_state = 'unowned', attempt_state = 'attempt_interrupted',
        eligibility_state = CASE WHEN $2::int8 > 0 THEN 'not_eligible_until_time' ELSE 'eligible_now' END,
        blocking_reason = CASE WHEN $2 > 0 THEN 'waiting_for_resume_delay' ELSE 'waiting_for_worker' END,
        ready = $2 = 0, part = 2, delay_until = CASE WHEN $2 > 0 THEN now + $2 END,
        due_at = least(CASE WHEN $2 > 0 THEN now + $2 END, e.execution_deadline_at),
        suspension_closed_at = now, close_reason = 'operator_resumed', last_transition_at = now, last_mutation_at = now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok'
),
operated AS (
    INSERT INTO operator_events (at, execution_id, namespace, kind, detail)
    SELECT now, id, namespace, 'resumed', $3 FROM judged WHERE verdict = 'ok'
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    CASE WHEN j.verdict = 'ok' THEN $2 > 0 ELSE coalesce(delay_until > now, false) END AS delayed,
    (SELECT w.lane_id FROM claim_waiters w
        WHERE j.verdict = 'ok' AND w.lane_id = j.lane_id AND w.expires_at > j.now LIMIT 1) AS awaited
FROM (VALUES (1)) one LEFT JOIN judged j ON true;
