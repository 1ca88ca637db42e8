-- create: a new execution, ready or delayed, unless its id or its idempotency key is known. `keys` are those of
-- create_execution. args:
--   1 execution, 2 namespace, 3 lane, 4 kind, 5 priority, 6 delay_until, 7 deadline, 8 required, 9 retry_rule,
--   10 retry_categories, 11 reclaims_max, 12 creator, 13 encoding, 14 idempotency_key, 15 dedup_window_ms, 16 payload,
--   17 replays_max, 18 attempt_timeout_ms, 19 deadline_after_ms (empty if 7 is given), 20 suspension_timeout_ms,
--   21 what that does, 22 signals_max, 23… tag key, tag value (an empty argument is none)

-- A key that the namespace still holds, or nil.
local function holder(key, name, now)
  local stored = redis.call("HGET", key, name)
  if not stored then return nil end
  local expires_at, id = string.match(stored, "^(%d+) (.+)$")
  if now >= tonumber(expires_at) then return nil end
  return id
end

local function columns(args, state, at)
  local row = { "s", state, "ns", args[2], "l", args[3], "k", args[4], "p", args[5], "c", at, "t", at, "m", at }
  local optional = { { "d", 6 }, { "x", 7 }, { "q", 8 }, { "rr", 9 }, { "mr", 11 }, { "cr", 12 }, { "en", 13 },
    { "mp", 17 }, { "to", 18 }, { "xr", 19 }, { "dt", 20 }, { "db", 21 }, { "sm", 22 } }
  for _, field in ipairs(optional) do
    local value = args[field[2]]
    if value ~= "" then
      row[#row + 1] = field[1]
      row[#row + 1] = value
    end
  end
  return row
end

ff.create = function(keys, args, now)
  local root, id, at = keys[1], args[1], ff.int(now)
  if redis.call("EXISTS", keys[2]) == 1 then return { "duplicate", id } end
  local name = #args[2] .. ":" .. args[2] .. args[14]
  if args[14] ~= "" then
    local first = holder(keys[8], name, now)
    if first then return { "duplicate", first } end
    local expires_at = ff.int(now + tonumber(args[15]))
    redis.call("HSET", keys[8], name, expires_at .. " " .. id)
    redis.call("ZADD", keys[9], expires_at, name)
    redis.call("HSET", keys[4], "idempotency_key", args[14])
  end

  local delay = tonumber(args[6])
  if delay and now >= delay then
    delay, args[6] = nil, ""
  end
  if args[19] ~= "" then args[7] = ff.int(now + tonumber(args[19])) end
  local state = delay and ff.state.delayed_first or ff.state.eligible_first
  redis.call("HSET", keys[2], unpack(columns(args, state, at)))
  if args[10] ~= "" then redis.call("HSET", keys[4], "retry_categories", args[10]) end
  if args[16] ~= "" then redis.call("SET", keys[3], args[16]) end
  if #args > 22 then redis.call("HSET", keys[5], unpack(args, 23)) end
  redis.call("ZADD", keys[6], 0, id)
  redis.call("ZADD", keys[7], 0, args[3])

  local core = { p = args[5], c = at, l = args[3], q = args[8] }
  if args[7] ~= "" then core.x = args[7] end
  local due = ff.earlier(delay, ff.deadline(core))
  if due then ff.set_due(root, id, core, due) end
  if not delay then ff.make_ready(root, id, core) end
  return { "created", state }
end
