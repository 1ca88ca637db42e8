-- wake_lanes: wakes the claims that wait in these lanes, in all processes.
-- $1 lane_ids text[]
-- returns: told int8
SELECT count(pg_notify('ff_wake', lane_id)) AS told FROM unnest($1::text[]) AS lanes (lane_id);
