-- finish: the terminal transitions, each with everything that belongs to it: state, indexes, attempt, events.
-- `keys` are those of the operation: root, lease history, completions.

local due_key, make_ended, tell_completion = ff.key.due, ff.make_ended, ff.tell_completion

-- The state and the completion; the caller has told of the lease and closed the attempt.
ff.finish = function(keys, id, core, state, outcome, completed_at, ended_by, now)
  redis.call("HSET", ff.key.core(keys[1], id), "s", state, "t", now, "m", now, "z", completed_at, "eb", ended_by)
  -- A leased row that its lease alone makes due stands in the due index, or among the ready ones if its lease lapsed.
  local was_due = redis.call("ZREM", due_key(keys[1], core.l), id) == 1
  if not (was_due and ff.is_leased(core) and not core.x) then ff.unmake_ready(keys[1], id, core) end
  ff.close_suspension(keys[1], id, core, now)
  make_ended(keys[1], id, completed_at)
  tell_completion(keys, id, core, outcome, now)
end

-- The same by the holder of a lease, for what held_core tells: the lease alone makes the row due.
ff.finish_held = function(keys, id, held, state, outcome, ended_by, now)
  local call = redis.call
  call("HSET", keys[4], "s", state, "t", now, "m", now, "z", now, "eb", ended_by)
  if call("ZREM", due_key(keys[1], held.l), id) == 0 then ff.unmake_ready(keys[1], id, ff.core(keys[4])) end
  make_ended(keys[1], id, now)
  tell_completion(keys, id, held, outcome, now)
end

-- The deadline of the whole execution has come.
ff.expire = function(keys, id, core, now)
  local deadline = ff.deadline(core)
  local ended_at = math.max(deadline, tonumber(core.c))
  if ff.has_open_attempt(core) then
    ff.end_attempt(keys[1], id, core, "ended_failure", ended_at, "timeout", "execution_deadline")
  end
  if ff.is_leased(core) then
    if tonumber(core.le) <= deadline then
      ff.tell_lease(keys, id, core, "expired", "", now)
    else
      ff.tell_lease(keys, id, core, "released", "execution_deadline", now)
    end
  end
  ff.finish(keys, id, core, ff.expired_state(core), "expired", ended_at, "", now)
end

-- The lease has ended once more than the policy allows.
ff.exhaust = function(keys, id, core, now)
  local why = "max_reclaims_exceeded"
  ff.end_attempt(keys[1], id, core, "ended_failure", now, why, why)
  redis.call("HSET", ff.key.text(keys[1], id), "failure_reason", why, "failure_category", why)
  if ff.is_leased(core) then ff.tell_lease(keys, id, core, "revoked", why, now) end
  ff.finish(keys, id, core, ff.state.failed, "failed", now, "", now)
end
