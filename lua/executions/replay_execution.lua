-- replay_execution: an execution that has ended waits for another attempt, as if it had used up nothing.
-- keys: 1 root, 2 lease_history, 3 completions, 4 operator_events, 5 core, 6 text, 7 result
-- args: 1 execution
-- returns: done                 fails: NOT_FOUND NOT_TERMINAL REPLAYS_EXHAUSTED PAST_DEADLINE

local MAX_REPLAYS = 10

ff.write("replay_execution", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[5])
  if not core then return ff.not_found() end
  if not ff.has_ended(core, now) then
    if core.s == ff.state.eligible_replay then return { "done" } end
    return ff.fail("NOT_TERMINAL", "the execution has not ended")
  end
  if ff.count(core.rn) >= tonumber(core.mp or MAX_REPLAYS) then
    return ff.fail("REPLAYS_EXHAUSTED", "no replay is left")
  end
  if core.x and not core.xr and now >= tonumber(core.x) then
    return ff.fail("PAST_DEADLINE", "the deadline is absolute and has come")
  end

  local id, at = args[1], ff.int(now)
  local fate = ff.fate(core, now)
  if fate then ff.settle(keys, id, core, fate, "", now) end
  core.rn = ff.int(ff.count(core.rn) + 1)
  if core.xr then core.x = ff.int(now + tonumber(core.xr)) end
  redis.call("HSET", keys[5], "s", ff.state.eligible_replay, "t", at, "m", at, "x", core.x or "", "rn", core.rn,
    "z", "", "d", "", "rc", "", "lc", "", "eb", "", "pp", "", "pu", "")
  redis.call("HDEL", keys[5], "gk", "gw", "gi", "ge", "gr")
  redis.call("HDEL", keys[6], "failure_reason", "failure_category", "cancellation_reason", "cancelled_by",
    "progress_message")
  redis.call("DEL", keys[7])
  ff.unmake_ended(keys[1], id)
  ff.make_ready(keys[1], id, core)
  ff.set_due(keys[1], id, core, ff.deadline(core))
  ff.tell_operator(keys[4], id, core, "replayed", core.rn, now)
  return { "done" }
end)
