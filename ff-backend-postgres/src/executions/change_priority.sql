-- change_priority: another priority for an execution that waits.
-- $1 id bytea, $2 priority int4
-- returns: verdict text
-- verdict: ok, replay, or a refusal: missing, again, not_eligible
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN lifecycle_phase IN ('active', 'terminal') OR execution_deadline_at <= now THEN 'not_eligible'
        WHEN lifecycle_phase = 'suspended' AND suspension_timeout_at <= now
            AND timeout_behavior IN ('fail', 'cancel', 'expire') THEN 'not_eligible'
        WHEN priority = $2 THEN 'replay' ELSE 'ok' END AS verdict
    FROM ok
),
moved AS (
    UPDATE executions e SET priority = $2, part = 2, last_mutation_at = j.now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok'
),
operated AS (
    INSERT INTO operator_events (at, execution_id, namespace, kind, detail)
    SELECT now, id, namespace, 'priority_changed', $2::text FROM judged WHERE verdict = 'ok'
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict
FROM (VALUES (1)) one LEFT JOIN judged j ON true;
