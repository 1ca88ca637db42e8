-- hold: the clock of a case behind a gate, at which the first transaction that comes waits and nobody else.
-- no parameters
-- returns: nothing
-- Whoever comes while it waits finds its place taken. Once the gate is open it holds nobody.
CREATE OR REPLACE FUNCTION ff_now_ms() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF pg_try_advisory_xact_lock(7101, 1) THEN PERFORM pg_advisory_xact_lock_shared(7101, 2); END IF;
    RETURN pg_sequence_last_value('ff_clock'::regclass);
END $$;
