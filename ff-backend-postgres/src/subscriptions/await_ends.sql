-- await_ends: subscriptions of a process wait for executions to end.
-- $1 process_id uuid, $2 ttl_ms int8
-- returns: nothing
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
gone AS (DELETE FROM completion_waiters WHERE expires_at <= (SELECT now FROM clock) AND process_id <> $1)
INSERT INTO completion_waiters (process_id, expires_at) SELECT $1, now + $2 FROM clock
ON CONFLICT ON CONSTRAINT completion_waiters_pkey DO UPDATE SET expires_at = excluded.expires_at;
