-- A million executions of the lane that have ended, and a million that are delayed for a day.
WITH mail AS (SELECT set_id, lane_id FROM lane_sets WHERE lane_id = 'mail' LIMIT 1)
INSERT INTO executions (id, namespace, lane_id, set_id, priority, ready, due_at, delay_until, completed_at,
    lifecycle_phase, ownership_state, eligibility_state, blocking_reason, terminal_outcome, attempt_state, created_at,
    last_transition_at, last_mutation_at, reclaims_max, replays_max)
SELECT ff_id('{fp:0}:' || gen_random_uuid()), 'shop', lane_id, set_id, 0, false,
    CASE WHEN ended THEN NULL ELSE ff_now_ms() + 86400000 + n END,
    CASE WHEN ended THEN NULL ELSE ff_now_ms() + 86400000 + n END,
    CASE WHEN ended THEN ff_now_ms() END,
    CASE WHEN ended THEN 'terminal' ELSE 'runnable' END, 'unowned',
    CASE WHEN ended THEN 'not_applicable' ELSE 'not_eligible_until_time' END,
    CASE WHEN ended THEN 'none' ELSE 'waiting_for_delay' END, CASE WHEN ended THEN 'success' ELSE 'none' END,
    CASE WHEN ended THEN 'attempt_terminal' ELSE 'pending_first_attempt' END, n, n, n, 100, 10
FROM mail, generate_series(1, 2000000) n, LATERAL (SELECT n % 2 = 0 AS ended) e;
ANALYZE executions, lane_sets;
