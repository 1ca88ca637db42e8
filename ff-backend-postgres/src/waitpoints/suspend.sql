-- suspend: the lease is given back until signals resume the execution, by the fence; if the signals of its pending
--   waitpoint satisfy the condition already, the lease stays and the waitpoint is used up.
-- $1 id text, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 attempt_index int8, $6 ring int8, $7 kid text,
-- $8 suspension_id uuid, $9 waitpoint_ids uuid[], $10 waitpoint_keys text[], $11 fingerprints text[], $12 leaves text,
-- $13 expected_key text, $14 reason text, $15 blocking_reason text, $16 requested_by text, $17 timeout_at int8,
-- $18 timeout_behavior text, $19 continuation_pointer text, $20 delay_ms int8, $21 key text, $22 tolerance_ms int8,
-- $23 key_ms int8
-- returns: verdict text, satisfied bool, suspension_id uuid, waitpoint_ids uuid[], waitpoint_keys text[],
--   token_kids text[], lane_id text, attempt_index int8, worker_instance_id text, terminal_outcome text,
--   lifecycle_phase text, lease_epoch int8, attempt_id uuid, timed_out text
-- verdict: ok, replay, ring if the secrets are of another version, or a refusal: missing, again, deadline, not_active,
--   lease_revoked, lease_expired, stale_lease, wrong_attempt, timeout_past, suspension_used, waitpoint_exists,
--   waitpoint_missing, waitpoint_not_pending, waitpoint_foreign, waitpoint_expired, key_mismatch
-- A waitpoint without a key is one that is pending; a null attempt_index is any.
WITH ring AS MATERIALIZED (
    SELECT FROM waitpoint_ring r JOIN waitpoint_secrets s ON s.kid = $7 AND s.expires_at IS NULL WHERE r.version = $6
),
seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (
    SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 AND EXISTS (SELECT FROM ring) FOR NO KEY UPDATE
),
ok AS MATERIALIZED (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version),
known AS MATERIALIZED (
    SELECT k.suspension_id, k.satisfied FROM ok JOIN suspend_keys k ON k.execution_id = $1 AND k.key = $21
    WHERE k.expires_at > ok.now
    UNION ALL SELECT suspension_id, coalesce(close_reason = 'already_satisfied', false) FROM ok
    WHERE suspension_id = $8 AND suspension_epoch = $3 AND lease_epoch = $3 AND lease_id = $2 AND attempt_id = $4
    LIMIT 1
),
asked AS MATERIALIZED (
    SELECT a.*, coalesce(a.key, w.waitpoint_key) AS name, coalesce(w.token_kid, $7) AS kid, w.attempt_id, w.suspension_id,
        w.expires_at, w.waitpoint_id IS NOT NULL AS stored
    FROM unnest($9::uuid[], $10::text[], $11::text[]) WITH ORDINALITY AS a (id, key, fingerprint, place)
        LEFT JOIN waitpoints w ON w.execution_id = $1 AND w.waitpoint_id = a.id
),
pending AS MATERIALIZED (SELECT * FROM asked WHERE key IS NULL),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN EXISTS (SELECT FROM known) THEN 'replay'
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN lease_id <> $2 OR lease_epoch <> $3 OR attempt_id <> $4 THEN 'stale_lease'
        WHEN attempt_index <> $5 THEN 'wrong_attempt'
        WHEN $17 < now - $22 THEN 'timeout_past'
        WHEN EXISTS (SELECT FROM waitpoints w WHERE w.execution_id = $1 AND w.suspension_id = $8) THEN 'suspension_used'
        WHEN EXISTS (SELECT FROM asked WHERE key IS NOT NULL AND stored) THEN 'waitpoint_exists'
        WHEN EXISTS (SELECT FROM pending WHERE NOT stored) THEN 'waitpoint_missing'
        WHEN EXISTS (SELECT FROM pending p WHERE p.suspension_id IS NOT NULL) THEN 'waitpoint_not_pending'
        WHEN EXISTS (SELECT FROM pending p WHERE p.attempt_id <> ok.attempt_id) THEN 'waitpoint_foreign'
        WHEN EXISTS (SELECT FROM pending p WHERE p.expires_at <= ok.now) THEN 'waitpoint_expired'
        WHEN EXISTS (SELECT FROM pending WHERE name <> $13) THEN 'key_mismatch'
        ELSE 'ok' END AS verdict
    FROM ok
),
-- As deliver_signal.sql has it; without a pending waitpoint nothing has come.
decided AS MATERIALIZED (
    SELECT j.*, coalesce($17, now + suspension_ms) AS timeout_at, EXISTS (SELECT FROM pending) AND NOT EXISTS (
        SELECT FROM jsonb_to_recordset($12::text::jsonb) AS l (keys text[], name text, "distinct" text, n int8) WHERE n > (
            SELECT count(DISTINCT CASE l."distinct" WHEN 'distinct_waitpoints' THEN ARRAY[p.name]
                WHEN 'distinct_signals' THEN ARRAY[s.signal_id::text] ELSE ARRAY[s.source_type, s.source_identity] END)
            FROM pending p JOIN signals s ON s.execution_id = $1 AND s.waitpoint_id = p.id
            WHERE p.name = ANY (l.keys) AND (l.name IS NULL OR s.signal_name = l.name))) AS satisfied
    FROM judged j WHERE verdict = 'ok'
),
used AS (
    UPDATE executions e SET suspension_id = $8, suspension_epoch = $3, suspended_at = now, suspension_closed_at = now,
        close_reason = 'already_satisfied', last_mutation_at = now
    FROM decided WHERE e.id = $1 AND satisfied
),
suspended AS (
    UPDATE executions e SET
        lifecycle_phase = 'suspended', ownership_state = 'unowned', attempt_state = 'attempt_interrupted',
        blocking_reason = $15, due_at = least(timeout_at, e.execution_deadline_at), ended_by = 'suspend',
        suspension_id = $8, suspension_epoch = $3, suspended_at = now, suspension_timeout_at = timeout_at,
        suspension_closed_at = NULL, close_reason = NULL, suspension_reason = $14, suspension_delay_ms = $20,
        timeout_behavior = coalesce($18, e.suspension_behavior, 'fail'), last_transition_at = now, last_mutation_at = now
    FROM decided WHERE e.id = $1 AND NOT satisfied
),
interrupted AS (
    UPDATE attempts a SET phase = 'suspended'
    FROM decided d WHERE a.execution_id = $1 AND a.attempt_index = d.attempt_index AND NOT satisfied
),
released AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'released', worker_instance_id, 'suspend'
    FROM decided WHERE NOT satisfied
),
described AS (
    INSERT INTO suspensions (attempt_id, execution_id, requested_by, continuation_pointer, leaves)
    SELECT attempt_id, id, $16, $19, $12::text::jsonb FROM decided
    ON CONFLICT ON CONSTRAINT suspensions_pkey DO UPDATE SET attempt_id = excluded.attempt_id,
        requested_by = excluded.requested_by, continuation_pointer = excluded.continuation_pointer, leaves = excluded.leaves
),
opened AS (
    INSERT INTO waitpoints AS w (created_at, activated_at, place, waitpoint_id, attempt_id, suspension_id, execution_id,
        waitpoint_key, token_kid, token_fingerprint)
    SELECT now, now, place, a.id, d.attempt_id, $8, $1, name, kid, coalesce(fingerprint, '') FROM decided d, asked a
    ON CONFLICT ON CONSTRAINT waitpoints_pkey
        DO UPDATE SET activated_at = excluded.activated_at, place = excluded.place, suspension_id = excluded.suspension_id
),
keyed AS (
    INSERT INTO suspend_keys (expires_at, suspension_id, satisfied, execution_id, key)
    SELECT now + least(greatest(timeout_at - now, 0) + 60000, $23), $8, satisfied, $1, $21 FROM decided WHERE $21 IS NOT NULL
    ON CONFLICT ON CONSTRAINT suspend_keys_pkey DO UPDATE SET
        expires_at = excluded.expires_at, suspension_id = excluded.suspension_id, satisfied = excluded.satisfied
),
named AS MATERIALIZED (
    SELECT id, name, kid, place FROM asked WHERE EXISTS (SELECT FROM decided)
    UNION ALL SELECT w.waitpoint_id, w.waitpoint_key, w.token_kid, w.place
    FROM known k JOIN waitpoints w ON w.execution_id = $1 AND w.suspension_id = k.suspension_id
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN NOT EXISTS (SELECT FROM ring) THEN 'ring'
        WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    coalesce(d.satisfied, k.satisfied) AS satisfied, coalesce(k.suspension_id, $8) AS suspension_id,
    (SELECT array_agg(id ORDER BY place) FROM named) AS waitpoint_ids,
    (SELECT array_agg(name ORDER BY place) FROM named) AS waitpoint_keys,
    (SELECT array_agg(kid ORDER BY place) FROM named) AS token_kids,
    j.lane_id, j.attempt_index, j.worker_instance_id, j.terminal_outcome, j.lifecycle_phase, j.lease_epoch, j.attempt_id,
    CASE WHEN j.lifecycle_phase = 'suspended' AND j.suspension_timeout_at <= least(j.now, j.execution_deadline_at - 1)
        THEN j.timeout_behavior END AS timed_out
FROM (VALUES (1)) one LEFT JOIN judged j ON true LEFT JOIN decided d ON true LEFT JOIN known k ON true;
