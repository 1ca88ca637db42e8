-- The databases that carry the suite's mark.
-- $1 mark
-- returns: name
SELECT datname::text
FROM pg_database
WHERE datname LIKE 'ffc\_%' AND shobj_description(oid, 'pg_database') = $1
ORDER BY datname
