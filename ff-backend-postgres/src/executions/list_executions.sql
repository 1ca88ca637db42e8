-- list_executions: ids behind the cursor, in the order of their bytes; the empty text stands before all of them.
-- $1 cursor text, $2 limit int8
-- returns: id text
SELECT id FROM executions WHERE id > $1 ORDER BY id LIMIT $2;
