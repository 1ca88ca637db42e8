-- list_lanes: names in order, from a bound on.
-- keys: 1 root, 2 lanes         args: 1 from (`-` or `(<lane>`), 2 most
-- returns: names
ff.read("list_lanes", function(keys, args)
  return redis.call("ZRANGE", keys[2], args[1], "+", "BYLEX", "LIMIT", 0, args[2])
end)
