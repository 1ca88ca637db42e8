-- poll: which families have events that `seen` did not show.
-- $1 seen text
-- returns: seen text, lease_history bool, completions bool, operator_events bool, signal_deliveries bool
-- seen: everything that can be seen now.
WITH before AS MATERIALIZED (
    SELECT pg_snapshot_xmax(seen) AS xmax, ARRAY(SELECT pg_snapshot_xip(seen)) AS xip
    FROM (VALUES ($1::text::pg_snapshot)) v (seen)
)
SELECT pg_current_snapshot()::text AS seen,
    EXISTS (SELECT FROM lease_events WHERE xid >= (SELECT xmax FROM before))
        OR EXISTS (SELECT FROM lease_events WHERE xid = ANY ((SELECT xip FROM before)::xid8[])) AS lease_history,
    EXISTS (SELECT FROM completion_events WHERE xid >= (SELECT xmax FROM before))
        OR EXISTS (SELECT FROM completion_events WHERE xid = ANY ((SELECT xip FROM before)::xid8[])) AS completions,
    EXISTS (SELECT FROM operator_events WHERE xid >= (SELECT xmax FROM before))
        OR EXISTS (SELECT FROM operator_events WHERE xid = ANY ((SELECT xip FROM before)::xid8[])) AS operator_events,
    EXISTS (SELECT FROM signal_events WHERE xid >= (SELECT xmax FROM before))
        OR EXISTS (SELECT FROM signal_events WHERE xid = ANY ((SELECT xip FROM before)::xid8[])) AS signal_deliveries;
