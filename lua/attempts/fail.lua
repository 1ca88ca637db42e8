-- fail: the attempt ends with a failure, and the execution too unless its rule allows a retry.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core, 5 text
-- args: 1-5 (fence), 6 reason, 7 category, 8 whether its class may be retried (1 or 0), 9 jitter in millionths
-- returns: retry, delay_until | failed | not_active   fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE

local RULE = "^(%d+) (%d+) (%d+) (%S+) (%d+) (%d)$"

-- The wait before the next attempt, or nil if there is none: RetryDecision of ff-core.
local function wait_ms(keys, core, args)
  if args[8] ~= "1" or not core.rr then return nil end
  local retries_max, initial_ms, max_ms, multiplier, saturates_at, jitter = string.match(core.rr, RULE)
  local retries = ff.count(core.rc)
  if retries >= tonumber(retries_max) then return nil end
  local listed = redis.call("HGET", keys[5], "retry_categories")
  if listed and not string.find("\0" .. listed .. "\0", "\0" .. args[7] .. "\0", 1, true) then return nil end

  local wait = tonumber(max_ms)
  if retries < tonumber(saturates_at) then
    wait = math.floor(tonumber(initial_ms) * tonumber(multiplier) ^ retries)
  end
  if jitter == "0" then return wait end
  -- In two parts, because the product of a long wait and a million is not exact in a double.
  local millions, rest = math.floor(wait / 1000000), wait % 1000000
  local factor = tonumber(args[9])
  return millions * factor + math.floor(rest * factor / 1000000)
end

local function schedule(keys, id, core, wait, now)
  local delay_until, at = now + wait, ff.int(now)
  local state = wait > 0 and ff.state.backoff_retry or ff.state.eligible_retry
  ff.tell_lease(keys, id, core, "released", "failed_retry_scheduled", now)
  redis.call("HSET", keys[4], "s", state, "d", ff.int(delay_until), "rc", ff.int(ff.count(core.rc) + 1),
    "t", at, "m", at, "eb", "fail")
  if wait > 0 then
    ff.unmake_ready(keys[1], id, core)
    ff.set_due(keys[1], id, core, ff.earlier(delay_until, ff.deadline(core)))
  else
    ff.make_ready(keys[1], id, core)
    ff.set_due(keys[1], id, core, ff.deadline(core))
  end
  return { "retry", delay_until }
end

ff.write("fail", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[4])
  if not core then return ff.not_found() end
  if ff.is_repeat(core, args, "fail", now) then
    if ff.phase(core) == "t" then return { "failed" } end
    return { "retry", tonumber(core.d) }
  end
  local refusal = ff.fence(core, args, now)
  if refusal then return refusal end

  local id, wait = args[1], wait_ms(keys, core, args)
  ff.end_attempt(keys[1], id, core, { "ended_failure", ff.int(now), args[7], args[6] })
  redis.call("HSET", keys[5], "failure_reason", args[6], "failure_category", args[7])
  if wait then return schedule(keys, id, core, wait, now) end
  ff.tell_lease(keys, id, core, "released", "failed_terminal", now)
  ff.finish(keys, id, core, ff.state.failed, "failed", now, "fail", now)
  return { "failed" }
end)
