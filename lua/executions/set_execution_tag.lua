-- set_execution_tag: a label, set or cleared.
-- keys: 1 root, 2 core, 3 tags  args: 1 most, 2 key, 3 value (absent: clear)
-- returns: done                 fails: NOT_FOUND TOO_MANY_TAGS
ff.write("set_execution_tag", function(keys, args)
  local now = ff.now_ms()
  if redis.call("EXISTS", keys[2]) == 0 then return ff.not_found() end
  if not args[3] then
    redis.call("HDEL", keys[3], args[2])
  elseif redis.call("HEXISTS", keys[3], args[2]) == 0 and redis.call("HLEN", keys[3]) >= tonumber(args[1]) then
    return ff.fail("TOO_MANY_TAGS", "the execution has as many labels as it may")
  else
    redis.call("HSET", keys[3], args[2], args[3])
  end
  redis.call("HSET", keys[2], "m", ff.int(now))
  return { "done" }
end)
