-- suspensions: what ends one. The row says which suspension is open: by that alone its waitpoints are open, so that each
-- ending closes them all. `<root>:sus:<id>` is a hash that keeps the latest one, until the next:
--   id suspension id     e lease epoch    ai attempt id    q leaves    rd resume delay in ms
--   mp continuation metadata pointer                                  o what the call that began it answered
--   c<place> how much a leaf has counted                               m<place>:<what> what it counted
--   cl how it ended, if the execution went on (resumed, operator_resumed, timed_out_auto_resume)    ca when
-- `<root>:obs:<id>` orders the numbers of the signals that a leaf of it took.

ff.TIMED_OUT = "timed_out_auto_resume"
ff.ESCALATED = "waiting_for_operator_review"

-- How much each leaf has counted.
ff.counted = function(suspension, leaves)
  local fields, counts = {}, {}
  for place in ipairs(leaves) do fields[place] = "c" .. place end
  for place, count in ipairs(redis.call("HMGET", suspension, unpack(fields))) do counts[place] = tonumber(count or 0) end
  return counts
end

-- Counts a signal, which came to the waitpoint called `key`, for the latest suspension. What count_signal answers.
ff.count_for = function(keys, leaves, counts, key, number, signal)
  local seen = { key = key, id = signal.id, name = signal.name, source_type = signal.source_type, source = signal.source }
  local answer = ff.count_signal(leaves, counts, seen, function(place, what)
    if redis.call("HSETNX", keys.suspension, "m" .. place .. ":" .. what, "") == 0 then return false end
    redis.call("HINCRBY", keys.suspension, "c" .. place, 1)
    return true
  end)
  if answer == "known" or answer == "counted" then redis.call("ZADD", keys.observed, number, number) end
  return answer
end

-- When its time was up.
ff.timed_out_at = function(core)
  return math.max(tonumber(core.st), tonumber(core.sa))
end

-- Its time-out has resumed the execution, whether or not somebody has written that down.
ff.resumes_by_time = function(core, now)
  return ff.timed_out_state(core, now) ~= nil and core.sb == "auto_resume_with_timeout_signal"
end

local function close(root, id, core, how, at)
  redis.call("HSET", ff.key.suspension(root, id), "cl", how, "ca", ff.int(at))
  ff.unmake_suspended(root, id, core)
end

-- The execution ends, suspended or not.
ff.close_suspension = function(root, id, core, now)
  if ff.phase(core) ~= "s" then return end
  if ff.resumes_by_time(core, now) then return close(root, id, core, ff.TIMED_OUT, ff.timed_out_at(core)) end
  ff.unmake_suspended(root, id, core)
end

-- The execution may go on at `until_ms`; a claim takes it.
ff.resume = function(root, id, core, how, ended_at, until_ms, now)
  close(root, id, core, how, ended_at)
  ff.park(root, id, core, ff.state.delayed_resumed, ff.state.eligible_interrupted, until_ms, "suspend", now)
end

-- It stays open for an operator, without a time-out.
ff.escalate = function(root, id, core, at)
  redis.call("HSET", ff.key.core(root, id), "s", ff.suspended_state("o"), "st", "", "sr", ff.ESCALATED, "t", at)
  ff.set_due(root, id, core, ff.deadline(core))
end

local OUTCOME = { fail = "failed", cancel = "cancelled", expire = "expired" }

-- Writes down that its time is up. `keys` are those of the operation: root, lease history, completions.
ff.time_out_suspension = function(keys, id, core, now)
  local root, state, at = keys[1], ff.timed_out_state(core, now), ff.timed_out_at(core)
  local outcome, why = OUTCOME[core.sb], "suspension_timeout:" .. core.sb
  if core.sb == "escalate" then
    redis.call("HSET", ff.key.core(root, id), "m", ff.int(now))
    return ff.escalate(root, id, core, ff.int(now))
  end
  if not outcome then return ff.resume(root, id, core, ff.TIMED_OUT, at, at, now) end
  if outcome == "cancelled" then
    redis.call("HSET", ff.key.text(root, id), "cancellation_reason", why, "cancelled_by", "system_timeout")
    ff.end_attempt(root, id, core, "ended_cancelled", at)
  else
    redis.call("HSET", ff.key.text(root, id), "failure_reason", why, "failure_category", "timeout")
    ff.end_attempt(root, id, core, "ended_failure", at, "timeout", why)
  end
  ff.finish(keys, id, core, state, outcome, at, "", now)
end
