-- seed_waitpoint_hmac_secret: the first key of the ring; what is there stays.
-- keys: 1 root, 2 ring          args: 1 kid, 2 secret
-- returns: seeded | signs, the kid that signs, its secret
ff.write("seed_waitpoint_hmac_secret", function(keys, args)
  local current = redis.call("HGET", keys[2], "cur")
  if current then return { "signs", current, redis.call("HGET", keys[2], "s:" .. current) } end
  ff.sign_with(keys[2], args[1], args[2], ff.now_ms())
  return { "seeded" }
end)
