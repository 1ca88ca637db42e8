-- TRUNCATE gives every table and index a new file: no dead entry of an earlier run is met again.
TRUNCATE executions, execution_inputs, execution_results, idempotency_keys, attempts, suspensions, waitpoints, signals,
    lease_events, completion_events, signal_events;
