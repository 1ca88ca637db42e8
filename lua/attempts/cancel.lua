-- cancel: the execution ends as cancelled by its worker.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core, 5 text      args: 1-5 (fence), 6 reason
-- returns: done | not_active    fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
ff.write("cancel", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[4])
  if not core then return ff.not_found() end
  if ff.is_repeat(core, args, "cancel", now) then return { "done" } end
  local refusal = ff.fence(core, args, now)
  if refusal then return refusal end

  redis.call("HSET", keys[5], "cancellation_reason", args[6], "cancelled_by", "worker")
  ff.end_attempt(keys[1], args[1], core, "ended_cancelled", now)
  ff.tell_lease(keys, args[1], core, "released", "cancelled", now)
  ff.finish(keys, args[1], core, ff.state.cancelled, "cancelled", now, "cancel", now)
  return { "done" }
end)
