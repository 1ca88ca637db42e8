-- take: the first row of a lane that a worker may take, and the lease that it gets. `keys` are those of the operation:
-- root, lease history, completions.

local FIRST_PAGE, PAGE = 64, 1000
-- Why the next attempt exists, by the last letter of the state it starts from.
local ATTEMPT_TYPE = { f = "initial", y = "retry", p = "replay" }

-- A worker's tokens as a set.
ff.offered = function(capabilities)
  local offered = {}
  for token in string.gmatch(capabilities, "[^,]+") do offered[token] = true end
  return offered
end

local function covers(offered, set)
  for token in string.gmatch(set, "[^,]+") do
    if not offered[token] then return false end
  end
  return true
end

-- A walk over one ready index, by pages that grow from `size` on: gives the next entry whose deadline lies ahead, or nil.
local function walk(ready, size, now)
  local entries, at, from = {}, 0, 0
  return function()
    while true do
      at = at + 1
      if at > #entries then
        entries, at = redis.call("ZRANGE", ready, from, from + size - 1), 1
        if #entries == 0 then return nil end
        from, size = from + #entries, math.min(2 * size, PAGE)
      end
      local deadline = ff.ready_deadline(entries[at])
      if not deadline or deadline > now then return entries[at] end
    end
  end
end

-- The id of the first row, or nil.
ff.first_ready = function(root, lane, sets, offered, now)
  local best = nil
  for _, set in ipairs(redis.call("SMEMBERS", sets)) do
    local entry = covers(offered, set) and walk(ff.key.ready(root, lane, set), 1, now)()
    if entry and (not best or ff.is_before(entry, best)) then best = entry end
  end
  return best and ff.ready_id(best)
end

-- The ids of the first rows, at most so many, in the order of the lane.
ff.first_ready_ids = function(root, lane, sets, offered, most, now)
  local heads, ids = {}, {}
  for _, set in ipairs(redis.call("SMEMBERS", sets)) do
    if covers(offered, set) then
      local after = walk(ff.key.ready(root, lane, set), math.min(most, FIRST_PAGE), now)
      local entry = after()
      if entry then heads[#heads + 1] = { entry = entry, after = after } end
    end
  end
  while #ids < most and #heads > 0 do
    local best = 1
    for i = 2, #heads do
      if ff.is_before(heads[i].entry, heads[best].entry) then best = i end
    end
    ids[#ids + 1] = ff.ready_id(heads[best].entry)
    heads[best].entry = heads[best].after()
    if not heads[best].entry then table.remove(heads, best) end
  end
  return ids
end

-- The attempt that a new lease runs, after what it takes over has ended: kind, index, why it exists.
local function open(keys, id, core, attempt_id, now)
  local index = ff.count(core.n)
  if ff.is_leased(core) or ff.has_ended_lease(core) then
    ff.end_attempt(keys[1], id, core, { "interrupted_reclaimed", ff.int(now) })
    if ff.is_leased(core) then ff.tell_lease(keys, id, core, "expired", "", now) end
    core.lc = ff.int(ff.count(core.lc) + 1)
    core.n, core.ai = ff.int(index + 1), attempt_id
    return "reclaimed", index, "reclaim"
  end
  local from = string.sub(core.s, 6, 6)
  if from == "i" then return "resumed", index - 1 end
  core.n, core.ai = ff.int(index + 1), attempt_id
  return "fresh", index, index == 0 and "initial" or ATTEMPT_TYPE[from]
end

-- lease: worker, instance, ttl_ms, lease_id, attempt_id, and redeems if it comes from the row's grant, which stays for a
-- repeat then. What a claim answers.
ff.take = function(keys, id, core, lease, now)
  local root, at = keys[1], ff.int(now)
  ff.unmake_ready(root, id, core)
  local kind, index, why = open(keys, id, core, lease.attempt_id, now)
  core.e = ff.int(ff.count(core.e) + 1)
  core.li, core.wi = lease.lease_id, lease.instance
  core.ta = core.to and ff.int(now + tonumber(core.to))
  local expires_at = ff.earlier(now + tonumber(lease.ttl_ms), tonumber(core.ta))
  redis.call("HSET", ff.key.core(root, id), "s", ff.state.leased, "t", at, "m", at, "b", core.b or at, "d", "", "eb", "",
    "e", core.e, "n", core.n, "lc", core.lc or "", "li", core.li, "ai", core.ai, "wi", core.wi,
    "la", at, "le", ff.int(expires_at), "lr", "", "ta", core.ta or "")
  if lease.redeems then
    redis.call("HSET", ff.key.core(root, id), "gr", 1)
  elseif core.gk then
    redis.call("HDEL", ff.key.core(root, id), "gk", "gw", "gi", "ge", "gr")
  end
  ff.set_due(root, id, core, ff.earlier(expires_at, ff.deadline(core)))
  if kind == "resumed" then
    ff.resume_attempt(root, id, core, lease.worker, at)
  else
    ff.begin_attempt(root, id, index, { why, core.ai, core.li, core.e, lease.worker, core.wi, at, "" })
  end
  ff.tell_lease(keys, id, core, kind == "reclaimed" and "reclaimed" or "acquired", "", now)
  return { "claimed", id, tonumber(core.e), index, kind, core.ai, core.li }
end

-- The row for who claims; args are those of claim, ids says where the ids of its lease and attempt stand.
ff.take_for = function(keys, id, args, ids, now)
  local lease = { worker = args[3], instance = args[4], ttl_ms = args[5], lease_id = args[ids], attempt_id = args[ids + 1] }
  return ff.take(keys, id, ff.core(ff.key.core(keys[1], id)), lease, now)
end

-- What claim does and answers.
ff.claim = function(keys, due, sets, args, now)
  ff.settle_due(keys, due, args[6], args[7], now)
  local id = ff.first_ready(keys[1], args[1], sets, ff.offered(args[2]), now)
  if not id then return { "none" } end
  return ff.take_for(keys, id, args, 8, now)
end
