-- create_waitpoint: a waitpoint that keeps signals for a suspension to come. One that is pending under its key stays as it is.
-- keys: 1 root, 2 core, 3 waitpoints, 4 ring
-- args: 1-5 (fence), 6 ring version, 7 kid, 8 waitpoint, 9 key, 10 fingerprint, 11 expires_in_ms
-- returns: pending, waitpoint, kid, expires_at | ring, … | not_active
-- fails: NO_SIGNING_KEY NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE

-- The pending waitpoint of this key, or nil.
local function pending(waitpoints, core, key, now)
  local flat = redis.call("HGETALL", waitpoints)
  for i = 1, #flat, 2 do
    local row = ff.read_waitpoint(flat[i + 1])
    if row.key == key and ff.waitpoint_state(core, row, now) == "pending" then return flat[i], row end
  end
end

ff.write("create_waitpoint", function(keys, args)
  local now = ff.now_ms()
  local moved = ff.ring_moved(keys[4], args[6])
  if moved then return moved end
  local core = ff.core(keys[2])
  if not core then return ff.not_found() end
  local refused = ff.fence(core, args, now) or ff.unsigned(keys[4])
  if refused then return refused end
  local id, row = pending(keys[3], core, args[9], now)
  if not id then
    id = args[8]
    row = { key = args[9], attempt_id = core.ai, created_at = ff.int(now), kid = args[7], fingerprint = args[10],
      before = ff.int(ff.count(core.sn)), activated_at = "", expires_at = ff.int(now + tonumber(args[11])), suspension = "" }
    ff.set_waitpoint(keys[3], id, row)
    redis.call("HSET", keys[2], "m", ff.int(now))
  end
  return { "pending", id, row.kid, tonumber(row.expires_at) }
end)
