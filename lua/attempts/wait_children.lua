-- wait_children: the lease is given back and the same attempt goes on when no inbound edge is open.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core           args: 1-5 (fence)
-- returns: done | not_active    fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
ff.write("wait_children", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[4])
  if not core then return ff.not_found() end
  if ff.is_repeat(core, args, "wait_children", now) then return { "done" } end
  local refusal = ff.fence(core, args, now)
  if refusal then return refusal end

  ff.suspend_attempt(keys[1], args[1], core)
  ff.tell_lease(keys, args[1], core, "released", "waiting_children", now)
  -- No execution has an inbound edge, so nothing is open.
  ff.park(keys[1], args[1], core, ff.state.delayed_interrupted, ff.state.eligible_interrupted, now, "wait_children", now)
  return { "done" }
end)
