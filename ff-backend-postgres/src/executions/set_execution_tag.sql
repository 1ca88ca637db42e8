-- set_execution_tag: a label, set, or cleared if its value is null.
-- $1 id bytea, $2 key text, $3 value text, $4 most int8
-- returns: verdict text
-- verdict: ok, or a refusal: missing, again, too_many_tags
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT ok.id, ok.now, CASE
        WHEN $3::text IS NOT NULL AND NOT i.tags ? $2
            AND (SELECT count(*) FROM jsonb_object_keys(i.tags)) >= $4 THEN 'too_many_tags'
        ELSE 'ok' END AS verdict
    FROM ok JOIN execution_inputs i ON i.execution_id = ok.id
),
tagged AS (
    UPDATE execution_inputs i SET tags = CASE
        WHEN $3 IS NULL THEN i.tags - $2::text ELSE i.tags || jsonb_build_object($2::text, $3::text) END
    FROM judged j WHERE i.execution_id = $1 AND j.verdict = 'ok'
),
touched AS (
    UPDATE executions e SET last_mutation_at = j.now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok'
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict
FROM (VALUES (1)) one LEFT JOIN judged j ON true;
