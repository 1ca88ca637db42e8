-- dump: one line for each row of the engine's tables.
-- no parameters
-- returns: line text
-- Without what only the server knows of a row, its transaction and its number; payloads are long and stand as digests, secrets too.
SELECT 'store ' || (to_jsonb(t) - 'singleton')::text AS line FROM store t
UNION ALL SELECT 'executions ' || to_jsonb(t)::text FROM executions t
UNION ALL SELECT 'execution_inputs ' || (to_jsonb(t) - 'payload')::text || encode(sha256(t.payload), 'hex')
    FROM execution_inputs t
UNION ALL SELECT 'execution_results ' || t.execution_id || ' ' || encode(sha256(t.payload), 'hex')
    FROM execution_results t
UNION ALL SELECT 'attempts ' || to_jsonb(t)::text FROM attempts t
UNION ALL SELECT 'lease_events ' || (to_jsonb(t) - '{xid,id}'::text[])::text FROM lease_events t
UNION ALL SELECT 'completion_events ' || (to_jsonb(t) - '{xid,id}'::text[])::text FROM completion_events t
UNION ALL SELECT 'operator_events ' || (to_jsonb(t) - '{xid,id}'::text[])::text FROM operator_events t
UNION ALL SELECT 'signal_events ' || (to_jsonb(t) - '{xid,id}'::text[])::text FROM signal_events t
UNION ALL SELECT 'suspensions ' || to_jsonb(t)::text FROM suspensions t
UNION ALL SELECT 'waitpoints ' || to_jsonb(t)::text FROM waitpoints t
UNION ALL SELECT 'signals ' || (to_jsonb(t) - 'payload')::text || coalesce(encode(sha256(t.payload), 'hex'), '')
    FROM signals t
UNION ALL SELECT 'waitpoint_secrets ' || (to_jsonb(t) - 'secret')::text || encode(sha256(t.secret), 'hex')
    FROM waitpoint_secrets t
UNION ALL SELECT 'waitpoint_ring ' || (to_jsonb(t) - 'singleton')::text FROM waitpoint_ring t
UNION ALL SELECT 'idempotency_keys ' || to_jsonb(t)::text FROM idempotency_keys t
UNION ALL SELECT 'lanes ' || to_jsonb(t)::text FROM lanes t
UNION ALL SELECT 'lane_sets ' || to_jsonb(t)::text FROM lane_sets t;
