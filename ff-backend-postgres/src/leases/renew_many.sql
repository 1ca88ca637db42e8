-- renew_many: each lease lapses its ttl_ms from now, by its own fence.
-- $1 ids text[], $2 lease_ids uuid[], $3 lease_epochs int8[], $4 attempt_ids uuid[], $5 ttls_ms int8[]
-- returns: verdict text, expires_at int8, terminal_outcome text, lifecycle_phase text, lease_epoch int8,
--   attempt_id uuid, timed_out text
-- verdict, a row for each item in its place: ok, or a refusal: missing, again, deadline, not_active, lease_revoked,
-- lease_expired, stale_lease
-- Rows are locked in the order of their ids, so that two batches never wait for each other in a circle.
WITH asked AS MATERIALIZED (
    SELECT a.* FROM unnest($1::text[], $2::uuid[], $3::int8[], $4::uuid[], $5::int8[])
        WITH ORDINALITY AS a (id, lease_id, lease_epoch, attempt_id, ttl_ms, place)
),
seen AS MATERIALIZED (SELECT id, xmin AS version FROM executions WHERE id = ANY ($1)),
held AS MATERIALIZED (
    SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = ANY ($1) ORDER BY e.id FOR NO KEY UPDATE
),
clock AS MATERIALIZED (SELECT ff_now_ms() AS now FROM (SELECT count(*) FROM held) all_held),
judged AS MATERIALIZED (
    SELECT a.place, h.id, h.terminal_outcome, h.lifecycle_phase, h.lease_epoch, h.attempt_id, now,
        CASE WHEN lifecycle_phase = 'suspended' AND suspension_timeout_at <= least(now, execution_deadline_at - 1)
            THEN timeout_behavior END AS timed_out,
        least(now + a.ttl_ms, h.attempt_timeout_at) AS expires_at, CASE
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN h.lease_id = a.lease_id AND h.lease_epoch = a.lease_epoch AND h.attempt_id = a.attempt_id THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM asked a JOIN held h ON h.id = a.id JOIN seen s ON s.id = h.id AND s.version = h.version, clock
),
-- The last of the items that renew one lease counts, as it would if each were a call.
last AS MATERIALIZED (SELECT DISTINCT ON (id) * FROM judged WHERE verdict = 'ok' ORDER BY id, place DESC),
renewed AS (
    UPDATE executions e SET
        lease_expires_at = l.expires_at, lease_last_renewed_at = l.now, last_mutation_at = l.now,
        -- A claim may have seen the lease lapsed by a clock that stepped back since.
        ready = false, due_at = least(l.expires_at, e.execution_deadline_at)
    FROM last l WHERE e.id = ANY (ARRAY(SELECT id FROM last)) AND e.id = l.id
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN h.id IS NOT NULL THEN 'again' ELSE 'missing' END AS verdict,
    j.expires_at, j.terminal_outcome, j.lifecycle_phase, j.lease_epoch, j.attempt_id, j.timed_out
FROM asked a LEFT JOIN held h ON h.id = a.id LEFT JOIN judged j ON j.place = a.place ORDER BY a.place;
