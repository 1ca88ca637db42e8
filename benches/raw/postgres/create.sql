-- $1 namespace text, $2 lane_id text
INSERT INTO raw_executions (id, namespace, lane_id, priority, state, created_at, last_transition_at)
SELECT '{fp:0}:' || gen_random_uuid(), $1, $2, 0, 'ready', at, at
FROM (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at) t;
