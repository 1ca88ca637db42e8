-- describe_execution: the stored row with its tags, for the caller to compare with the time.
-- keys: 1 root, 2 core, 3 text, 4 tags     args: none
-- returns: now_ms, core, text, tags
ff.read("describe_execution", function(keys)
  return { ff.now_ms(), redis.call("HGETALL", keys[2]), redis.call("HGETALL", keys[3]), redis.call("HGETALL", keys[4]) }
end)
