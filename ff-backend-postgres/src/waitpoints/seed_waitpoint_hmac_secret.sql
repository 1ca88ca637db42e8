-- seed_waitpoint_hmac_secret: the first key that signs tokens.
-- $1 kid text, $2 secret bytea
-- returns: verdict text, kid text, same bool
-- verdict: seeded, known if a key signs already: which one, and whether its secret is this one; again
-- The row of the version is what all changes of keys wait for. Digests compare alike wherever secrets differ.
WITH seen AS MATERIALIZED (SELECT version FROM waitpoint_ring),
held AS MATERIALIZED (SELECT version FROM waitpoint_ring FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.version FROM held, seen WHERE held.version = seen.version),
current AS MATERIALIZED (
    SELECT kid, sha256(secret) = sha256($2) AS same FROM waitpoint_secrets WHERE expires_at IS NULL
),
seeds AS MATERIALIZED (SELECT FROM ok WHERE NOT EXISTS (SELECT FROM current)),
seeded AS (INSERT INTO waitpoint_secrets (kid, secret) SELECT $1, $2 FROM seeds),
raised AS (UPDATE waitpoint_ring SET version = version + 1 WHERE EXISTS (SELECT FROM seeds))
SELECT CASE WHEN NOT EXISTS (SELECT FROM ok) THEN 'again' WHEN EXISTS (SELECT FROM seeds) THEN 'seeded'
    ELSE 'known' END AS verdict,
    (SELECT kid FROM current) AS kid, (SELECT same FROM current) AS same;
