-- explain_unclaimed: the stored row, for the caller to compare with the time and with what a worker offers.
-- keys: 1 root, 2 core     args: none
-- returns: now_ms, core
ff.read("explain_unclaimed", function(keys)
  return { ff.now_ms(), redis.call("HGETALL", keys[2]) }
end)
