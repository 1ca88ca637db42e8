-- hold: how many sessions of this database wait for the holder, or for one that does.
-- $1 holder int4
-- returns: waiting int8
WITH RECURSIVE waiting (pid) AS (
    SELECT $1::int4
    UNION
    SELECT a.pid FROM pg_stat_activity a JOIN waiting w ON w.pid = ANY (pg_blocking_pids(a.pid))
    WHERE a.datname = current_database()
)
SELECT count(*) - 1 AS waiting FROM waiting;
