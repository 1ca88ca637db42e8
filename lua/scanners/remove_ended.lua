-- remove_ended: removes executions that ended long enough ago, with everything that belongs to them but their events.
-- keys: 1 root, 2 ended, 3 ids, 4 idempotency, 5 idempotency_expiry
-- args: 1 age_ms, 2 most, 3 namespace, 4 tag_key, 5 tag_value (empty: any), 6 after_ended, 7 after_id (empty: none)
-- returns: seen, removed, last_ended, last_id (of the last one seen; empty: none)
local PARTS = { "core", "input", "result", "text", "tags", "attempts", "waitpoints", "signals", "suspension", "suspend_keys",
  "observed" }

local function forget_key(keys, id, core)
  local key = redis.call("HGET", ff.key.text(keys[1], id), "idempotency_key")
  if not key then return end
  local name = #core.ns .. ":" .. core.ns .. key
  local stored = redis.call("HGET", keys[4], name)
  if stored and string.match(stored, "^%d+ (.+)$") == id then
    redis.call("HDEL", keys[4], name)
    redis.call("ZREM", keys[5], name)
  end
end

local function remove(keys, id, core)
  forget_key(keys, id, core)
  for _, part in ipairs(PARTS) do
    redis.call("UNLINK", ff.key[part](keys[1], id))
  end
  redis.call("ZREM", keys[3], id)
  ff.unmake_ended(keys[1], id)
end

ff.write("remove_ended", function(keys, args)
  local until_ms = ff.int(ff.now_ms() - tonumber(args[1]))
  local from = args[7] == "" and 0 or ff.rank_behind(keys[2], args[6], args[7])
  local last = math.min(from + tonumber(args[2]), redis.call("ZCOUNT", keys[2], "-inf", until_ms)) - 1
  if last < from then return { 0, 0, "", "" } end
  local rows = redis.call("ZRANGE", keys[2], from, last, "WITHSCORES")
  local removed = 0
  for i = 1, #rows, 2 do
    local core = ff.core(ff.key.core(keys[1], rows[i]))
    if core and ff.matches(keys[1], rows[i], core, args[3], args[4], args[5]) then
      remove(keys, rows[i], core)
      removed = removed + 1
    end
  end
  return { #rows / 2, removed, rows[#rows], rows[#rows - 1] }
end)
