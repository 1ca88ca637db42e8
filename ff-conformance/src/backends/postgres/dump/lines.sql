-- dump: one line for each row of the engine's tables.
-- no parameters
-- returns: line text
-- Without what only the store knows of a row: its transaction, its number, the passes over a lane. Ids of executions
-- stand as their text, payloads, which are long, and secrets as digests.
WITH owned (name, line, execution_id, payload) AS (
    SELECT 'execution_inputs', to_jsonb(t) - 'payload', execution_id, payload FROM execution_inputs t
    UNION ALL SELECT 'execution_results', to_jsonb(t) - 'payload', execution_id, payload FROM execution_results t
    UNION ALL SELECT 'attempts', to_jsonb(t), execution_id, NULL FROM attempts t
    UNION ALL SELECT 'lease_events', to_jsonb(t) - '{xid,id}'::text[], execution_id, NULL FROM lease_events t
    UNION ALL SELECT 'completion_events', to_jsonb(t) - '{xid,id}'::text[], execution_id, NULL FROM completion_events t
    UNION ALL SELECT 'operator_events', to_jsonb(t) - '{xid,id}'::text[], execution_id, NULL FROM operator_events t
    UNION ALL SELECT 'signal_events', to_jsonb(t) - '{xid,id}'::text[], execution_id, NULL FROM signal_events t
    UNION ALL SELECT 'suspensions', to_jsonb(t), execution_id, NULL FROM suspensions t
    UNION ALL SELECT 'waitpoints', to_jsonb(t), execution_id, NULL FROM waitpoints t
    UNION ALL SELECT 'signals', to_jsonb(t) - 'payload', execution_id, payload FROM signals t
    UNION ALL SELECT 'idempotency_keys', to_jsonb(t), execution_id, NULL FROM idempotency_keys t
)
SELECT name || ' ' || (line || jsonb_build_object('execution_id', ff_id_text(execution_id)))::text
    || coalesce(encode(sha256(payload), 'hex'), '') AS line FROM owned
UNION ALL SELECT 'executions ' || (to_jsonb(t) || jsonb_build_object('id', ff_id_text(t.id)))::text FROM executions t
UNION ALL SELECT 'store ' || (to_jsonb(t) - 'singleton')::text FROM store t
UNION ALL SELECT 'waitpoint_secrets ' || (to_jsonb(t) - 'secret')::text || encode(sha256(t.secret), 'hex')
    FROM waitpoint_secrets t
UNION ALL SELECT 'waitpoint_ring ' || (to_jsonb(t) - 'singleton')::text FROM waitpoint_ring t
UNION ALL SELECT 'lanes ' || (to_jsonb(t) - 'passes')::text FROM lanes t
UNION ALL SELECT 'lane_sets ' || to_jsonb(t)::text FROM lane_sets t;
