-- claim_for_worker: makes due rows of the lane ready, then reserves the first of them that the worker covers.
-- keys: 1 root, 2 lease_history, 3 completions, 4 due, 5 sets
-- args: 1 lane, 2 capabilities, 3 worker, 4 worker_instance, 5 ttl_ms, 6 promote_max, 7 jitter, 8 grant_key
-- returns: granted, execution, expires_at | none

-- Writes down what time has done to the row, so that the grant is all that it waits for.
local function written_down(keys, id, core, now)
  if ff.is_leased(core) then
    ff.tell_lease(keys, id, core, "expired", "", now)
    return ff.state.lapsed, ff.int(now)
  end
  if ff.phase(core) == "r" then return ff.eligible_state(core), core.t end
  return core.s, core.t
end

ff.write("claim_for_worker", function(keys, args)
  local now = ff.now_ms()
  local root = keys[1]
  ff.settle_due(keys, args[1], keys[4], args[6], args[7], now)
  local id = ff.first_ready(root, args[1], keys[5], ff.offered(args[2]), now)
  if not id then return { "none" } end

  local core = ff.core(ff.key.core(root, id))
  local expires_at = now + tonumber(args[5])
  local state, transition_at = written_down(keys, id, core, now)
  redis.call("HSET", ff.key.core(root, id), "s", state, "t", transition_at, "m", ff.int(now),
    "gk", args[8], "gw", args[3], "gi", args[4], "ge", ff.int(expires_at), "gr", "")
  ff.unmake_ready(root, id, core)
  ff.set_due(root, id, core, ff.earlier(expires_at, ff.deadline(core)))
  return { "granted", id, expires_at }
end)
