-- rotate_waitpoint_hmac_secret_all: another key signs from now on; the one before counts until its grace ends, and those
-- whose grace has ended go.
-- keys: 1 root, 2 ring          args: 1 kid, 2 secret, 3 grace_ms
-- returns: rotated, previous kid (empty: none), removed | same      fails: ROTATION_CONFLICT

-- The kids whose grace has ended.
local function ended(ring, now)
  local kids, flat = {}, redis.call("HGETALL", ring)
  for i = 1, #flat, 2 do
    local kid = string.match(flat[i], "^x:(.*)$")
    if kid and now >= tonumber(flat[i + 1]) then kids[#kids + 1] = kid end
  end
  return kids
end

ff.write("rotate_waitpoint_hmac_secret_all", function(keys, args)
  local now, ring, kid = ff.now_ms(), keys[2], args[1]
  local previous, stored = unpack(redis.call("HMGET", ring, "cur", "s:" .. kid))
  if stored and stored ~= args[2] and ff.kid_counts(ring, kid, now) then
    return ff.fail("ROTATION_CONFLICT", "the kid stands for another secret")
  end
  if previous == kid then return { "same" } end

  local gone = ended(ring, now)
  for _, old in ipairs(gone) do redis.call("HDEL", ring, "s:" .. old, "x:" .. old) end
  if previous then redis.call("HSET", ring, "x:" .. previous, ff.int(now + tonumber(args[3]))) end
  ff.sign_with(ring, kid, args[2], now)
  return { "rotated", previous or "", #gone }
end)
