#!lua name=ffraw
-- The claim and its end as one writes them by hand: the same records, indexes and events as the engine's.

local KEPT = 1000000

local function now_ms()
  local time = redis.call("TIME")
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function text(number)
  return string.format("%.0f", number)
end

-- keys: 1 root, 2 ready, 3 due, 4 events
-- args: 1 worker, 2 worker_instance, 3 ttl_ms, 4 lease_id, 5 attempt_id
-- returns: execution, epoch, attempt_index | nil
redis.register_function("ffraw_claim", function(keys, args)
  local now = now_ms()
  local popped = redis.call("ZPOPMIN", keys[2])
  local id = popped[1]
  if not id then return nil end
  local core = keys[1] .. ":x:" .. id
  local row = redis.call("HMGET", core, "e", "n", "ns")
  local epoch, index = tonumber(row[1] or 0) + 1, tonumber(row[2] or 0)
  local at, expires_at = text(now), text(now + tonumber(args[3]))
  redis.call("HSET", core, "s", "leased", "t", at, "m", at, "b", at, "e", epoch, "n", index + 1,
    "li", args[4], "ai", args[5], "wi", args[2], "la", at, "le", expires_at)
  redis.call("HSET", keys[1] .. ":at:" .. id, index,
    table.concat({ "initial", args[5], args[4], epoch, args[1], args[2], at }, "\0"))
  redis.call("ZADD", keys[3], expires_at, id)
  redis.call("XADD", keys[4], "MAXLEN", "~", KEPT, "*", "x", id, "ns", row[3], "k", "acquired", "li", args[4],
    "e", epoch, "i", index, "wi", args[2], "at", at)
  return { id, epoch, index }
end)

-- keys: 1 core, 2 attempts, 3 due, 4 events, 5 completions
-- args: 1 execution, 2 lease_id, 3 epoch, 4 attempt_id, 5 attempt_index
redis.register_function("ffraw_complete", function(keys, args)
  local now = now_ms()
  local row = redis.call("HMGET", keys[1], "s", "li", "e", "ai", "le", "ns", "wi")
  if row[1] ~= "leased" or row[2] ~= args[2] or row[3] ~= args[3] or row[4] ~= args[4] or now >= tonumber(row[5]) then
    return redis.error_reply("STALE the lease is lost")
  end
  local at = text(now)
  redis.call("HSET", keys[1], "s", "done", "t", at, "m", at, "z", at)
  redis.call("HSET", keys[2], args[5] .. "e", "ended_success\0" .. at)
  redis.call("ZREM", keys[3], args[1])
  redis.call("XADD", keys[4], "MAXLEN", "~", KEPT, "*", "x", args[1], "ns", row[6], "k", "released", "li", args[2],
    "e", args[3], "i", args[5], "wi", row[7], "at", at)
  redis.call("XADD", keys[5], "MAXLEN", "~", KEPT, "*", "x", args[1], "ns", row[6], "o", "success", "at", at)
  return "done"
end)
