-- remove_keys: removes idempotency keys that have lapsed.
-- keys: 1 root, 2 idempotency, 3 idempotency_expiry
-- args: 1 most, 2 namespace (empty: any), 3 after_expires, 4 after_namespace (empty: none), 5 after_key
-- returns: seen, removed, last_expires, last_namespace, last_key (of the last one seen; empty: none)

-- Namespace and key of a stored name.
local function parts(name)
  local length, rest = string.match(name, "^(%d+):(.*)$")
  return string.sub(rest, 1, tonumber(length)), string.sub(rest, tonumber(length) + 1)
end

ff.write("remove_keys", function(keys, args)
  local from = 0
  if args[4] ~= "" then from = ff.rank_behind(keys[3], args[3], #args[4] .. ":" .. args[4] .. args[5]) end
  local lapsed = redis.call("ZCOUNT", keys[3], "-inf", ff.int(ff.now_ms()))
  local last = math.min(from + tonumber(args[1]), lapsed) - 1
  if last < from then return { 0, 0, "", "", "" } end
  local rows = redis.call("ZRANGE", keys[3], from, last, "WITHSCORES")
  local removed = 0
  for i = 1, #rows, 2 do
    if args[2] == "" or parts(rows[i]) == args[2] then
      redis.call("HDEL", keys[2], rows[i])
      redis.call("ZREM", keys[3], rows[i])
      removed = removed + 1
    end
  end
  local namespace, key = parts(rows[#rows - 1])
  return { #rows / 2, removed, rows[#rows], namespace, key }
end)
