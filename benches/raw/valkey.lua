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
local function claim(keys, worker, instance, ttl_ms, lease_id, attempt_id, now)
  local popped = redis.call("ZPOPMIN", keys[2])
  local id = popped[1]
  if not id then return nil end
  local core = keys[1] .. ":x:" .. id
  local row = redis.call("HMGET", core, "e", "n", "ns")
  local epoch, index = tonumber(row[1] or 0) + 1, tonumber(row[2] or 0)
  local at, expires_at = text(now), text(now + tonumber(ttl_ms))
  redis.call("HSET", core, "s", "leased", "t", at, "m", at, "b", at, "e", epoch, "n", index + 1,
    "li", lease_id, "ai", attempt_id, "wi", instance, "la", at, "le", expires_at)
  redis.call("HSET", keys[1] .. ":at:" .. id, index,
    table.concat({ "initial", attempt_id, lease_id, epoch, worker, instance, at }, "\0"))
  redis.call("ZADD", keys[3], expires_at, id)
  redis.call("XADD", keys[4], "MAXLEN", "~", KEPT, "*", "x", id, "ns", row[3], "k", "acquired", "li", lease_id,
    "e", epoch, "i", index, "wi", instance, "at", at)
  return { id, epoch, index }
end

-- As claim, where what was resumed goes on with its attempt.
local function claim_resumed(keys, worker, instance, ttl_ms, lease_id, attempt_id, now)
  local popped = redis.call("ZPOPMIN", keys[2])
  local id = popped[1]
  if not id then return nil end
  local core = keys[1] .. ":x:" .. id
  local row = redis.call("HMGET", core, "e", "n", "ns", "s", "ai")
  local epoch, index = tonumber(row[1] or 0) + 1, tonumber(row[2] or 0)
  local at, expires_at = text(now), text(now + tonumber(ttl_ms))
  local key = keys[1] .. ":at:" .. id
  if row[4] == "resumed" then
    index, attempt_id = index - 1, row[5]
    redis.call("HSET", key, index .. "r", table.concat({ lease_id, epoch, worker, instance, at }, "\0"))
    redis.call("HDEL", key, index .. "e")
  else
    redis.call("HSET", key, index, table.concat({ "initial", attempt_id, lease_id, epoch, worker, instance, at }, "\0"))
  end
  redis.call("HSET", core, "s", "leased", "t", at, "m", at, "b", at, "e", epoch, "n", index + 1,
    "li", lease_id, "ai", attempt_id, "wi", instance, "la", at, "le", expires_at)
  redis.call("ZADD", keys[3], expires_at, id)
  redis.call("XADD", keys[4], "MAXLEN", "~", KEPT, "*", "x", id, "ns", row[3], "k", "acquired", "li", lease_id,
    "e", epoch, "i", index, "wi", instance, "at", at)
  return { id, epoch, index, attempt_id }
end

-- keys: 1 core, 2 attempts, 3 due, 4 events, 5 waitpoints
local function suspend(keys, id, lease_id, epoch, attempt_id, index, token, now)
  local row = redis.call("HMGET", keys[1], "s", "li", "e", "ai", "le", "ns", "wi")
  if row[1] ~= "leased" or row[2] ~= lease_id or row[3] ~= epoch or row[4] ~= attempt_id or now >= tonumber(row[5]) then
    return false
  end
  local at = text(now)
  redis.call("HSET", keys[1], "s", "suspended", "t", at, "m", at, "sa", at)
  redis.call("HSET", keys[2], index .. "e", "suspended")
  redis.call("HSET", keys[5], "token", token, "key", "approval", "leaves", "1", "at", at)
  redis.call("ZREM", keys[3], id)
  redis.call("XADD", keys[4], "MAXLEN", "~", KEPT, "*", "x", id, "ns", row[6], "k", "released", "li", lease_id,
    "e", epoch, "i", index, "wi", row[7], "at", at)
  return true
end

-- keys: 1 core, 2 ready, 3 events, 4 waitpoints
local function deliver_signal(keys, id, token, signal_id, name, now)
  local row = redis.call("HMGET", keys[1], "s", "ns", "sn")
  if row[1] ~= "suspended" or redis.call("HGET", keys[4], "token") ~= token then return false end
  local at, place = text(now), tonumber(row[3] or 0) + 1
  redis.call("HSET", keys[1], "s", "resumed", "t", at, "m", at, "sn", place)
  redis.call("HSET", keys[4], "s:" .. place, table.concat({ signal_id, name, at }, "\0"))
  redis.call("HDEL", keys[4], "token")
  redis.call("ZADD", keys[2], 0, id)
  redis.call("XADD", keys[3], "MAXLEN", "~", KEPT, "*", "x", id, "ns", row[2], "k", "satisfied", "sg", signal_id, "at", at)
  return true
end

-- keys: 1 core, 2 attempts, 3 due, 4 events, 5 completions
local function complete(keys, id, lease_id, epoch, attempt_id, index, now)
  local row = redis.call("HMGET", keys[1], "s", "li", "e", "ai", "le", "ns", "wi")
  if row[1] ~= "leased" or row[2] ~= lease_id or row[3] ~= epoch or row[4] ~= attempt_id or now >= tonumber(row[5]) then
    return false
  end
  local at = text(now)
  redis.call("HSET", keys[1], "s", "done", "t", at, "m", at, "z", at)
  redis.call("HSET", keys[2], index .. "e", "ended_success\0" .. at)
  redis.call("ZREM", keys[3], id)
  redis.call("XADD", keys[4], "MAXLEN", "~", KEPT, "*", "x", id, "ns", row[6], "k", "released", "li", lease_id,
    "e", epoch, "i", index, "wi", row[7], "at", at)
  redis.call("XADD", keys[5], "MAXLEN", "~", KEPT, "*", "x", id, "ns", row[6], "o", "success", "at", at)
  return true
end

local function stale()
  return redis.error_reply("STALE the lease is lost")
end

-- A call that does nothing: what the way to the server costs.
redis.register_function("ffraw_nothing", function() return nil end)

-- keys: 1 root, 2 ready, 3 due, 4 events
-- args: 1 worker, 2 worker_instance, 3 ttl_ms, 4 lease_id, 5 attempt_id
-- returns: execution, epoch, attempt_index | nil
redis.register_function("ffraw_claim", function(keys, args)
  return claim(keys, args[1], args[2], args[3], args[4], args[5], now_ms())
end)

-- keys: those of claim    args: 1 worker, 2 worker_instance, 3 ttl_ms, 4… lease_id, attempt_id
-- returns: a list of what claim returns
redis.register_function("ffraw_claim_many", function(keys, args)
  local now, taken = now_ms(), {}
  for i = 4, #args, 2 do
    taken[#taken + 1] = claim(keys, args[1], args[2], args[3], args[i], args[i + 1], now)
  end
  return taken
end)

-- keys and args: those of claim
-- returns: execution, epoch, attempt_index, attempt_id | nil
redis.register_function("ffraw_claim_resumed", function(keys, args)
  return claim_resumed(keys, args[1], args[2], args[3], args[4], args[5], now_ms())
end)

-- keys: 1 core, 2 attempts, 3 due, 4 events, 5 waitpoints
-- args: 1 execution, 2 lease_id, 3 epoch, 4 attempt_id, 5 attempt_index, 6 token
redis.register_function("ffraw_suspend", function(keys, args)
  if not suspend(keys, args[1], args[2], args[3], args[4], args[5], args[6], now_ms()) then return stale() end
  return "suspended"
end)

-- keys: 1 core, 2 ready, 3 events, 4 waitpoints    args: 1 execution, 2 token, 3 signal_id, 4 name
redis.register_function("ffraw_deliver_signal", function(keys, args)
  if not deliver_signal(keys, args[1], args[2], args[3], args[4], now_ms()) then return stale() end
  return "resumed"
end)

-- keys: 1 core, 2 attempts, 3 due, 4 events, 5 completions
-- args: 1 execution, 2 lease_id, 3 epoch, 4 attempt_id, 5 attempt_index
redis.register_function("ffraw_complete", function(keys, args)
  if not complete(keys, args[1], args[2], args[3], args[4], args[5], now_ms()) then return stale() end
  return "done"
end)

-- keys: 1 root, 2 due, 3 events, 4 completions    args: for each item those of complete
-- returns: how many were ended
redis.register_function("ffraw_complete_many", function(keys, args)
  local now, done = now_ms(), 0
  for i = 1, #args, 5 do
    local own = { keys[1] .. ":x:" .. args[i], keys[1] .. ":at:" .. args[i], keys[2], keys[3], keys[4] }
    if complete(own, args[i], args[i + 1], args[i + 2], args[i + 3], args[i + 4], now) then done = done + 1 end
  end
  return done
end)

-- keys: 1-5 of complete, 6 root, 7 ready    args: 1-5 of complete, 6-10 of claim
-- returns: what claim returns
redis.register_function("ffraw_complete_and_claim", function(keys, args)
  local now = now_ms()
  if not complete(keys, args[1], args[2], args[3], args[4], args[5], now) then return stale() end
  return claim({ keys[6], keys[7], keys[3], keys[4] }, args[6], args[7], args[8], args[9], args[10], now)
end)
