-- Bytes of the records of the log from a place on, without the images of pages in them.
-- $1 begun text
-- returns: bytes int8
SELECT sum(record_length - fpi_length)::int8 AS bytes FROM pg_get_wal_records_info($1::pg_lsn, pg_current_wal_flush_lsn());
