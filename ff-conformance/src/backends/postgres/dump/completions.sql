-- dump: the completions of all executions, oldest first.
-- no parameters
-- returns: execution_id text, namespace text, outcome text, at int8
SELECT ff_id_text(execution_id) AS execution_id, namespace, outcome, at FROM completion_events ORDER BY id;
