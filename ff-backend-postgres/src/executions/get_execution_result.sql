-- get_execution_result: the result of an execution that completed with one.
-- $1 execution_id bytea
-- returns: payload bytea
SELECT payload FROM execution_results WHERE execution_id = $1;
