-- resolve: where a subscription begins, and whether a cursor works.
-- $1 family text, $2 old text, $3 new text, $4 passed int8, $5 epoch uuid
-- returns: snapshot text, newest int8, epoch uuid, before_xid text, works bool, known bool
-- snapshot: everything that can be seen now. newest: the greatest id in it, 0 if there is none.
-- works: nothing that the cursor has not passed was removed, and no other epoch has begun. known: it does not lie ahead
-- of this store.
WITH cursor AS MATERIALIZED (SELECT $2::text::pg_snapshot AS old, $3::text::pg_snapshot AS new)
SELECT pg_current_snapshot()::text AS snapshot,
    coalesce(CASE h.family
        WHEN 'lease_history' THEN (SELECT max(id) FROM lease_events)
        WHEN 'completions' THEN (SELECT max(id) FROM completion_events)
        WHEN 'signal_deliveries' THEN (SELECT max(id) FROM signal_events)
        ELSE (SELECT max(id) FROM operator_events) END, 0) AS newest,
    h.epoch, h.before_xid::text AS before_xid,
    coalesce(h.epoch = $5 AND (h.before_xid <= pg_snapshot_xmin(c.old)
        OR (h.before_xid <= pg_snapshot_xmin(c.new) AND h.removed_id <= $4)), true) AS works,
    coalesce(h.epoch <> $5 OR pg_snapshot_xmax(coalesce(c.new, c.old)) <= pg_snapshot_xmax(pg_current_snapshot()), true) AS known
FROM event_horizons h, cursor c WHERE h.family = $1;
