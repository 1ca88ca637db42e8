-- wake_lanes: wakes the claims that wait in these lanes, in all processes.
-- $1 lane_ids text[]
-- returns: told int8, lasts text
-- Hints are announced once the transaction is over, which need not wait for the disk: it writes nothing that has to last.
SELECT count(pg_notify('ff_wake', lane_id)) AS told, set_config('synchronous_commit', 'off', true) AS lasts
FROM unnest($1::text[]) AS lanes (lane_id);
