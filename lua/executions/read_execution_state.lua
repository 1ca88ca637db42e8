-- read_execution_state: the stored row, for the caller to compare with the time.
-- keys: 1 root, 2 core          args: none
-- returns: now_ms, core
ff.read("read_execution_state", function(keys)
  return { ff.now_ms(), redis.call("HGETALL", keys[2]) }
end)
