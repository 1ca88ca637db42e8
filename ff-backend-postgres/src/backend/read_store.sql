-- connect: what the store says of itself, and what follows from its settings.
-- no parameters
-- returns: version int4, oldest_client int4, partitions int4, system_identifier int8, isolation text, fsync text,
--   synchronous_commit text, wal_writer_delay_ms int8
SELECT
    version, oldest_client, partitions, system_identifier, current_setting('transaction_isolation') AS isolation,
    current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
    (SELECT setting::int8 FROM pg_settings WHERE name = 'wal_writer_delay') AS wal_writer_delay_ms
FROM store;
