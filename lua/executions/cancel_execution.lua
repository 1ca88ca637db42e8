-- cancel_execution: the execution ends as cancelled, on somebody's authority outside its lease.
-- keys: 1 root, 2 lease_history, 3 completions, 4 operator_events, 5 core, 6 text
-- args: 1 execution, 2 source, 3 reason, 4… the rest of the fence: lease_id, epoch, attempt_id (absent: not fenced)
-- returns: done | not_active    fails: NOT_FOUND TERMINAL LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
ff.write("cancel_execution", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[5])
  if not core then return ff.not_found() end
  local ended = ff.has_ended(core, now) and ff.state_at(core, now)
  if ended == ff.state.cancelled or ended == ff.state.cancelled_unstarted then return { "done" } end
  if ended then return ff.fail("TERMINAL", "the execution ended another way") end
  local refusal = args[4] and ff.fence(core, { args[1], args[4], args[5], args[6] }, now)
  if refusal then return refusal end

  local id, unstarted = args[1], ff.count(core.n) == 0
  redis.call("HSET", keys[6], "cancellation_reason", args[3], "cancelled_by", args[2])
  if ff.has_open_attempt(core) then ff.end_attempt(keys[1], id, core, "ended_cancelled", now) end
  if ff.has_lapsed(core, now) then
    ff.tell_lease(keys, id, core, "expired", "", now)
  elseif ff.is_leased(core) then
    ff.tell_lease(keys, id, core, "revoked", "cancelled", now)
  end
  redis.call("HDEL", keys[5], "gk", "gw", "gi", "ge", "gr")
  ff.finish(keys, id, core, unstarted and ff.state.cancelled_unstarted or ff.state.cancelled, "cancelled", now, "", now)
  ff.tell_operator(keys[4], id, core, "cancelled", args[2] .. ": " .. args[3], now)
  return { "done" }
end)
