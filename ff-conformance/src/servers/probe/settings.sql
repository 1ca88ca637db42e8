-- What a report says about a Postgres server.
-- returns: name, setting
SELECT name, setting
FROM pg_settings
WHERE name IN ('server_version', 'server_encoding', 'fsync', 'synchronous_commit', 'full_page_writes', 'max_connections')
