-- hold: the gate that gated_clock.sql lets one call wait at.
-- no parameters
-- returns: pid int4
SELECT pg_backend_pid() AS pid FROM pg_advisory_xact_lock(7101, 2);
