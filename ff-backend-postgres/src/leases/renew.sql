-- renew: the lease lapses ttl_ms from now, by the fence.
-- $1 id bytea, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 ttl_ms int8
-- returns: verdict text, expires_at int8, terminal_outcome text, lifecycle_phase text,
--   lease_epoch int8, attempt_id uuid, timed_out text
-- verdict: ok, or a refusal: missing, again, deadline, not_active, lease_revoked, lease_expired, stale_lease
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN lease_id = $2 AND lease_epoch = $3 AND attempt_id = $4 THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM ok
),
renewed AS (
    UPDATE executions e SET
        lease_expires_at = least(j.now + $5, e.attempt_timeout_at), lease_last_renewed_at = j.now, last_mutation_at = j.now,
        -- A claim may have seen the lease lapsed by a clock that stepped back since.
        ready = false, due_at = least(j.now + $5, e.attempt_timeout_at, e.execution_deadline_at)
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok'
    RETURNING e.lease_expires_at
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    renewed.lease_expires_at AS expires_at, j.terminal_outcome::text, j.lifecycle_phase::text, j.lease_epoch, j.attempt_id,
    CASE WHEN j.lifecycle_phase = 'suspended' AND j.suspension_timeout_at <= least(j.now, j.execution_deadline_at - 1)
        THEN j.timeout_behavior END AS timed_out
FROM (VALUES (1)) one LEFT JOIN judged j ON true LEFT JOIN renewed ON true;
