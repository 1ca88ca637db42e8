-- the clock of a case in the one place that knows the time.
-- no parameters
-- returns: nothing
CREATE OR REPLACE FUNCTION ff_now_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN pg_sequence_last_value('ff_clock'::regclass);
