-- create_executions: new executions, each unless its id or its live idempotency key is known.
-- $1 ids bytea[], $2 namespaces text[], $3 lane_ids text[], $4 execution_kinds text[], $5 payloads bytea[],
-- $6 payload_encodings text[], $7 priorities int4[], $8 creator_identities text[], $9 idempotency_keys text[],
-- $10 tags text[], $11 delays_until int8[], $12 execution_deadlines_at int8[], $13 tokens text[],
-- $14 reclaims_max int8[], $15 windows_ms int8[], $16 retries_max int8[], $17 backoffs_initial_ms int8[],
-- $18 backoffs_max_ms int8[], $19 backoff_multipliers float8[], $20 backoffs_saturate_at int8[],
-- $21 backoff_jitters bool[], $22 retry_categories text[], $23 replays_max int8[], $24 attempt_timeouts_ms int8[],
-- $25 deadlines_after_ms int8[], $26 leads bool[], $27 suspensions_ms int8[], $28 suspension_behaviors text[],
-- $29 signals_max int8[]
-- returns: verdict text, execution_id bytea, delayed bool, awaited text
-- verdict, a row for each item in its place: created, duplicate, again, or follows if it neither leads nor is known
-- Tokens are sets joined by commas, categories JSON arrays. Of items with one id or key at most one leads: only such are
-- made.
-- Writes go by key, capability set, execution, lane, as in create_execution.sql, and each of them in one order, so that
-- no two creates wait for each other in a circle. An id that is stored after the snapshot breaks executions_pkey, which
-- undoes all; tx.rs takes that for 'again'.
WITH asked AS MATERIALIZED (
    SELECT a.*, sha256(convert_to(tokens, 'UTF8')) AS tokens_digest
    FROM unnest($1::bytea[], $2::text[], $3::text[], $7::int4[], $9::text[], $11::int8[], $12::int8[], $13::text[],
            $14::int8[], $15::int8[], $16::int8[], $17::int8[], $18::int8[], $19::float8[], $20::int8[], $21::bool[],
            $22::text[], $23::int8[], $24::int8[], $25::int8[], $26::bool[], $27::int8[], $28::text[], $29::int8[]) WITH ORDINALITY AS a (
        id, namespace, lane_id, priority, key, delay_until, deadline_at, tokens,
        reclaims_max, window_ms, retries_max, initial_ms, max_ms, multiplier, saturates_at, jitter,
        categories, replays_max, attempt_timeout_ms, deadline_after_ms, leads, suspension_ms, suspension_behavior,
        signals_max, place)
),
clock AS MATERIALIZED (SELECT ff_now_ms() AS now FROM pg_current_xact_id() AS written),
judged AS MATERIALIZED (
    -- What follows another item of its id waits for what becomes of that.
    SELECT a.*, k.id IS NOT NULL AS is_known,
        CASE WHEN row_number() OVER (PARTITION BY a.id ORDER BY a.place) = 1 THEN f.execution_id END AS first,
        a.leads AND k.id IS NULL AND f.execution_id IS NULL AS makes
    FROM asked a
    LEFT JOIN LATERAL (SELECT id FROM executions WHERE id = a.id OFFSET 0) k ON true
    LEFT JOIN LATERAL (
        SELECT execution_id FROM idempotency_keys i
        WHERE i.namespace = a.namespace AND i.key = a.key AND i.expires_at > (SELECT now FROM clock) LIMIT 1) f ON true
),
-- Waits for a create that is writing the same key; if that one stays, this writes nothing and says 'again'.
keyed AS (
    INSERT INTO idempotency_keys AS k (namespace, key, execution_id, expires_at)
    SELECT namespace, key, id, now + window_ms FROM judged, clock WHERE makes AND key IS NOT NULL
    ORDER BY namespace, key
    ON CONFLICT ON CONSTRAINT idempotency_keys_pkey
        DO UPDATE SET execution_id = excluded.execution_id, expires_at = excluded.expires_at
        WHERE k.expires_at <= (SELECT now FROM clock)
    RETURNING execution_id
),
settled AS MATERIALIZED (
    SELECT judged.*, now, coalesce(delay_until > now, false) AS delayed,
        coalesce(deadline_at, now + deadline_after_ms) AS ends_at,
        makes AND (key IS NULL OR id IN (SELECT execution_id FROM keyed)) AS made
    FROM judged, clock
),
ok AS MATERIALIZED (SELECT * FROM settled WHERE made),
old_sets AS MATERIALIZED (
    SELECT w.lane_id, w.tokens_digest, s.set_id FROM (SELECT DISTINCT lane_id, tokens_digest FROM ok) w, LATERAL (
        SELECT set_id FROM lane_sets l WHERE l.lane_id = w.lane_id AND l.tokens_digest = w.tokens_digest LIMIT 1) s
),
new_sets AS (
    INSERT INTO lane_sets (lane_id, tokens_digest, tokens)
    SELECT DISTINCT lane_id, tokens_digest, string_to_array(tokens, ',') FROM ok
    WHERE NOT EXISTS (SELECT FROM old_sets o WHERE o.lane_id = ok.lane_id AND o.tokens_digest = ok.tokens_digest)
    ORDER BY lane_id, tokens_digest
    -- A second writer of the same set gets its id, not nothing.
    ON CONFLICT ON CONSTRAINT lane_sets_lane_id_tokens_digest_key DO UPDATE SET tokens = excluded.tokens
    RETURNING lane_id, tokens_digest, set_id
),
made AS (
    INSERT INTO executions (
        id, namespace, lane_id, set_id, priority, ready, due_at, delay_until, execution_deadline_at,
        lifecycle_phase, ownership_state, eligibility_state, blocking_reason, terminal_outcome, attempt_state,
        created_at, last_transition_at, last_mutation_at, reclaims_max, retries_max, backoff_initial_ms,
        backoff_max_ms, backoff_multiplier, backoff_saturates_at, backoff_jitter, retry_categories, replays_max,
        attempt_timeout_ms, deadline_after_ms, suspension_ms, suspension_behavior, signals_max)
    SELECT
        id, namespace, lane_id, set_id, priority, NOT delayed, least(CASE WHEN delayed THEN delay_until END, ends_at),
        CASE WHEN delayed THEN delay_until END, ends_at,
        'runnable', 'unowned', CASE WHEN delayed THEN 'not_eligible_until_time' ELSE 'eligible_now' END,
        CASE WHEN delayed THEN 'waiting_for_delay' ELSE 'waiting_for_worker' END, 'none', 'pending_first_attempt',
        now, now, now, reclaims_max, retries_max, initial_ms, max_ms, multiplier, saturates_at, jitter,
        CASE WHEN categories IS NOT NULL THEN ARRAY(
            SELECT c.item FROM json_array_elements_text(categories::json) WITH ORDINALITY AS c (item, at) ORDER BY at) END,
        replays_max, attempt_timeout_ms, deadline_after_ms, suspension_ms, suspension_behavior, signals_max
    FROM ok JOIN (SELECT * FROM old_sets UNION ALL SELECT * FROM new_sets) s USING (lane_id, tokens_digest)
    ORDER BY id
    RETURNING id
),
input AS (
    INSERT INTO execution_inputs (
        execution_id, execution_kind, payload, payload_encoding, creator_identity, tags)
    SELECT id, ($4::text[])[place], ($5::bytea[])[place], ($6::text[])[place], ($8::text[])[place],
        ($10::text[])[place]::jsonb
    FROM ok WHERE id IN (SELECT id FROM made)
),
lane AS (
    INSERT INTO lanes (lane_id) SELECT DISTINCT lane_id FROM new_sets ORDER BY lane_id
    ON CONFLICT ON CONSTRAINT lanes_pkey DO NOTHING
)
SELECT
    CASE WHEN made THEN 'created' WHEN is_known OR first IS NOT NULL THEN 'duplicate'
        WHEN makes THEN 'again' ELSE 'follows' END AS verdict,
    CASE WHEN is_known THEN id ELSE coalesce(first, id) END AS execution_id,
    made AND delayed AS delayed, w.lane_id AS awaited
FROM settled s LEFT JOIN LATERAL (
    SELECT lane_id FROM claim_waiters
    WHERE made AND lane_id = s.lane_id AND expires_at > (SELECT now FROM clock) LIMIT 1) w ON true
ORDER BY place;
