-- remove_keys: removes idempotency keys that have lapsed.
-- $1 after_expires int8, $2 after_namespace text, $3 after_key text, $4 most int8, $5 namespace text
-- returns: seen int8, removed int8, last_expires int8, last_namespace text, last_key text
-- Only of this namespace, if it is not null.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
seen AS MATERIALIZED (
    SELECT expires_at, namespace, key FROM idempotency_keys
    WHERE expires_at <= (SELECT now FROM clock) AND (expires_at, namespace, key) > ($1, $2, $3)
    ORDER BY expires_at, namespace, key LIMIT $4
),
-- A create that takes a lapsed key for itself gives it another instant.
held AS MATERIALIZED (
    SELECT k.namespace, k.key FROM seen s JOIN idempotency_keys k USING (namespace, key)
    WHERE k.expires_at = s.expires_at AND ($5::text IS NULL OR k.namespace = $5)
    FOR NO KEY UPDATE OF k SKIP LOCKED
),
gone AS (
    DELETE FROM idempotency_keys k USING held h WHERE k.namespace = h.namespace AND k.key = h.key RETURNING k.key
),
last AS MATERIALIZED (SELECT * FROM seen ORDER BY expires_at DESC, namespace DESC, key DESC LIMIT 1)
SELECT (SELECT count(*) FROM seen) AS seen, (SELECT count(*) FROM gone) AS removed,
    (SELECT expires_at FROM last) AS last_expires, (SELECT namespace FROM last) AS last_namespace,
    (SELECT key FROM last) AS last_key;
