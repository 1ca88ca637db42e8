-- suspend: the lease is given back until signals resume the execution, by the fence; if the signals of its pending
--   waitpoint satisfy the condition already, the lease stays and the waitpoints are used up.
-- $1 id bytea, $2 lease_id uuid, $3 lease_epoch int8, $4 attempt_id uuid, $5 attempt_index int8, $6 ring int8, $7 kid text,
-- $8 suspension_id uuid, $9 waitpoint_ids uuid[], $10 waitpoint_keys text[], $11 fingerprints text[], $12 leaves text,
-- $13 expected_key text, $14 reason text, $15 blocking_reason text, $16 requested_by text, $17 timeout_at int8,
-- $18 timeout_behavior text, $19 continuation_pointer text, $20 delay_ms int8, $21 key text, $22 tolerance_ms int8,
-- $23 key_ms int8, $24 lease_ms int8
-- returns: verdict text, satisfied bool, suspension_id uuid, waitpoint_ids uuid[], waitpoint_keys text[],
--   token_kids text[], lane_id text, lease_id uuid, lease_ms int8, attempt_index int8, worker_instance_id text,
--   terminal_outcome text, lifecycle_phase text, lease_epoch int8, attempt_id uuid, timed_out text
-- verdict: ok, replay, ring if the keys are of another version, or a refusal: missing, again, of the fence, or behind it.
-- Only the primary waitpoint may be pending: it has no key. A null attempt_index is any.
WITH ring AS MATERIALIZED (SELECT FROM waitpoint_ring WHERE version = $6),
seen AS MATERIALIZED (SELECT xmin AS version FROM executions WHERE id = $1),
held AS MATERIALIZED (
    SELECT e.xmin AS version, e.* FROM executions e WHERE e.id = $1 AND EXISTS (SELECT FROM ring) FOR NO KEY UPDATE
),
ok AS MATERIALIZED (
    SELECT h.*, CASE WHEN lifecycle_phase = 'suspended' AND suspension_timeout_at <= least(now, execution_deadline_at - 1)
        THEN timeout_behavior END AS timed_out
    FROM (SELECT held.*, ff_now_ms() AS now FROM held, seen WHERE held.version = seen.version) h
),
known AS MATERIALIZED (
    SELECT u.* FROM ok JOIN suspensions u ON u.execution_id = $1
    WHERE u.idempotency_key = $21::text AND u.key_expires_at > now
    UNION ALL SELECT u.* FROM ok CROSS JOIN LATERAL (
        SELECT * FROM suspensions WHERE execution_id = $1 AND suspension_number = ok.suspension_number LIMIT 1) u
    WHERE u.suspension_id = $8 AND u.lease_epoch = $3 AND ok.lease_epoch = $3 AND ok.lease_id = $2 AND ok.attempt_id = $4
      AND lifecycle_phase <> 'terminal' AND coalesce(execution_deadline_at > now, true)
      AND coalesce(timed_out NOT IN ('fail', 'cancel', 'expire'), true) LIMIT 1
),
asked AS MATERIALIZED (
    SELECT a.*, coalesce(a.key, w.waitpoint_key) AS name, coalesce(w.token_kid, $7) AS kid, CASE
        WHEN a.key IS NOT NULL THEN CASE WHEN w.waitpoint_id IS NOT NULL THEN 'waitpoint_exists' END
        WHEN w.waitpoint_id IS NULL THEN 'waitpoint_missing'
        WHEN w.suspension_number IS NOT NULL THEN 'waitpoint_not_pending'
        WHEN w.attempt_id <> ok.attempt_id THEN 'waitpoint_foreign' WHEN w.expires_at <= now THEN 'waitpoint_expired'
        WHEN w.waitpoint_key <> $13 THEN 'key_mismatch' END AS refusal
    FROM ok CROSS JOIN unnest($9::uuid[], $10::text[], $11::text[]) WITH ORDINALITY AS a (id, key, fingerprint, place)
        LEFT JOIN LATERAL (SELECT * FROM waitpoints WHERE execution_id = $1 AND waitpoint_id = a.id LIMIT 1) w ON true
),
judged AS MATERIALIZED (
    SELECT ok.*, CASE
        WHEN EXISTS (SELECT FROM known) THEN 'replay'
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN lease_id <> $2 OR lease_epoch <> $3 OR attempt_id <> $4 THEN 'stale_lease'
        WHEN attempt_index <> $5 THEN 'wrong_attempt' WHEN $17 < now - $22 THEN 'timeout_past'
        ELSE coalesce((SELECT refusal FROM asked WHERE refusal IS NOT NULL ORDER BY key IS NULL, place LIMIT 1), 'ok')
        END AS verdict FROM ok
),
-- As deliver_signal.sql has it; only at a pending waitpoint something can have come.
decided AS MATERIALIZED (
    SELECT j.*, coalesce(suspension_number, 0) + 1 AS number, coalesce($17, now + suspension_ms) AS timeout_at,
        coalesce($18, suspension_behavior, 'fail') AS behavior, NOT EXISTS (
        SELECT FROM jsonb_to_recordset($12::text::jsonb) AS l (keys text[], name text, "distinct" text, n int8) WHERE n > (
            SELECT count(DISTINCT CASE l."distinct" WHEN 'distinct_waitpoints' THEN ARRAY[p.name]
                WHEN 'distinct_signals' THEN ARRAY[s.signal_id::text] ELSE ARRAY[s.source_type, s.source_identity] END)
            FROM asked p JOIN signals s ON s.execution_id = $1 AND s.waitpoint_id = ($9::uuid[])[1] WHERE p.place = 1
              AND p.name = ANY (l.keys) AND (l.name IS NULL OR s.signal_name = l.name))) AS satisfied
    FROM judged j WHERE verdict = 'ok'
),
described AS (
    INSERT INTO suspensions (suspension_number, key_expires_at, lease_epoch, lease_ms, attempt_index, suspension_id, lease_id,
        attempt_id, satisfied, execution_id, worker_instance_id, idempotency_key, requested_by, continuation_pointer,
        waitpoint_ids, leaves)
    SELECT number, now + least(CASE WHEN timeout_at IS NOT NULL THEN greatest(timeout_at - now, 0) + 60000 END, $23),
        lease_epoch, $24, attempt_index, $8, lease_id, attempt_id, satisfied, id, worker_instance_id, $21, $16, $19, $9, $12::text::jsonb
    FROM decided RETURNING *
),
answer AS MATERIALIZED (SELECT * FROM described UNION ALL SELECT * FROM known),
used AS (
    UPDATE executions e SET suspension_number = number, suspended_at = now, suspension_reason = $14,
        suspension_timeout_at = timeout_at, timeout_behavior = behavior, suspension_delay_ms = $20,
        suspension_closed_at = now, close_reason = 'resumed', last_mutation_at = now
    FROM decided WHERE e.id = $1 AND satisfied
),
suspended AS (
    UPDATE executions e SET lifecycle_phase = 'suspended', ownership_state = 'unowned', ready = false,
        attempt_state = 'attempt_interrupted', blocking_reason = $15::text, ended_by = 'suspend',
        due_at = least(timeout_at, e.execution_deadline_at), suspension_number = number,
        suspended_at = now, suspension_reason = $14, suspension_timeout_at = timeout_at, timeout_behavior = behavior,
        suspension_delay_ms = $20, suspension_closed_at = NULL, close_reason = NULL,
        last_transition_at = now, last_mutation_at = now
    FROM decided WHERE e.id = $1 AND NOT satisfied
),
interrupted AS (
    UPDATE attempts a SET phase = 'suspended'
    FROM decided d WHERE a.execution_id = $1 AND a.attempt_index = d.attempt_index AND NOT satisfied
),
released AS (
    INSERT INTO lease_events (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'released', worker_instance_id, 'suspend'
    FROM decided WHERE NOT satisfied
),
opened AS (
    INSERT INTO waitpoints (created_at, activated_at, suspension_number, waitpoint_id, attempt_id, execution_id,
        waitpoint_key, token_kid, token_fingerprint)
    SELECT now, now, number, a.id, attempt_id, $1, name, kid, fingerprint FROM decided, asked a
    ON CONFLICT ON CONSTRAINT waitpoints_pkey
        DO UPDATE SET activated_at = excluded.activated_at, suspension_number = excluded.suspension_number
),
named AS MATERIALIZED (
    SELECT array_agg(id ORDER BY place) AS ids, array_agg(name ORDER BY place) AS names,
        array_agg(kid ORDER BY place) AS kids
    FROM (SELECT id, name, kid, place FROM asked WHERE EXISTS (SELECT FROM decided)
        UNION ALL SELECT i.id, w.waitpoint_key, w.token_kid, i.place
        FROM known k CROSS JOIN unnest(k.waitpoint_ids) WITH ORDINALITY AS i (id, place) CROSS JOIN LATERAL (
            SELECT * FROM waitpoints WHERE execution_id = $1 AND waitpoint_id = i.id LIMIT 1) w) w
)
SELECT
    CASE WHEN j.id IS NOT NULL THEN j.verdict WHEN NOT EXISTS (SELECT FROM ring) THEN 'ring'
        WHEN EXISTS (SELECT FROM held) THEN 'again' ELSE 'missing' END AS verdict,
    a.satisfied, a.suspension_id, n.ids AS waitpoint_ids, n.names AS waitpoint_keys, n.kids AS token_kids, j.lane_id,
    a.lease_id, a.lease_ms, a.attempt_index, a.worker_instance_id, j.terminal_outcome::text, j.lifecycle_phase::text,
    coalesce(a.lease_epoch, j.lease_epoch) AS lease_epoch, coalesce(a.attempt_id, j.attempt_id) AS attempt_id,
    j.timed_out
FROM (VALUES (1)) one LEFT JOIN judged j ON true LEFT JOIN answer a ON true CROSS JOIN named n;
