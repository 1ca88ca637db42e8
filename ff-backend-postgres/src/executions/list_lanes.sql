-- list_lanes: lanes behind the cursor, in the order of their bytes; the empty text stands before all of them.
-- $1 cursor text, $2 limit int8
-- returns: lane_id text
SELECT lane_id FROM lanes WHERE lane_id > $1 ORDER BY lane_id LIMIT $2;
