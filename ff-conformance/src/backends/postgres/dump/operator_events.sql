-- dump: what operators did to all executions, oldest first.
-- no parameters
-- returns: execution_id text, namespace text, kind text, detail text, at int8
SELECT execution_id, namespace, kind, detail, at FROM operator_events ORDER BY id;
