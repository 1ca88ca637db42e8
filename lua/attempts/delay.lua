-- delay: the lease is given back and the same attempt goes on at an instant.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core           args: 1-5 (fence), 6 delay_until
-- returns: done | not_active    fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
ff.write("delay", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[4])
  if not core then return ff.not_found() end
  if ff.is_repeat(core, args, "delay", now) then return { "done" } end
  local refusal = ff.fence(core, args, now)
  if refusal then return refusal end

  ff.suspend_attempt(keys[1], args[1], core)
  ff.tell_lease(keys, args[1], core, "released", "worker_delay", now)
  ff.park(keys[1], args[1], core, ff.state.delayed_interrupted, ff.state.eligible_interrupted, tonumber(args[6]), "delay", now)
  return { "done" }
end)
