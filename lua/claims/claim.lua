-- claim: makes due rows of the lane ready, then leases the first of them whose required set the worker covers.
-- keys: 1 root, 2 lease_history, 3 completions, 4 due, 5 sets
-- args: 1 lane, 2 capabilities, 3 worker, 4 worker_instance, 5 ttl_ms, 6 lease_id, 7 attempt_id, 8 promote_max
-- returns: claimed, execution, epoch, attempt_index, kind | none

local PAGE = 1000
-- Why the next attempt exists, by the last letter of the state it starts from.
local ATTEMPT_TYPE = { f = "initial", y = "retry", r = "reclaim" }

-- What time has done to a due row: its deadline came, its lease lapsed, or its delay is over.
local function promote(keys, id, now)
  local core = ff.core(ff.key.core(keys[1], id))
  if ff.is_past_deadline(core, now) then return ff.expire(keys, id, core, now) end
  if ff.has_lapsed(core, now) and ff.count(core.lc) >= ff.max_reclaims(core) then
    return ff.exhaust(keys, id, core, now)
  end
  if ff.has_lapsed(core, now) or ff.is_delay_over(core, now) then
    ff.make_ready(keys[1], id, core)
    ff.set_due(keys[1], id, core, ff.deadline(core))
  end
end

local function covers(offered, set)
  for token in string.gmatch(set, "[^,]+") do
    if not offered[token] then return false end
  end
  return true
end

-- The first entry of one ready index whose deadline lies ahead.
local function head(ready, now)
  local from, size = 0, 1
  repeat
    local entries = redis.call("ZRANGE", ready, from, from + size - 1)
    for _, entry in ipairs(entries) do
      local deadline = ff.ready_deadline(entry)
      if not deadline or deadline > now then return entry end
    end
    from = from + size
    local last = #entries < size
    size = PAGE
  until last
  return nil
end

local function first(keys, lane, capabilities, now)
  local offered = {}
  for token in string.gmatch(capabilities, "[^,]+") do offered[token] = true end
  local best = nil
  for _, set in ipairs(redis.call("SMEMBERS", keys[5])) do
    local entry = covers(offered, set) and head(ff.key.ready(keys[1], lane, set), now)
    if entry and (not best or ff.is_before(entry, best)) then best = entry end
  end
  return best and ff.ready_id(best)
end

local function take(keys, id, core, args, now)
  local root, at, index = keys[1], ff.int(now), ff.count(core.n)
  local kind, expires_at = "fresh", now + tonumber(args[5])
  local attempt_type = ATTEMPT_TYPE[string.sub(core.s, 6, 6)]
  if ff.is_leased(core) then
    kind = "reclaimed"
    ff.end_attempt(root, id, core, { "interrupted_reclaimed", at })
    ff.tell_lease(keys, id, core, "expired", "", now)
    core.lc = ff.int(ff.count(core.lc) + 1)
  end
  core.e, core.n = ff.int(ff.count(core.e) + 1), ff.int(index + 1)
  core.li, core.ai, core.wi = args[6], args[7], args[4]
  redis.call("HSET", ff.key.core(root, id), "s", ff.state.leased, "t", at, "m", at, "b", core.b or at, "d", "", "eb", "",
    "e", core.e, "n", core.n, "lc", core.lc or "", "li", core.li, "ai", core.ai, "wi", core.wi,
    "la", at, "le", ff.int(expires_at), "lr", "")
  ff.unmake_ready(root, id, core)
  ff.set_due(root, id, core, ff.earlier(expires_at, ff.deadline(core)))
  ff.begin_attempt(root, id, index, { attempt_type, core.ai, core.li, core.e, args[3], core.wi, at })
  ff.tell_lease(keys, id, core, kind == "fresh" and "acquired" or "reclaimed", "", now)
  return { "claimed", id, tonumber(core.e), index, kind }
end

ff.write("claim", function(keys, args)
  local now = ff.now_ms()
  local due = redis.call("ZRANGE", keys[4], "-inf", ff.int(now), "BYSCORE", "LIMIT", 0, args[8])
  for _, id in ipairs(due) do promote(keys, id, now) end

  local id = first(keys, args[1], args[2], now)
  if not id then return { "none" } end
  return take(keys, id, ff.core(ff.key.core(keys[1], id)), args, now)
end)
