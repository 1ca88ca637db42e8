-- renew: move the deadline of the lease that the handle still owns.
-- keys: 1 root, 2 core          args: 1-5 (fence), 6 ttl_ms
-- returns: renewed, expires_at | not_active   fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
ff.write("renew", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[2])
  if not core then return ff.not_found() end
  local refusal = ff.fence(core, args, now)
  if refusal then return refusal end

  local expires_at, at = ff.earlier(now + tonumber(args[6]), tonumber(core.ta)), ff.int(now)
  redis.call("HSET", keys[2], "le", ff.int(expires_at), "lr", at, "m", at)
  -- It stands among the ready ones if the clock was set back after a claim saw its lease lapse.
  ff.unmake_ready(keys[1], args[1], core)
  ff.set_due(keys[1], args[1], core, ff.earlier(expires_at, ff.deadline(core)))
  return { "renewed", expires_at }
end)
