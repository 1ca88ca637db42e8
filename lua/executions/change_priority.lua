-- change_priority: another priority for an execution that waits; its place in the lane follows.
-- keys: 1 root, 2 operator_events, 3 core         args: 1 execution, 2 priority
-- returns: done                 fails: NOT_FOUND NOT_ELIGIBLE
ff.write("change_priority", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[3])
  if not core then return ff.not_found() end
  if ff.phase(core) == "a" or ff.has_ended(core, now) then
    return ff.fail("NOT_ELIGIBLE", "the execution does not wait")
  end
  if core.p == args[2] then return { "done" } end

  -- The ready index has the priority in its members.
  local was_ready = ff.unmake_ready(keys[1], args[1], core)
  core.p = args[2]
  redis.call("HSET", keys[3], "p", core.p, "m", ff.int(now))
  if was_ready then ff.make_ready(keys[1], args[1], core) end
  ff.tell_operator(keys[2], args[1], core, "priority_changed", core.p, now)
  return { "done" }
end)
