-- trim_completion_events: removes the oldest completions, up to the last of them that is old.
-- $1 age_ms int8, $2 most int8
-- returns: removed int8
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
oldest AS MATERIALIZED (SELECT xid, id, at FROM completion_events ORDER BY xid, id LIMIT $2),
last AS MATERIALIZED (
    SELECT xid, id FROM oldest WHERE at <= (SELECT now - $1 FROM clock) ORDER BY xid DESC, id DESC LIMIT 1
),
gone AS (DELETE FROM completion_events e USING last WHERE (e.xid, e.id) <= (last.xid, last.id) RETURNING e.id)
SELECT count(*) AS removed FROM gone;
