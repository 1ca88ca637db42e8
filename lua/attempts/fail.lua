-- fail: the attempt ends with a failure, and the execution too unless its rule allows a retry.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core, 5 text
-- args: 1-5 (fence), 6 reason, 7 category, 8 whether its class may be retried (1 or 0), 9 jitter in millionths
-- returns: retry, delay_until | failed | not_active   fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
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

  local id = args[1]
  local wait = args[8] == "1" and ff.retry_wait(keys[1], id, core, args[7], args[9])
  ff.end_attempt(keys[1], id, core, "ended_failure", now, args[7], args[6])
  redis.call("HSET", keys[5], "failure_reason", args[6], "failure_category", args[7])
  if wait then
    ff.tell_lease(keys, id, core, "released", "failed_retry_scheduled", now)
    return { "retry", ff.schedule_retry(keys[1], id, core, wait, "fail", now) }
  end
  ff.tell_lease(keys, id, core, "released", "failed_terminal", now)
  ff.finish(keys, id, core, ff.state.failed, "failed", now, "fail", now)
  return { "failed" }
end)
