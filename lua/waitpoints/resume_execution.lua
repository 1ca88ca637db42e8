-- resume_execution: a suspension ends on an operator's word.
-- keys: 1 root, 2 operator_events, 3 core, 4 suspension             args: 1 execution, 2 delay_ms, 3 reason
-- returns: waits | ready        fails: NOT_FOUND NOT_SUSPENDED
ff.write("resume_execution", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[3])
  if not core then return ff.not_found() end
  local state = ff.state_at(core, now)
  if string.sub(state, 1, 1) ~= "s" then
    local how, epoch = unpack(redis.call("HMGET", keys[4], "cl", "e"))
    local is_interrupted = string.sub(state, 1, 1) == "r" and string.sub(state, 6, 6) == "i"
    local is_repeat = is_interrupted and how == "operator_resumed" and epoch == core.e
    if is_repeat then return { string.sub(state, 3, 3) == "n" and "ready" or "waits" } end
    return ff.fail("NOT_SUSPENDED", "the execution does not wait for signals")
  end
  local until_ms = now + tonumber(args[2])
  ff.resume(keys[1], args[1], core, "operator_resumed", now, until_ms, now)
  ff.tell_operator(keys[2], args[1], core, "resumed", args[3], now)
  return { until_ms > now and "waits" or "ready" }
end)
