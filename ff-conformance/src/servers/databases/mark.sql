-- The comment on a database; no row if there is none of the name.
-- $1 name
-- returns: mark
SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1
