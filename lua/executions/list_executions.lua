-- list_executions: ids in order, from a bound on.
-- keys: 1 root, 2 ids           args: 1 from (`-`, `(<id>` or `+`), 2 most
-- returns: ids
ff.read("list_executions", function(keys, args)
  return redis.call("ZRANGE", keys[2], args[1], "+", "BYLEX", "LIMIT", 0, args[2])
end)
