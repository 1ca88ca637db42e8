-- wait_children: the lease is given back until no inbound edge is open, by the fence.
-- $1 id bytea, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 attempt_index int8
-- returns: verdict text, terminal_outcome text, lifecycle_phase text, lease_epoch int8, attempt_id uuid, timed_out text,
--   awaited text
-- verdict: ok, replay, or a refusal: missing, again, deadline, not_active, lease_revoked, lease_expired, stale_lease
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN ended_by = 'wait_children' AND lease_id = $2 AND lease_epoch = $3 AND attempt_id = $4 AND attempt_index = $5
            THEN 'replay'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN lease_id = $2 AND lease_epoch = $3 AND attempt_id = $4 THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM ok
),
-- No execution has an inbound edge, so nothing is open.
parked AS (
    UPDATE executions e SET
        lifecycle_phase = 'runnable', ownership_state = 'unowned', attempt_state = 'attempt_interrupted',
        eligibility_state = 'eligible_now', blocking_reason = 'waiting_for_worker', ready = true, part = 2,
        due_at = e.execution_deadline_at,
        delay_until = j.now, ended_by = 'wait_children', last_transition_at = j.now, last_mutation_at = j.now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'ok'
),
suspended AS (
    UPDATE attempts a SET phase = 'suspended'
    FROM judged j WHERE a.execution_id = $1 AND a.attempt_index = j.attempt_index AND j.verdict = 'ok'
),
released AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'released', worker_instance_id, 'waiting_children'
    FROM judged WHERE verdict = 'ok'
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    j.terminal_outcome::text, j.lifecycle_phase::text, j.lease_epoch, j.attempt_id,
    CASE WHEN j.lifecycle_phase = 'suspended' AND j.suspension_timeout_at <= least(j.now, j.execution_deadline_at - 1)
        THEN j.timeout_behavior END AS timed_out,
    (SELECT w.lane_id FROM claim_waiters w
        WHERE j.verdict = 'ok' AND w.lane_id = j.lane_id AND w.expires_at > j.now LIMIT 1) AS awaited
FROM (VALUES (1)) one LEFT JOIN judged j ON true;
