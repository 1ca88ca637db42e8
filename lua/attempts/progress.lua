-- progress: how far the work is, as its holder tells; what is not given stays.
-- keys: 1 root, 2 core, 3 text  args: 1-5 (fence), 6 percent (empty: not given), 7 message (absent: not given)
-- returns: done | not_active    fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
ff.write("progress", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[2])
  if not core then return ff.not_found() end
  local refusal = ff.fence(core, args, now)
  if refusal then return refusal end

  local at = ff.int(now)
  redis.call("HSET", keys[2], "pp", args[6] ~= "" and args[6] or core.pp or "", "pu", at, "m", at)
  if args[7] then redis.call("HSET", keys[3], "progress_message", args[7]) end
  return { "done" }
end)
