-- remove_signal_events: removes old events, oldest transactions first, and moves the horizon behind them in the same step.
-- $1 age_ms int8, $2 most int8
-- returns: examined int8, removed int8
-- Events as old as `age_ms` go; those of one transaction go together, and none while a transaction is
-- open that began before it: so nothing can appear behind the horizon. Any number of passes may run at once.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
horizon AS MATERIALIZED (
    SELECT before_xid FROM event_horizons WHERE family = 'signal_deliveries' FOR NO KEY UPDATE
),
seen AS MATERIALIZED (
    SELECT xid, at FROM signal_events WHERE EXISTS (SELECT FROM horizon) ORDER BY xid, id LIMIT $2
),
-- A transaction whose events fill the page goes whole.
bound AS MATERIALIZED (
    SELECT least(
        pg_snapshot_xmin(pg_current_snapshot()),
        (SELECT min(xid) FROM seen WHERE at > (SELECT now - $1 FROM clock)),
        CASE WHEN (SELECT count(*) FROM seen) < $2 OR (SELECT min(xid) = max(xid) FROM seen) THEN NULL
             ELSE (SELECT max(xid) FROM seen) END
    ) AS xid, (SELECT max(xid) FROM seen) AS last
),
removed AS (
    DELETE FROM signal_events WHERE xid < (SELECT xid FROM bound) AND xid <= (SELECT last FROM bound) RETURNING xid, id
),
moved AS (
    UPDATE event_horizons h SET removed_id = greatest(h.removed_id, r.id),
        before_xid = greatest(h.before_xid, (r.xid::text::bigint + 1)::text::xid8)
    FROM (SELECT max(id) AS id, max(xid) AS xid FROM removed) r WHERE h.family = 'signal_deliveries' AND r.id IS NOT NULL
)
SELECT (SELECT count(*) FROM seen) AS examined, (SELECT count(*) FROM removed) AS removed;
