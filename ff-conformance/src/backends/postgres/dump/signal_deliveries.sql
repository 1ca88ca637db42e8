-- dump: what was delivered to waitpoints of all executions, oldest first.
-- no parameters
-- returns: execution_id text, namespace text, waitpoint_id uuid, signal_id uuid, source_identity text, effect text, at int8
SELECT ff_id_text(execution_id) AS execution_id, namespace, waitpoint_id, signal_id, source_identity, effect, at
FROM signal_events ORDER BY id;
