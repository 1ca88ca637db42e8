-- claim_execution: takes the reserved row for the worker process that its grant names, as claim.sql takes one; if $8,
--   then only one whose attempt was interrupted.
-- $1 id bytea, $2 grant_key uuid, $3 lease_id uuid, $4 attempt_id uuid, $5 worker_id text, $6 worker_instance_id text,
-- $7 ttl_ms int8, $8 only_resumed bool
-- returns: verdict text, id bytea, lane_id text, kind text, lease_id uuid, attempt_id uuid, attempt_index int8,
--   lease_epoch int8
-- verdict: taken, repeated with the live lease that came from the grant, again, or a refusal: missing, not_leaseable,
--   lease_conflict, not_resumed, invalid_grant, grant_expired
-- The order of the refusals is that of ExecutionRecord::check_grant in ff-core. The grant stays, for a repeat.
WITH seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 FOR NO KEY UPDATE),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
known AS MATERIALIZED (
    SELECT ok.*, ownership_state = 'leased' AND lease_expires_at > now AS live,
        coalesce(grant_key = $2 AND grant_worker_id = $5 AND grant_worker_instance_id = $6, false) AS named,
        eligibility_state = 'eligible_now'
            OR eligibility_state = 'not_eligible_until_time' AND coalesce(delay_until <= now, true)
            OR coalesce(lifecycle_phase = 'suspended' AND timeout_behavior = 'auto_resume_with_timeout_signal'
                AND suspension_timeout_at <= least(now, execution_deadline_at - 1), false) AS eligible,
        CASE WHEN ownership_state = 'leased' AND lease_expires_at > now THEN (
                SELECT CASE WHEN resumed_at IS NOT NULL THEN 'resumed' WHEN attempt_type = 'reclaim' THEN 'reclaimed'
                    ELSE 'fresh' END
                FROM attempts a WHERE a.execution_id = $1 AND a.attempt_index = ok.attempt_index)
            WHEN ownership_state <> 'unowned' THEN 'reclaimed'
            WHEN attempt_state = 'attempt_interrupted' THEN 'resumed' ELSE 'fresh' END AS kind
    FROM ok
),
judged AS MATERIALIZED (
    SELECT k.*, CASE
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'not_leaseable'
        WHEN lifecycle_phase <> 'active' AND NOT eligible THEN 'not_leaseable'
        WHEN live AND NOT (named AND grant_redeemed) THEN 'lease_conflict'
        WHEN $8 AND kind <> 'resumed' THEN 'not_resumed'
        WHEN live THEN 'repeated'
        WHEN NOT named OR grant_redeemed THEN 'invalid_grant'
        WHEN grant_expires_at <= now THEN 'grant_expired'
        ELSE 'taken' END AS verdict
    FROM known k
),
taken AS (
    UPDATE executions e SET
        lifecycle_phase = 'active', ownership_state = 'leased', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'none', attempt_state = 'running_attempt',
        ready = false, due_at = least(j.now + $7, j.now + e.attempt_timeout_ms, e.execution_deadline_at),
        delay_until = NULL, ended_by = NULL, grant_redeemed = true, lease_id = $3,
        attempt_id = CASE WHEN j.kind = 'resumed' THEN e.attempt_id ELSE $4 END,
        attempt_index = CASE WHEN j.kind = 'resumed' THEN e.attempt_index ELSE e.total_attempt_count END,
        worker_instance_id = $6, lease_acquired_at = j.now, lease_last_renewed_at = NULL,
        lease_expires_at = least(j.now + $7, j.now + e.attempt_timeout_ms),
        attempt_timeout_at = j.now + e.attempt_timeout_ms, lease_epoch = e.lease_epoch + 1,
        total_attempt_count = e.total_attempt_count + (j.kind <> 'resumed')::int,
        lease_reclaim_count = e.lease_reclaim_count + (j.kind = 'reclaimed')::int,
        started_at = coalesce(e.started_at, j.now), last_transition_at = j.now, last_mutation_at = j.now
    FROM judged j WHERE e.id = $1 AND j.verdict = 'taken'
    RETURNING e.id, e.namespace, e.attempt_id, e.attempt_index, e.lease_epoch, j.kind, j.attempt_state, j.now
),
opened AS (
    INSERT INTO attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT id, attempt_index, attempt_id, CASE
        WHEN kind = 'reclaimed' THEN 'reclaim' WHEN attempt_index = 0 THEN 'initial'
        WHEN attempt_state = 'pending_replay_attempt' THEN 'replay' ELSE 'retry' END, 'started', now,
        $3, lease_epoch, $5, $6
    FROM taken WHERE kind <> 'resumed'
),
resumed AS (
    UPDATE attempts a SET phase = 'started', resumed_at = t.now, lease_id = $3, lease_epoch = t.lease_epoch,
        worker_id = $5, worker_instance_id = $6
    FROM taken t WHERE a.execution_id = $1 AND a.attempt_index = t.attempt_index AND t.kind = 'resumed'
),
closed AS (
    UPDATE attempts a SET phase = 'interrupted_reclaimed', ended_at = j.now
    FROM judged j WHERE a.execution_id = $1 AND a.attempt_index = j.attempt_index AND j.verdict = 'taken'
      AND j.kind = 'reclaimed'
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id)
    SELECT now, lease_epoch, attempt_index, $3, id, namespace,
        CASE WHEN kind = 'reclaimed' THEN 'reclaimed' ELSE 'acquired' END, $6 FROM taken
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    j.id, j.lane_id, j.kind, CASE WHEN t.id IS NULL THEN j.lease_id ELSE $3 END AS lease_id,
    coalesce(t.attempt_id, j.attempt_id) AS attempt_id, coalesce(t.attempt_index, j.attempt_index) AS attempt_index,
    coalesce(t.lease_epoch, j.lease_epoch) AS lease_epoch
FROM (VALUES (1)) one LEFT JOIN judged j ON true LEFT JOIN taken t ON true;
