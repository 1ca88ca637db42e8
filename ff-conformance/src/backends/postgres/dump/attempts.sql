-- dump: all attempts, by execution and index.
-- no parameters
-- returns: execution_id text, attempt_index int8, attempt_id uuid, attempt_type text, phase text, lease_epoch int8,
--   started_at int8, resumed_at int8, ended_at int8, failure_reason text, failure_category text
SELECT
    ff_id_text(execution_id) AS execution_id, attempt_index, attempt_id, attempt_type::text, phase::text, lease_epoch,
    started_at, resumed_at, ended_at, failure_reason, failure_category
FROM attempts ORDER BY attempts.execution_id, attempt_index;
