-- create_execution: a new execution, unless its id or its live idempotency key is known.
-- $1 id bytea, $2 namespace text, $3 lane_id text, $4 execution_kind text, $5 payload bytea, $6 payload_encoding text,
-- $7 priority int4, $8 creator_identity text, $9 idempotency_key text, $10 tags text,
-- $11 delay_until int8, $12 execution_deadline_at int8, $13 tokens text[], $14 reclaims_max int8, $15 window_ms int8,
-- $16 retries_max int8, $17 backoff_initial_ms int8, $18 backoff_max_ms int8, $19 backoff_multiplier float8,
-- $20 backoff_saturates_at int8, $21 backoff_jitter bool, $22 retry_categories text[], $23 replays_max int8,
-- $24 attempt_timeout_ms int8, $25 deadline_after_ms int8, $26 suspension_ms int8, $27 suspension_behavior text,
-- $28 signals_max int8
-- returns: verdict text, execution_id bytea, delayed bool, awaited text
-- verdict: created, duplicate, again
-- The deadline counts from now if deadline_after_ms is given, else execution_deadline_at is the deadline, if any.
-- It has its transaction id before it reads the clock: who knows which transactions have ended knows which instants of
-- creation are still to come.
-- Writes go by key, capability set, execution, in this order, so that two creates never wait for each other in a
-- circle. An id that is stored after the snapshot breaks executions_pkey, which undoes the key as well; tx.rs takes
-- that for 'again'.
WITH known AS MATERIALIZED (SELECT id FROM executions WHERE id = $1),
clock AS MATERIALIZED (SELECT ff_now_ms() AS now FROM pg_current_xact_id() AS written),
first AS MATERIALIZED (
    SELECT execution_id FROM idempotency_keys
    WHERE namespace = $2 AND key = $9::text AND expires_at > (SELECT now FROM clock)
),
-- Waits for a create that is writing the same key; if that one stays, this writes nothing and says 'again'.
keyed AS (
    INSERT INTO idempotency_keys AS k (namespace, key, execution_id, expires_at)
    SELECT $2, $9::text, $1, now + $15 FROM clock
    WHERE $9 IS NOT NULL AND NOT EXISTS (SELECT FROM known) AND NOT EXISTS (SELECT FROM first)
    ON CONFLICT ON CONSTRAINT idempotency_keys_pkey
        DO UPDATE SET execution_id = excluded.execution_id, expires_at = excluded.expires_at
        WHERE k.expires_at <= (SELECT now FROM clock)
    RETURNING execution_id
),
ok AS MATERIALIZED (
    SELECT now, coalesce($11 > now, false) AS delayed FROM clock
    WHERE NOT EXISTS (SELECT FROM known)
      AND CASE WHEN $9 IS NULL THEN true ELSE EXISTS (SELECT FROM keyed) END
),
old_set AS MATERIALIZED (
    SELECT set_id FROM lane_sets
    WHERE lane_id = $3 AND tokens_digest = sha256(convert_to(array_to_string($13::text[], ','), 'UTF8'))
),
new_set AS (
    INSERT INTO lane_sets (lane_id, tokens_digest, tokens)
    SELECT $3, sha256(convert_to(array_to_string($13::text[], ','), 'UTF8')), $13
    FROM ok WHERE NOT EXISTS (SELECT FROM old_set)
    -- A second writer of the same set gets its id, not nothing.
    ON CONFLICT ON CONSTRAINT lane_sets_lane_id_tokens_digest_key DO UPDATE SET tokens = excluded.tokens
    RETURNING set_id
),
made AS (
    INSERT INTO executions (
        id, namespace, lane_id, set_id, priority, ready, due_at, delay_until, execution_deadline_at,
        lifecycle_phase, ownership_state, eligibility_state, blocking_reason, terminal_outcome, attempt_state,
        created_at, last_transition_at, last_mutation_at, reclaims_max, retries_max, backoff_initial_ms,
        backoff_max_ms, backoff_multiplier, backoff_saturates_at, backoff_jitter, retry_categories, replays_max,
        attempt_timeout_ms, deadline_after_ms, suspension_ms, suspension_behavior, signals_max)
    SELECT
        $1, $2, $3, s.set_id, $7, NOT delayed, least(CASE WHEN delayed THEN $11 END, coalesce($12, now + $25)),
        CASE WHEN delayed THEN $11 END, coalesce($12, now + $25),
        'runnable', 'unowned', CASE WHEN delayed THEN 'not_eligible_until_time' ELSE 'eligible_now' END,
        CASE WHEN delayed THEN 'waiting_for_delay' ELSE 'waiting_for_worker' END, 'none', 'pending_first_attempt',
        now, now, now, $14, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28
    FROM ok, (SELECT set_id FROM old_set UNION ALL SELECT set_id FROM new_set) s
    RETURNING id
),
input AS (
    INSERT INTO execution_inputs (
        execution_id, execution_kind, creator_identity, payload_encoding, payload, tags)
    SELECT id, $4, $8, $6, $5, $10::text::jsonb FROM made
),
lane AS (
    INSERT INTO lanes (lane_id) SELECT $3 FROM new_set ON CONFLICT ON CONSTRAINT lanes_pkey DO NOTHING
)
SELECT
    CASE WHEN EXISTS (SELECT FROM made) THEN 'created'
         WHEN EXISTS (SELECT FROM known) OR EXISTS (SELECT FROM first) THEN 'duplicate'
         ELSE 'again' END AS verdict,
    coalesce((SELECT id FROM made), (SELECT id FROM known), (SELECT execution_id FROM first)) AS execution_id,
    coalesce((SELECT delayed FROM ok), false) AS delayed,
    (SELECT lane_id FROM claim_waiters WHERE lane_id = $3 AND expires_at > (SELECT now FROM ok) LIMIT 1) AS awaited;
