-- create_waitpoint: a mailbox for signals that come before the suspension, by the fence; the one that the attempt has
--   under this key, if it is still pending.
-- $1 id bytea, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 ring int8, $6 kid text, $7 waitpoint_id uuid,
-- $8 key text, $9 fingerprint text, $10 expires_in_ms int8, $11 latest int8
-- returns: verdict text, waitpoint_id uuid, kid text, expires_at int8, terminal_outcome text,
--   lifecycle_phase text, lease_epoch int8, attempt_id uuid, timed_out text
-- verdict: ok, ring if the secrets are of another version, or a refusal: missing, again, deadline, not_active,
--   lease_revoked, lease_expired, stale_lease, no_key if no key signs
WITH ring AS MATERIALIZED (SELECT FROM waitpoint_ring WHERE version = $5),
seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (
    SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 AND EXISTS (SELECT FROM ring) FOR NO KEY UPDATE
),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN lease_id <> $2 OR lease_epoch <> $3 OR attempt_id <> $4 THEN 'stale_lease'
        WHEN $6::text IS NULL THEN 'no_key' ELSE 'ok' END AS verdict
    FROM ok
),
known AS MATERIALIZED (
    SELECT w.waitpoint_id, w.token_kid, w.expires_at FROM judged j JOIN waitpoints w ON w.execution_id = $1
    WHERE j.verdict = 'ok' AND w.waitpoint_key = $8 AND w.attempt_id = $4 AND w.suspension_number IS NULL
      AND w.expires_at > j.now
),
made AS (
    INSERT INTO waitpoints (created_at, expires_at, waitpoint_id, attempt_id, execution_id, waitpoint_key, token_kid,
        token_fingerprint)
    SELECT now, least(now + $10, $11), $7, attempt_id, id, $8, $6, $9
    FROM judged WHERE verdict = 'ok' AND NOT EXISTS (SELECT FROM known)
),
touched AS (
    UPDATE executions e SET last_mutation_at = j.now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok' AND NOT EXISTS (SELECT FROM known)
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN NOT EXISTS (SELECT FROM ring) THEN 'ring'
        WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    coalesce(k.waitpoint_id, $7) AS waitpoint_id, coalesce(k.token_kid, $6) AS kid,
    coalesce(k.expires_at, least(j.now + $10, $11)) AS expires_at,
    j.terminal_outcome::text, j.lifecycle_phase::text, j.lease_epoch, j.attempt_id,
    CASE WHEN j.lifecycle_phase = 'suspended' AND j.suspension_timeout_at <= least(j.now, j.execution_deadline_at - 1)
        THEN j.timeout_behavior END AS timed_out
FROM (VALUES (1)) one LEFT JOIN judged j ON true LEFT JOIN known k ON true;
