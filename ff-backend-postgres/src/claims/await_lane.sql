-- await_lane: claims of a process wait in a lane.
-- $1 lane_id text, $2 process_id uuid, $3 ttl_ms int8
-- returns: nothing
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
gone AS (DELETE FROM claim_waiters WHERE lane_id = $1 AND expires_at <= (SELECT now FROM clock) AND process_id <> $2)
INSERT INTO claim_waiters (lane_id, process_id, expires_at) SELECT $1, $2, now + $3 FROM clock
ON CONFLICT ON CONSTRAINT claim_waiters_pkey DO UPDATE SET expires_at = excluded.expires_at;
