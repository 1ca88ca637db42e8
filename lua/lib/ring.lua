-- ring: the secrets that sign waitpoint tokens, a hash. Clients keep a copy and say with each call which version it is.
--   v version, the instant of the latest change or later     cur the kid that signs
--   s:<kid> secret                                           x:<kid> when its grace ends (absent: it signs)

-- The whole ring, for a client whose copy is of another version, or nil: version, the kid that signs, … of each key: kid,
-- secret, when its grace ends.
ff.ring_moved = function(ring, version)
  local current = redis.call("HGET", ring, "v") or "0"
  if current == version then return nil end
  local stored, flat = {}, redis.call("HGETALL", ring)
  for i = 1, #flat, 2 do stored[flat[i]] = flat[i + 1] end
  local answer = { "ring", current, stored.cur or "" }
  for field, value in pairs(stored) do
    local kid = string.match(field, "^s:(.*)$")
    if kid then
      answer[#answer + 1] = { kid, value, stored["x:" .. kid] or "" }
    end
  end
  return answer
end

ff.kid_counts = function(ring, kid, now)
  local secret, expires_at = unpack(redis.call("HMGET", ring, "s:" .. kid, "x:" .. kid))
  return secret and not (expires_at and now >= tonumber(expires_at))
end

-- The key signs from now on. A ring that was brought back from a backup has no version that it had before.
ff.sign_with = function(ring, kid, secret, now)
  local version = math.max(now, tonumber(redis.call("HGET", ring, "v") or 0) + 1)
  redis.call("HDEL", ring, "x:" .. kid)
  redis.call("HSET", ring, "v", ff.int(version), "cur", kid, "s:" .. kid, secret)
end

-- A refusal, or nil if a key signs.
ff.unsigned = function(ring)
  if redis.call("HEXISTS", ring, "cur") == 1 then return nil end
  return ff.fail("NO_SIGNING_KEY", "no key for the tokens of waitpoints is installed")
end
