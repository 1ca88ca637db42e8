-- the clock of a case: a sequence is not subject to snapshots, so a statement that waited sees the new time.
-- no parameters
-- returns: nothing
CREATE SEQUENCE ff_clock MINVALUE 0;
