-- settle: what time has done to a row whose due instant has come. `keys` are those of the operation: root, lease
-- history, completions. Fates: expired (the deadline has come), suspended_out (so has the time-out of a suspension),
-- timed_out (the attempt ran out of time), lapsed (so did the lease, and another worker may take over, or else the
-- execution fails), ready (a delay or a grant is over).

local core_key, waits_for_time = ff.key.core, ff.waits_for_time

ff.fate = function(core, now)
  if ff.is_past_deadline(core, now) then return "expired" end
  if ff.timed_out_state(core, now) then return "suspended_out" end
  if ff.has_lapsed(core, now) then
    if core.ta and tonumber(core.ta) <= tonumber(core.le) then return "timed_out" end
    return "lapsed"
  end
  if ff.is_leased(core) then return nil end
  if ff.has_ended_lease(core) and ff.is_out_of_reclaims(core) then return "lapsed" end
  if ff.is_reserved(core, now) then return nil end
  if ff.has_ended_lease(core) or ff.is_eligible(core, now) then return "ready" end
  return nil
end

-- A claim may take it.
local function making_ready(root)
  return function(id, core)
    ff.make_ready(root, id, core)
    ff.set_due(root, id, core, ff.deadline(core))
  end
end

local function time_out(keys, id, core, jitter, now)
  local why = "attempt_timeout"
  local wait = ff.retry_wait(keys[1], id, core, "timeout", jitter)
  ff.end_attempt(keys[1], id, core, "ended_failure", now, "timeout", why)
  redis.call("HSET", ff.key.text(keys[1], id), "failure_reason", why, "failure_category", "timeout")
  if wait then
    ff.tell_lease(keys, id, core, "released", "attempt_timeout_retry_scheduled", now)
    ff.schedule_retry(keys[1], id, core, wait, "", now)
  else
    ff.tell_lease(keys, id, core, "released", why, now)
    ff.finish(keys, id, core, ff.state.expired, "expired", now, "", now)
  end
end

local function settle(keys, id, core, fate, marks, jitter, make_ready, now)
  if fate == "expired" then
    ff.expire(keys, id, core, now)
  elseif fate == "suspended_out" then
    ff.time_out_suspension(keys, id, core, now)
  elseif fate == "timed_out" then
    time_out(keys, id, core, jitter, now)
  elseif fate == "lapsed" and ff.is_out_of_reclaims(core) then
    ff.exhaust(keys, id, core, now)
  else
    if marks and fate == "lapsed" then
      local at = ff.int(now)
      redis.call("HSET", ff.key.core(keys[1], id), "s", ff.state.lapsed, "t", at, "m", at)
      ff.tell_lease(keys, id, core, "expired", "", now)
    end
    make_ready(id, core)
  end
end

-- Writes the fate down, and tells of a lapsed lease.
ff.settle = function(keys, id, core, fate, jitter, now)
  settle(keys, id, core, fate, true, jitter, making_ready(keys[1]), now)
end

-- What a claim needs to make a row ready that the due index gave it, without what else the row has, which is most of it:
-- only if a delay or a back-off was all that it waited for. A grant has written that off.
local function waited_core(key)
  local s, x, p, c, q = unpack(redis.call("HMGET", key, "s", "x", "p", "c", "q"))
  if x or not waits_for_time(s) then return nil end
  return { p = p, c = c, q = q }
end

-- The rows of a lane whose time has come, as many as one claim may. Of a lapsed lease whoever takes the row tells.
ff.settle_due = function(keys, lane, due, most, jitter, now)
  local ids = redis.call("ZRANGE", due, "-inf", now, "BYSCORE", "LIMIT", 0, most)
  if #ids == 0 then return end
  local make_ready, write = ff.readies(keys[1], lane, now)
  for _, id in ipairs(ids) do
    local key = core_key(keys[1], id)
    local waited = waited_core(key)
    if waited then
      make_ready(id, waited)
    else
      local core = ff.core(key)
      local fate = ff.fate(core, now)
      if fate then settle(keys, id, core, fate, false, jitter, make_ready, now) end
    end
  end
  write(#ids)
end
