-- read_execution_info: the stored row with its input, for the caller to compare with the time.
-- keys: 1 root, 2 core, 3 text, 4 input    args: none
-- returns: now_ms, core, text, input (nil if it is empty)
ff.read("read_execution_info", function(keys)
  return { ff.now_ms(), redis.call("HGETALL", keys[2]), redis.call("HGETALL", keys[3]), redis.call("GET", keys[4]) }
end)
