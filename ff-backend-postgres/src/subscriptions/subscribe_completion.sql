-- subscribe_completion: a page of what ended: what `new` shows and `old` did not, in order of id.
-- $1 old text, $2 new text, $3 passed int8, $4 floor int8, $5 page int8,
-- $6 epoch uuid, $7 namespace text, $8 tag_key text, $9 tag_value text
-- returns: new text, epoch uuid, before_xid text, works bool, id int8, at int8, execution_id bytea, namespace text,
--   outcome text, matches bool
-- Without `new` the step goes up to what can be seen now. One row at least, without an id if there is no event.
-- Ids up to `passed` were delivered. Ids up to `floor` were drawn before `old` was taken: such an event came late. It
-- is looked for by its transaction, all others by their id. `+ 0` keeps the planner from the other index.
WITH step AS MATERIALIZED (
    SELECT $1::text::pg_snapshot AS old, coalesce($2::text::pg_snapshot, pg_current_snapshot()) AS new,
        epoch, before_xid, removed_id
    FROM event_horizons WHERE family = 'completions'
),
late AS MATERIALIZED (
    SELECT * FROM completion_events WHERE $3::int8 < $4::int8 AND id + 0 > $3 AND id + 0 <= $4
        AND xid = ANY (ARRAY(SELECT pg_snapshot_xip(old) FROM step))
        AND pg_visible_in_snapshot(xid, (SELECT new FROM step))
    UNION ALL
    SELECT * FROM completion_events WHERE $3::int8 < $4::int8 AND id + 0 > $3 AND id + 0 <= $4
        AND xid >= (SELECT pg_snapshot_xmax(old) FROM step) AND xid < (SELECT pg_snapshot_xmax(new) FROM step)
        AND pg_visible_in_snapshot(xid, (SELECT new FROM step))
),
fresh AS MATERIALIZED (
    SELECT * FROM completion_events WHERE id > greatest($3, $4)
        AND NOT pg_visible_in_snapshot(xid, (SELECT old FROM step))
        AND pg_visible_in_snapshot(xid, (SELECT new FROM step))
    ORDER BY id LIMIT $5
),
page AS MATERIALIZED (
    SELECT * FROM (TABLE late UNION ALL TABLE fresh) both_parts ORDER BY id LIMIT $5
)
SELECT s.new::text AS new, s.epoch, s.before_xid::text AS before_xid,
    s.epoch = $6 AND (s.before_xid <= pg_snapshot_xmin(s.old)
        OR (s.before_xid <= pg_snapshot_xmin(s.new) AND s.removed_id <= $3)) AS works,
    p.id, p.at, p.execution_id, p.namespace, p.outcome,
    ($7::text IS NULL OR p.namespace = $7::text) AND ($8::text IS NULL OR EXISTS (
        SELECT FROM execution_inputs i WHERE i.execution_id = p.execution_id AND i.tags ->> $8::text = $9::text
    )) AS matches
FROM step s LEFT JOIN page p ON true ORDER BY p.id;
