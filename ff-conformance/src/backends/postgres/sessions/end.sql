-- Ends every session of this database but the one that asks.
-- returns: ended bool, one row for each session
SELECT pg_terminate_backend(pid) AS ended
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
