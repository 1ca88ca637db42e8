-- tell_ends: wakes the subscriptions to completions in all processes.
-- $1 process_id text
-- returns: told text
SELECT pg_notify('ff_end', $1::text)::text AS told;
