-- hold: whether a session of this database waits for the holder.
-- $1 holder int4
-- returns: awaited bool
SELECT EXISTS (
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND $1 = ANY (pg_blocking_pids(pid))
) AS awaited;
