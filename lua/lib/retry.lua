-- retry: whether and when a failed attempt is followed by another: RetryDecision of ff-core.

local RULE = "^(%d+) (%d+) (%d+) (%S+) (%d+) (%d)$"

-- The wait before the next attempt after a failure that may be retried, or nil if there is none; jitter in millionths.
ff.retry_wait = function(root, id, core, category, jitter)
  if not core.rr then return nil end
  local retries_max, initial_ms, max_ms, multiplier, saturates_at, jitters = string.match(core.rr, RULE)
  local retries = ff.count(core.rc)
  if retries >= tonumber(retries_max) then return nil end
  local listed = redis.call("HGET", ff.key.text(root, id), "retry_categories")
  if listed and not string.find("\0" .. listed .. "\0", "\0" .. category .. "\0", 1, true) then return nil end

  local wait = tonumber(max_ms)
  if retries < tonumber(saturates_at) then
    wait = math.floor(tonumber(initial_ms) * tonumber(multiplier) ^ retries)
  end
  if jitters == "0" then return wait end
  -- In two parts, because the product of a long wait and a million is not exact in a double.
  local millions, rest = math.floor(wait / 1000000), wait % 1000000
  local factor = tonumber(jitter)
  return millions * factor + math.floor(rest * factor / 1000000)
end

-- Lets an execution whose lease was given back wait until an instant, in one state or, if that has come, in the other.
ff.park = function(root, id, core, waiting, ready, until_ms, ended_by, now)
  local at = ff.int(now)
  local waits = until_ms > now
  redis.call("HSET", ff.key.core(root, id), "s", waits and waiting or ready, "d", ff.int(until_ms), "rc", core.rc or "",
    "t", at, "m", at, "eb", ended_by)
  if waits then
    ff.unmake_ready(root, id, core)
    ff.set_due(root, id, core, ff.earlier(until_ms, ff.deadline(core)))
  else
    ff.make_ready(root, id, core)
    ff.set_due(root, id, core, ff.deadline(core))
  end
end

-- The instant of the next attempt.
ff.schedule_retry = function(root, id, core, wait, ended_by, now)
  core.rc = ff.int(ff.count(core.rc) + 1)
  ff.park(root, id, core, ff.state.backoff_retry, ff.state.eligible_retry, now + wait, ended_by, now)
  return now + wait
end
