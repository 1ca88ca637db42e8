-- fail: the attempt ends with a failure, and the execution too unless a retry is due; by the fence.
-- $1 id bytea, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 attempt_index int8,
-- $6 message text, $7 category text, $8 retryable bool, $9 jitter_millionths int8
-- returns: verdict text, terminal bool, delay_until int8, terminal_outcome text, lifecycle_phase text,
--   lease_epoch int8, attempt_id uuid, timed_out text,
--   awaited text, listened bool
-- verdict: ok, replay, or a refusal: missing, again, deadline, not_active, lease_revoked, lease_expired, stale_lease
-- The rule is RetryDecision::of in ff-core.
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN ended_by = 'fail' AND lease_id = $2 AND lease_epoch = $3 AND attempt_id = $4 AND attempt_index = $5
            THEN 'replay'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN lease_id = $2 AND lease_epoch = $3 AND attempt_id = $4 THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM ok
),
-- after_ms is null if there is no retry.
decided AS MATERIALIZED (
    SELECT j.*, CASE
        WHEN NOT ($8 AND retry_count < retries_max) OR retries_max IS NULL THEN NULL
        WHEN cardinality(retry_categories) > 0 AND NOT $7 = ANY (retry_categories) THEN NULL
        ELSE CASE
            WHEN retry_count >= backoff_saturates_at THEN backoff_max_ms
            ELSE floor(backoff_initial_ms::float8 * power(backoff_multiplier, retry_count::float8))::bigint
            END * CASE WHEN backoff_jitter THEN $9::int8 ELSE 1000000 END / 1000000 END AS after_ms
    FROM judged j WHERE verdict = 'ok'
),
ended AS (
    UPDATE executions e SET
        lifecycle_phase = CASE WHEN after_ms IS NULL THEN 'terminal' ELSE 'runnable' END,
        ownership_state = 'unowned',
        eligibility_state = CASE
            WHEN after_ms IS NULL THEN 'not_applicable'
            WHEN after_ms = 0 THEN 'eligible_now' ELSE 'not_eligible_until_time' END,
        blocking_reason = CASE
            WHEN after_ms IS NULL THEN 'none'
            WHEN after_ms = 0 THEN 'waiting_for_worker' ELSE 'waiting_for_retry_backoff' END,
        terminal_outcome = CASE WHEN after_ms IS NULL THEN 'failed' ELSE 'none' END,
        attempt_state = CASE WHEN after_ms IS NULL THEN 'attempt_terminal' ELSE 'pending_retry_attempt' END,
        ready = coalesce(after_ms = 0, false), part = 2,
        due_at = CASE WHEN after_ms IS NOT NULL
            THEN least(CASE WHEN after_ms > 0 THEN d.now + after_ms END, e.execution_deadline_at) END,
        delay_until = d.now + after_ms,
        retry_count = e.retry_count + CASE WHEN after_ms IS NULL THEN 0 ELSE 1 END,
        ended_by = 'fail', failure_reason = $6, failure_category = $7,
        completed_at = CASE WHEN after_ms IS NULL THEN d.now END,
        last_transition_at = d.now, last_mutation_at = d.now
    FROM decided d WHERE e.id = $1
),
closed AS (
    UPDATE attempts a SET phase = 'ended_failure', ended_at = d.now, failure_reason = $6, failure_category = $7
    FROM decided d WHERE a.execution_id = $1 AND a.attempt_index = d.attempt_index
),
released AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'released', worker_instance_id,
        CASE WHEN after_ms IS NULL THEN 'failed_terminal' ELSE 'failed_retry_scheduled' END
    FROM decided
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, 'failed' FROM decided WHERE after_ms IS NULL
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    CASE WHEN j.verdict = 'replay' THEN j.lifecycle_phase = 'terminal' ELSE d.after_ms IS NULL END AS terminal,
    CASE WHEN j.verdict = 'replay' THEN j.delay_until ELSE d.now + d.after_ms END AS delay_until,
    j.terminal_outcome::text, j.lifecycle_phase::text, j.lease_epoch, j.attempt_id,
    CASE WHEN j.lifecycle_phase = 'suspended' AND j.suspension_timeout_at <= least(j.now, j.execution_deadline_at - 1)
        THEN j.timeout_behavior END AS timed_out,
    (SELECT w.lane_id FROM claim_waiters w
        WHERE j.verdict = 'ok' AND w.lane_id = j.lane_id AND w.expires_at > j.now LIMIT 1) AS awaited,
    d.now IS NOT NULL AND d.after_ms IS NULL AND EXISTS (SELECT FROM completion_waiters WHERE expires_at > d.now) AS listened
FROM (VALUES (1)) one LEFT JOIN judged j ON true LEFT JOIN decided d ON true;
