-- list_executions: ids behind the cursor, in the order of their bytes; zeros stand before all of them.
-- $1 cursor bytea, $2 limit int8
-- returns: id bytea
SELECT id FROM executions WHERE id > $1 ORDER BY id LIMIT $2;
