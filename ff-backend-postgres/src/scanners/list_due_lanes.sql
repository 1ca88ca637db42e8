-- list_due_lanes: the lanes with a row whose time has come, by name.
-- $1 first text, $2 most int8
-- returns: lane_id text
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now)
SELECT l.lane_id FROM lanes l, LATERAL (
    SELECT due_at FROM executions WHERE lane_id = l.lane_id AND due_at <= (SELECT now FROM clock)
    ORDER BY due_at, id LIMIT 1) due
WHERE l.lane_id >= $1 ORDER BY l.lane_id LIMIT $2;
