-- dump: what operators did to all executions, oldest first.
-- no parameters
-- returns: execution_id text, namespace text, kind text, detail text, at int8
SELECT ff_id_text(execution_id) AS execution_id, namespace, kind, detail, at FROM operator_events ORDER BY id;
