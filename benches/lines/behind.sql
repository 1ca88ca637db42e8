-- 200,000 ready executions of the lane that require what no worker has, older than all others.
WITH other AS (
    INSERT INTO lane_sets (lane_id, tokens_digest, tokens) VALUES ('mail', sha256('gpu'), '{gpu}') RETURNING set_id
)
INSERT INTO executions (id, namespace, lane_id, set_id, priority, ready, lifecycle_phase, ownership_state,
    eligibility_state, blocking_reason, terminal_outcome, attempt_state, created_at, last_transition_at,
    last_mutation_at, reclaims_max, replays_max)
SELECT ff_id('{fp:0}:' || gen_random_uuid()), 'shop', 'mail', set_id, 0, true, 'runnable', 'unowned', 'eligible_now',
    'waiting_for_worker', 'none', 'pending_first_attempt', n, n, n, 100, 10
FROM other, generate_series(1, 200000) n;
ANALYZE executions, lane_sets;
