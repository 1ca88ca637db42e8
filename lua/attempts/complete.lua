-- complete: the execution ends with success; its holder's first result stays.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core, 5 result    args: 1-5 (fence), 6 result (absent: none)
-- returns: done | not_active    fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
ff.write("complete", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[4])
  if not core then return ff.not_found() end
  if ff.is_repeat(core, args, "complete", now) then return { "done" } end
  local refusal = ff.fence(core, args, now)
  if refusal then return refusal end

  if args[6] then redis.call("SET", keys[5], args[6]) end
  ff.end_attempt(keys[1], args[1], core, { "ended_success", ff.int(now) })
  ff.tell_lease(keys, args[1], core, "released", "completed", now)
  ff.finish(keys, args[1], core, ff.state.succeeded, "success", now, "complete", now)
  return { "done" }
end)
