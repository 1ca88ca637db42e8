-- deliver_signal: a signal for a waitpoint, whose token was checked; one that satisfies the condition of the suspension
--   resumes the execution, and so closes all its waitpoints.
-- $1 id bytea, $2 waitpoint_id uuid, $3 kid text, $4 ring int8, $5 signal_id uuid, $6 name text, $7 category text,
-- $8 source_type text, $9 source_identity text, $10 correlation_id text, $11 payload bytea, $12 payload_encoding text,
-- $13 idempotency_key text, $14 dedup_ms int8, $15 delay_ms int8, $16 most int8
-- returns: verdict text, signal_id uuid, effect text, awaited text
-- verdict: ok, duplicate of the signal that comes back, again, ring if the keys are of another version, or a refusal:
--   token_expired, no_waitpoint, target_not_signalable, waitpoint_closed, signal_limit
-- Progress of a leaf: how many different ones of what it counts have come, up to those it asks for.
WITH ring AS MATERIALIZED (SELECT version FROM waitpoint_ring WHERE version = $4),
seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (
    SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 AND EXISTS (SELECT FROM ring) FOR NO KEY UPDATE
),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
vouched AS MATERIALIZED (SELECT FROM ok JOIN waitpoint_secrets s ON s.kid = $3 WHERE coalesce(s.expires_at > now, true)),
timed AS MATERIALIZED (
    SELECT ok.*, CASE WHEN lifecycle_phase = 'suspended'
        AND suspension_timeout_at <= least(now, execution_deadline_at - 1) THEN timeout_behavior END AS timed_out FROM ok
),
target AS MATERIALIZED (
    SELECT t.*, w.waitpoint_key, w.suspension_number AS committed_to, w.expires_at AS pending_until, w.attempt_id AS opener
    FROM timed t JOIN waitpoints w ON w.execution_id = $1 AND w.waitpoint_id = $2 WHERE EXISTS (SELECT FROM vouched)
),
first AS MATERIALIZED (
    SELECT s.signal_id, s.place FROM target t JOIN signals s ON s.execution_id = $1 AND s.waitpoint_id = $2
    WHERE s.idempotency_key = $13::text AND s.dedup_expires_at > t.now
    UNION ALL SELECT signal_id, place FROM signals
    WHERE execution_id = $1 AND waitpoint_id = $2 AND signal_id = $5 AND EXISTS (SELECT FROM target)
    ORDER BY place LIMIT 1
),
judged AS MATERIALIZED (
    SELECT t.*, committed_to IS NULL AS pending, CASE
        WHEN EXISTS (SELECT FROM first) THEN 'duplicate'
        WHEN lifecycle_phase = 'terminal' OR execution_deadline_at <= now OR timed_out IN ('fail', 'cancel', 'expire')
            THEN 'target_not_signalable'
        WHEN committed_to IS NULL AND pending_until > now AND opener = attempt_id
            AND attempt_state IN ('running_attempt', 'attempt_interrupted') THEN CASE
            WHEN signal_count >= nullif(coalesce(signals_max, $16), 0) THEN 'signal_limit' ELSE 'ok' END
        WHEN lifecycle_phase <> 'suspended' OR committed_to IS DISTINCT FROM suspension_number
            OR timed_out = 'auto_resume_with_timeout_signal' THEN 'waitpoint_closed'
        WHEN signal_count >= nullif(coalesce(signals_max, $16), 0) THEN 'signal_limit'
        ELSE 'ok' END AS verdict
    FROM target t
),
active AS MATERIALIZED (SELECT * FROM judged WHERE verdict = 'ok' AND NOT pending),
asked AS MATERIALIZED (
    SELECT a.waitpoint_key, u.waitpoint_ids, u.leaves FROM active a CROSS JOIN LATERAL (
        SELECT * FROM suspensions WHERE execution_id = $1 AND suspension_number = a.suspension_number LIMIT 1) u
),
come AS MATERIALIZED (
    SELECT w.waitpoint_key, s.signal_id, s.signal_name, s.source_type, s.source_identity, false AS new
    FROM asked CROSS JOIN unnest(waitpoint_ids) AS i (id)
        CROSS JOIN LATERAL (SELECT * FROM waitpoints WHERE execution_id = $1 AND waitpoint_id = i.id LIMIT 1) w
        CROSS JOIN LATERAL (SELECT * FROM signals WHERE execution_id = $1 AND waitpoint_id = i.id OFFSET 0) s
    UNION ALL SELECT waitpoint_key, $5, $6, $8, $9, true FROM asked
),
progress AS MATERIALIZED (
    SELECT l.n, bool_or(a.waitpoint_key = ANY (l.keys)) AS listed, coalesce(bool_or(c.new), false) AS matched,
        least(l.n, count(DISTINCT unit) FILTER (WHERE NOT c.new)) AS before, least(l.n, count(DISTINCT unit)) AS after
    FROM asked a
        CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(a.leaves) AS (keys text[], name text, "distinct" text, n int8))
            WITH ORDINALITY AS l (keys, name, counted, n, place)
        LEFT JOIN LATERAL (
            SELECT c.new, CASE l.counted WHEN 'distinct_waitpoints' THEN ARRAY[c.waitpoint_key]
                WHEN 'distinct_signals' THEN ARRAY[c.signal_id::text] ELSE ARRAY[c.source_type, c.source_identity] END AS unit
            FROM come c WHERE c.waitpoint_key = ANY (l.keys) AND (l.name IS NULL OR c.signal_name = l.name)) c ON true
    GROUP BY l.place, l.n
),
decided AS MATERIALIZED (
    SELECT j.*, coalesce($15, suspension_delay_ms, 0) AS delay_ms, coalesce(timed_out = 'escalate', false) AS escalated, CASE
        WHEN pending THEN 'buffered_for_pending_waitpoint'
        WHEN NOT (SELECT bool_or(listed) FROM progress) THEN 'signal_ignored_not_in_condition'
        WHEN NOT (SELECT bool_or(matched) FROM progress) THEN 'signal_ignored_matcher_failed'
        WHEN (SELECT bool_and(after = n) FROM progress) THEN 'resume_condition_satisfied'
        WHEN (SELECT sum(after) > sum(before) FROM progress) THEN 'appended_to_waitpoint'
        ELSE 'appended_to_waitpoint_duplicate' END AS effect
    FROM judged j WHERE verdict = 'ok'
),
accepted AS (
    INSERT INTO signals (place, accepted_at, dedup_expires_at, waitpoint_id, signal_id, execution_id, signal_name,
        signal_category, source_type, source_identity, correlation_id, payload_encoding, idempotency_key, payload)
    SELECT coalesce(signal_count, 0) + 1, now, now + $14, $2, $5, id, $6, $7, $8, $9, $10, $12, $13, $11 FROM decided
),
counted AS (
    UPDATE executions e SET signal_count = coalesce(e.signal_count, 0) + 1, last_mutation_at = d.now,
        suspension_reason = CASE WHEN escalated THEN 'waiting_for_operator_review' ELSE e.suspension_reason END,
        blocking_reason = CASE WHEN escalated THEN 'paused_by_operator' ELSE e.blocking_reason END,
        suspension_timeout_at = CASE WHEN NOT escalated THEN e.suspension_timeout_at END,
        due_at = CASE WHEN escalated THEN e.execution_deadline_at ELSE e.due_at END
    FROM decided d WHERE e.id = $1 AND d.effect <> 'resume_condition_satisfied'
),
resumed AS (
    UPDATE executions e SET
        lifecycle_phase = 'runnable', ownership_state = 'unowned', attempt_state = 'attempt_interrupted',
        eligibility_state = CASE WHEN delay_ms > 0 THEN 'not_eligible_until_time' ELSE 'eligible_now' END,
        blocking_reason = CASE WHEN delay_ms > 0 THEN 'waiting_for_resume_delay' ELSE 'waiting_for_worker' END,
        ready = delay_ms = 0, part = 2, delay_until = CASE WHEN delay_ms > 0 THEN d.now + delay_ms END,
        due_at = least(CASE WHEN delay_ms > 0 THEN d.now + delay_ms END, e.execution_deadline_at),
        suspension_closed_at = d.now, close_reason = 'resumed', signal_count = coalesce(e.signal_count, 0) + 1,
        last_transition_at = d.now, last_mutation_at = d.now
    FROM decided d WHERE e.id = $1 AND d.effect = 'resume_condition_satisfied'
),
told AS (
    INSERT INTO signal_events (at, signal_id, waitpoint_id, execution_id, namespace, source_identity, effect)
    SELECT j.now, coalesce(f.signal_id, $5), $2, j.id, j.namespace, $9, CASE
        WHEN j.verdict = 'duplicate' THEN 'deduped' WHEN d.effect = 'resume_condition_satisfied' THEN 'satisfied'
        WHEN d.effect LIKE 'signal_ignored%' THEN 'ignored' ELSE 'buffered' END
    FROM judged j LEFT JOIN decided d ON true LEFT JOIN first f ON true WHERE j.verdict IN ('ok', 'duplicate')
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN NOT EXISTS (SELECT FROM ring) THEN 'ring'
        WHEN EXISTS (SELECT FROM held) AND NOT EXISTS (SELECT FROM ok) THEN 'again'
        WHEN EXISTS (SELECT FROM ok) AND NOT EXISTS (SELECT FROM vouched) THEN 'token_expired' ELSE 'no_waitpoint'
        END AS verdict,
    f.signal_id, d.effect,
    (SELECT w.lane_id FROM claim_waiters w WHERE d.effect = 'resume_condition_satisfied'
        AND w.lane_id = d.lane_id AND w.expires_at > d.now LIMIT 1) AS awaited
FROM (VALUES (1)) one LEFT JOIN judged j ON true LEFT JOIN decided d ON true LEFT JOIN first f ON true;
