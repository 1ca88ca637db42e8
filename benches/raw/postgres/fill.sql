-- $1 namespace text, $2 lane_id text, $3 rows int8
INSERT INTO raw_executions (id, namespace, lane_id, priority, state, created_at, last_transition_at)
SELECT '{fp:0}:' || gen_random_uuid(), $1, $2, 0, 'ready', at, at
FROM generate_series(1, $3) n, LATERAL (SELECT 1700000000000 + n AS at) t;
