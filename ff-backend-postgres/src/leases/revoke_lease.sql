-- revoke_lease: takes a live lease away from its holder; the next claim takes over. A null lease or worker instance is any.
-- $1 id bytea, $2 lease_id uuid, $3 worker_instance_id text, $4 reason text
-- returns: verdict text, lease_id uuid, terminal_outcome text, lifecycle_phase text, lease_epoch int8, attempt_id uuid, timed_out text,
--   awaited text
-- verdict: ok, or why there is nothing to take: lease_id_mismatch, different_worker_instance_id, already_revoked,
--   already_expired, or a refusal: missing, again, deadline, not_active
-- Where no reclaim is left, the row is due at once, and the next claim fails it.
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN lease_id <> $2 THEN 'lease_id_mismatch'
        WHEN worker_instance_id <> $3 THEN 'different_worker_instance_id'
        WHEN ownership_state = 'lease_revoked' THEN 'already_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'already_expired'
        ELSE 'ok' END AS verdict
    FROM ok
),
revoked AS (
    UPDATE executions e SET
        ownership_state = 'lease_revoked', blocking_reason = 'waiting_for_worker', attempt_state = 'attempt_interrupted',
        ready = e.lease_reclaim_count < e.reclaims_max, part = 2,
        due_at = least(CASE WHEN e.lease_reclaim_count >= e.reclaims_max THEN j.now END, e.execution_deadline_at),
        last_transition_at = j.now, last_mutation_at = j.now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok'
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'revoked', worker_instance_id, 'operator'
    FROM judged WHERE verdict = 'ok'
),
operated AS (
    INSERT INTO operator_events (at, execution_id, namespace, kind, detail)
    SELECT now, id, namespace, 'lease_revoked', $4 FROM judged WHERE verdict = 'ok'
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    j.lease_id, j.terminal_outcome::text, j.lifecycle_phase::text, j.lease_epoch, j.attempt_id,
    CASE WHEN j.lifecycle_phase = 'suspended' AND j.suspension_timeout_at <= least(j.now, j.execution_deadline_at - 1)
        THEN j.timeout_behavior END AS timed_out,
    (SELECT w.lane_id FROM claim_waiters w
        WHERE j.verdict = 'ok' AND w.lane_id = j.lane_id AND w.expires_at > j.now LIMIT 1) AS awaited
FROM (VALUES (1)) one LEFT JOIN judged j ON true;
