-- renew_many: each lease lapses its ttl_ms from now, by its own fence.
-- $1 ids bytea[], $2 lease_ids uuid[], $3 lease_epochs int8[], $4 attempt_ids uuid[], $5 ttls_ms int8[]
-- returns: verdict text, expires_at int8, terminal_outcome text, lifecycle_phase text, lease_epoch int8,
--   attempt_id uuid, timed_out text
-- verdict, a row for each item in its place: ok, or a refusal: missing, again, deadline, not_active, lease_revoked,
-- lease_expired, stale_lease
-- Rows are locked in the order of their ids, so that two batches never wait for each other in a circle.
WITH asked AS MATERIALIZED (
    SELECT a.*, e.xmin AS version
    FROM unnest($1::bytea[], $2::uuid[], $3::int8[], $4::uuid[], $5::int8[])
        WITH ORDINALITY AS a (id, lease_id, lease_epoch, attempt_id, ttl_ms, place)
        LEFT JOIN LATERAL (SELECT xmin FROM executions WHERE id = a.id OFFSET 0) e ON true
    ORDER BY a.id
),
held AS MATERIALIZED (
    SELECT place, ttl_ms, h.version = a.version AS is_seen,
        (a.lease_id, a.lease_epoch, a.attempt_id) = (h.lease_id, h.lease_epoch, h.attempt_id) AS is_latest, h.*
    FROM asked a LEFT JOIN LATERAL (
        SELECT xmin AS version, id, lifecycle_phase, ownership_state, terminal_outcome, lease_id, lease_epoch,
            attempt_id, lease_expires_at, attempt_timeout_at, execution_deadline_at, suspension_timeout_at,
            timeout_behavior
        FROM executions e WHERE e.id = a.id FOR NO KEY UPDATE) h ON true
),
clock AS MATERIALIZED (SELECT ff_now_ms() AS now FROM (SELECT count(*) FROM held) all_held),
judged AS MATERIALIZED (
    SELECT held.*, now, least(now + ttl_ms, attempt_timeout_at) AS expires_at, CASE
        WHEN id IS NULL THEN 'missing'
        WHEN is_seen IS NOT TRUE THEN 'again'
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN is_latest THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM held, clock
),
-- The last of the items that renew one lease counts, as it would if each were a call.
last AS MATERIALIZED (SELECT DISTINCT ON (id) * FROM judged WHERE verdict = 'ok' ORDER BY id, place DESC),
renewed AS (
    UPDATE executions e SET
        lease_expires_at = l.expires_at, lease_last_renewed_at = l.now, last_mutation_at = l.now,
        -- A claim may have seen the lease lapsed by a clock that stepped back since.
        ready = false, due_at = least(l.expires_at, e.execution_deadline_at)
    FROM last l WHERE e.id = ANY (ARRAY[l.id])
)
SELECT verdict, expires_at, terminal_outcome::text, lifecycle_phase::text, lease_epoch, attempt_id,
    CASE WHEN lifecycle_phase = 'suspended' AND suspension_timeout_at <= least(now, execution_deadline_at - 1)
        THEN timeout_behavior END AS timed_out
FROM judged ORDER BY place;
