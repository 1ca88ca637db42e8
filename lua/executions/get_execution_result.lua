-- get_execution_result: the bytes that complete stored.
-- keys: 1 root, 2 result        args: none
-- returns: the result, nil if there is none
ff.read("get_execution_result", function(keys)
  return redis.call("GET", keys[2])
end)
