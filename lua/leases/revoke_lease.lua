-- revoke_lease: takes a live lease away from its holder; the next claim takes over.
-- keys: 1 root, 2 lease_history, 3 operator_events, 4 core
-- args: 1 execution, 2 reason, 3 lease_id, 4 worker_instance (an empty one is any)
-- returns: revoked, lease_id, epoch | skipped, why | not_active   fails: NOT_FOUND

-- Why there is nothing to take away, or nil.
local function skip(core, args, now)
  if args[3] ~= "" and args[3] ~= core.li then return "lease_id_mismatch" end
  if args[4] ~= "" and args[4] ~= core.wi then return "different_worker_instance_id" end
  if core.s == ff.state.revoked then return "already_revoked" end
  if core.s == ff.state.lapsed or ff.has_lapsed(core, now) then return "already_expired" end
  return nil
end

ff.write("revoke_lease", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[4])
  if not core then return ff.not_found() end
  local refusal = ff.inactive(core, now)
  if refusal then return refusal end
  local why = skip(core, args, now)
  if why then return { "skipped", why } end

  local id, at = args[1], ff.int(now)
  redis.call("HSET", keys[4], "s", ff.state.revoked, "t", at, "m", at)
  ff.tell_lease(keys, id, core, "revoked", "operator", now)
  ff.tell_operator(keys[3], id, core, "lease_revoked", args[2], now)
  if ff.is_out_of_reclaims(core) then
    -- The next claim of the lane fails it.
    ff.unmake_ready(keys[1], id, core)
    ff.set_due(keys[1], id, core, ff.earlier(now, ff.deadline(core)))
  else
    ff.make_ready(keys[1], id, core)
    ff.set_due(keys[1], id, core, ff.deadline(core))
  end
  return { "revoked", core.li, tonumber(core.e) }
end)
