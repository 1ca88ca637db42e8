-- The settings that a figure depends on.
-- returns: name text, setting text
SELECT name, current_setting(name) AS setting FROM pg_settings
WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_level', 'wal_sync_method', 'shared_buffers',
    'max_wal_size');
