-- remove_ended: removes executions that ended long enough ago, with everything that belongs to them but their events.
-- $1 age_ms int8, $2 after_ended int8, $3 after_id bytea, $4 most int8,
-- $5 namespace text, $6 tag_key text, $7 tag_value text
-- returns: seen int8, removed int8, last_ended int8, last_id bytea
-- Only of this namespace and with this label, as far as not null.
-- Nothing waits: a row that somebody holds, or wrote since the snapshot, is left to a later pass.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
seen AS MATERIALIZED (
    SELECT id, completed_at, xmin AS version FROM executions
    WHERE completed_at <= (SELECT now - $1 FROM clock) AND (completed_at, id) > ($2, $3)
    ORDER BY completed_at, id LIMIT $4
),
held AS MATERIALIZED (
    SELECT e.id FROM seen s JOIN executions e ON e.id = ANY (ARRAY[s.id]) AND e.xmin = s.version
    WHERE e.lifecycle_phase = 'terminal'
      AND ($5::text IS NULL OR e.namespace = $5)
      AND ($6::text IS NULL OR EXISTS (
          SELECT FROM execution_inputs i WHERE i.execution_id = e.id AND i.tags ->> $6 = $7::text))
    FOR NO KEY UPDATE OF e SKIP LOCKED
),
inputs AS (DELETE FROM execution_inputs WHERE execution_id = ANY (ARRAY(SELECT id FROM held))),
results AS (DELETE FROM execution_results WHERE execution_id = ANY (ARRAY(SELECT id FROM held))),
runs AS (DELETE FROM attempts WHERE execution_id = ANY (ARRAY(SELECT id FROM held))),
signals AS (DELETE FROM signals WHERE execution_id = ANY (ARRAY(SELECT id FROM held))),
waits AS (DELETE FROM waitpoints WHERE execution_id = ANY (ARRAY(SELECT id FROM held))),
suspensions AS (DELETE FROM suspensions WHERE execution_id = ANY (ARRAY(SELECT id FROM held))),
keys AS (DELETE FROM idempotency_keys WHERE execution_id = ANY (ARRAY(SELECT id FROM held))),
gone AS (DELETE FROM executions WHERE id = ANY (ARRAY(SELECT id FROM held)) RETURNING id)
SELECT (SELECT count(*) FROM seen) AS seen, (SELECT count(*) FROM gone) AS removed,
    (SELECT completed_at FROM seen ORDER BY completed_at DESC, id DESC LIMIT 1) AS last_ended,
    (SELECT id FROM seen ORDER BY completed_at DESC, id DESC LIMIT 1) AS last_id;
