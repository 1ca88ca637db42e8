-- tell_ends: wakes the subscriptions to completions in all processes.
-- $1 process_id text
-- returns: told text, lasts text
-- As wake_lanes.sql, it does not wait for the disk.
SELECT pg_notify('ff_end', $1::text)::text AS told, set_config('synchronous_commit', 'off', true) AS lasts;
