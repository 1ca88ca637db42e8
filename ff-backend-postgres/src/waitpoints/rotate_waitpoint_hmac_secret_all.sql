-- rotate_waitpoint_hmac_secret_all: another key signs tokens from now on; the one before counts for a while yet.
-- $1 kid text, $2 secret bytea, $3 grace_ms int8, $4 latest int8
-- returns: verdict text, previous_kid text, removed int8
-- verdict: rotated, noop, conflict if the id counts and stands for another secret, again
-- The row of the version is what all changes of keys wait for. Digests compare alike wherever secrets differ.
-- Keys that no longer count are removed; of that number is the key itself, if it comes back.
WITH seen AS MATERIALIZED (SELECT version FROM waitpoint_ring),
held AS MATERIALIZED (SELECT version FROM waitpoint_ring FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT ff_now_ms() AS now, held.version FROM held),
judged AS MATERIALIZED (
    SELECT now, coalesce(k.expires_at <= now, false) AS lapsed, CASE
        WHEN (k.expires_at IS NULL OR k.expires_at > now) AND sha256(k.secret) <> sha256($2) THEN 'conflict'
        WHEN k.kid IS NOT NULL AND k.expires_at IS NULL THEN 'noop' ELSE 'rotated' END AS verdict
    FROM ok JOIN seen USING (version) LEFT JOIN waitpoint_secrets k ON k.kid = $1
),
rotated AS MATERIALIZED (SELECT now, lapsed FROM judged WHERE verdict = 'rotated'),
demoted AS (
    UPDATE waitpoint_secrets s SET expires_at = least(now + $3, $4)
    FROM rotated WHERE s.kid <> $1 AND s.expires_at IS NULL RETURNING s.kid
),
removed AS (
    DELETE FROM waitpoint_secrets s USING rotated WHERE s.kid <> $1 AND s.expires_at <= now RETURNING s.kid
),
-- Behind the demotion, so that there is never a second one without an end.
promoted AS (
    INSERT INTO waitpoint_secrets (kid, secret) SELECT $1, $2 FROM rotated WHERE (SELECT count(*) FROM demoted) <= 1
    ON CONFLICT ON CONSTRAINT waitpoint_secrets_pkey DO UPDATE SET secret = excluded.secret, expires_at = NULL
),
raised AS (UPDATE waitpoint_ring SET version = version + 1 WHERE EXISTS (SELECT FROM rotated))
SELECT coalesce((SELECT verdict FROM judged), 'again') AS verdict, (SELECT kid FROM demoted) AS previous_kid,
    (SELECT count(*) FROM removed) + (SELECT count(*) FROM rotated WHERE lapsed) AS removed;
