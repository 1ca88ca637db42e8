-- holder: what the holder of a lease does that a batch does too. args: 1-5 (fence), then those of the operation.

local SUCCEEDED, DONE = ff.state.succeeded, { "done" }
local held_core, finish_held, end_attempt, tell_lease = ff.held_core, ff.finish_held, ff.end_attempt, ff.tell_lease

-- args: 6 ttl_ms. What renew answers.
ff.renew = function(root, key, args, now)
  local core = ff.core(key)
  if not core then return ff.not_found() end
  local refusal = ff.fence(core, args, now)
  if refusal then return refusal end

  local expires_at, at = ff.earlier(now + tonumber(args[6]), tonumber(core.ta)), ff.int(now)
  redis.call("HSET", key, "le", ff.int(expires_at), "lr", at, "m", at)
  -- It stands among the ready ones if the clock was set back after a claim saw its lease lapse.
  ff.unmake_ready(root, args[1], core)
  ff.set_due(root, args[1], core, ff.earlier(expires_at, ff.deadline(core)))
  return { "renewed", expires_at }
end

-- keys: 1 root, 2 lease_history, 3 completions, 4 core, 5 result. What complete answers; without a result it stores none.
ff.complete = function(keys, args, result, now)
  local id, held = args[1], held_core(keys[4], args, now)
  local core = held or ff.core(keys[4])
  if not held then
    if not core then return ff.not_found() end
    if ff.is_repeat(core, args, "complete", now) then return DONE end
    local refusal = ff.fence(core, args, now)
    if refusal then return refusal end
  end

  if result then redis.call("SET", keys[5], result) end
  end_attempt(keys[1], id, core, "ended_success", now)
  tell_lease(keys, id, core, "released", "completed", now)
  if held then
    finish_held(keys, id, held, SUCCEEDED, "success", "complete", now)
  else
    ff.finish(keys, id, core, SUCCEEDED, "success", now, "complete", now)
  end
  return DONE
end
