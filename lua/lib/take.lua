-- take: the first row of a lane that a worker may take, and the lease that it gets. `keys` are those of the operation:
-- root, lease history, completions.

local FIRST_PAGE, PAGE = 64, 1000
-- Why the next attempt exists, by the last letter of the state it starts from.
local ATTEMPT_TYPE = { f = "initial", y = "retry", p = "replay" }

-- A worker's tokens as a set.
ff.offered = function(capabilities)
  local offered = {}
  if capabilities == "" then return offered end
  for token in string.gmatch(capabilities, "[^,]+") do offered[token] = true end
  return offered
end

local function covers(offered, set)
  if set == "" then return true end
  for token in string.gmatch(set, "[^,]+") do
    if not offered[token] then return false end
  end
  return true
end

-- The sets of the lane that have a ready row; only the empty one for a worker without tokens, who covers no other.
local function listed_sets(sets, offered)
  if not next(offered) then return { "" } end
  return redis.call("SMEMBERS", sets)
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

-- The first entry of the lane and its set, or nil.
local function first_entry(root, lane, listed, offered, now)
  local best, of = nil, nil
  for _, set in ipairs(listed) do
    local entry = covers(offered, set) and walk(ff.key.ready(root, lane, set), 1, now)()
    if entry and (not best or ff.is_before(entry, best)) then best, of = entry, set end
  end
  return best, of
end

-- The id of the first row, or nil.
ff.first_ready = function(root, lane, sets, offered, now)
  local best = first_entry(root, lane, listed_sets(sets, offered), offered, now)
  return best and ff.ready_id(best)
end

-- The ids of the first rows of one set, at most so many; they stand among the ready ones no more. Nil, and nothing is
-- changed, if the deadline of one of them has come.
local function pop_ids(root, lane, set, most, now)
  local ready, ids = ff.key.ready(root, lane, set), {}
  local popped = redis.call("ZPOPMIN", ready, most)
  if #popped == 0 then return ids end
  for i = 1, #popped, 2 do
    local deadline = ff.ready_deadline(popped[i])
    if deadline and deadline <= now then
      for j = 1, #popped, 2 do redis.call("ZADD", ready, 0, popped[j]) end
      return nil
    end
    ids[#ids + 1] = ff.ready_id(popped[i])
  end
  ff.unlist(root, lane, set, ready)
  return ids
end

-- The id of the first row, or nil; it stands among the ready ones no more.
local function pop_ready(root, lane, sets, offered, now)
  local listed = listed_sets(sets, offered)
  local ids = #listed == 1 and covers(offered, listed[1]) and pop_ids(root, lane, listed[1], 1, now)
  if ids then return ids[1] end
  local best, set = first_entry(root, lane, listed, offered, now)
  if not best then return nil end
  local ready = ff.key.ready(root, lane, set)
  redis.call("ZREM", ready, best)
  ff.unlist(root, lane, set, ready)
  return ff.ready_id(best)
end

-- The ids of the first rows, at most so many, in the order of the lane; they stand among the ready ones no more.
ff.pop_ready_ids = function(root, lane, sets, offered, most, now)
  local listed = listed_sets(sets, offered)
  local popped = #listed == 1 and covers(offered, listed[1]) and pop_ids(root, lane, listed[1], most, now)
  if popped then return popped end
  local heads, ids, taken = {}, {}, {}
  for _, set in ipairs(listed) do
    if covers(offered, set) then
      local after = walk(ff.key.ready(root, lane, set), math.min(most, FIRST_PAGE), now)
      local entry = after()
      if entry then
        taken[set] = {}
        heads[#heads + 1] = { entry = entry, after = after, taken = taken[set] }
      end
    end
  end
  while #ids < most and #heads > 0 do
    local best = 1
    for i = 2, #heads do
      if ff.is_before(heads[i].entry, heads[best].entry) then best = i end
    end
    ids[#ids + 1] = ff.ready_id(heads[best].entry)
    table.insert(heads[best].taken, heads[best].entry)
    heads[best].entry = heads[best].after()
    if not heads[best].entry then table.remove(heads, best) end
  end
  for set, entries in pairs(taken) do
    if #entries > 0 then
      local ready = ff.key.ready(root, lane, set)
      redis.call("ZREM", ready, unpack(entries))
      ff.unlist(root, lane, set, ready)
    end
  end
  return ids
end

-- The attempt that a new lease runs, after what it takes over has ended: kind, index, why it exists.
local function open(keys, id, core, attempt_id, now)
  local index = ff.count(core.n)
  if ff.is_leased(core) or ff.has_ended_lease(core) then
    ff.end_attempt(keys[1], id, core, "interrupted_reclaimed", now)
    if ff.is_leased(core) then ff.tell_lease(keys, id, core, "expired", "", now) end
    core.lc = ff.int(ff.count(core.lc) + 1)
    core.n, core.ai = index + 1, attempt_id
    return "reclaimed", index, "reclaim"
  end
  local from = string.sub(core.s, 6, 6)
  if from == "i" then return "resumed", index - 1 end
  core.n, core.ai = index + 1, attempt_id
  return "fresh", index, index == 0 and "initial" or ATTEMPT_TYPE[from]
end

-- lease: worker, instance, ttl_ms, lease_id, attempt_id, and redeems if it comes from the row's grant, which stays for a
-- repeat then. The row stands among the ready ones no more; `place` says when it falls due. What a claim answers.
local function lease_to(keys, id, core, lease, place, now)
  local root, at, key = keys[1], ff.int(now), ff.key.core(keys[1], id)
  local kind, index, why = open(keys, id, core, lease.attempt_id, now)
  core.e = ff.int(ff.count(core.e) + 1)
  core.li, core.wi = lease.lease_id, lease.instance
  core.ta = core.to and ff.int(now + tonumber(core.to))
  local expires_at = ff.earlier(now + tonumber(lease.ttl_ms), tonumber(core.ta))
  redis.call("HSET", key, "s", ff.state.leased, "t", at, "m", at, "b", core.b or at, "e", core.e, "n", core.n,
    "li", core.li, "ai", core.ai, "wi", core.wi, "la", at, "le", expires_at)
  -- What new work has none of is left out.
  if core.d or core.eb or core.lr then redis.call("HDEL", key, "d", "eb", "lr") end
  if core.lc then redis.call("HSET", key, "lc", core.lc) end
  if core.ta then redis.call("HSET", key, "ta", core.ta) end
  if lease.redeems then
    redis.call("HSET", key, "gr", 1)
  elseif core.gk then
    redis.call("HDEL", key, "gk", "gw", "gi", "ge", "gr")
  end
  place(id, core, ff.earlier(expires_at, ff.deadline(core)))
  if kind == "resumed" then
    ff.resume_attempt(root, id, core, lease.worker, at)
  else
    ff.begin_attempt(root, id, index, why, core, lease.worker, at, "")
  end
  ff.tell_lease(keys, id, core, kind == "reclaimed" and "reclaimed" or "acquired", "", now)
  return { kind, id, tonumber(core.e), index, kind == "resumed" and core.ai or nil }
end

local function placing(root, now)
  return function(id, core, due) ff.set_due(root, id, core, due, now) end
end

-- A row wherever it stands.
ff.take = function(keys, id, core, lease, now)
  ff.unmake_ready(keys[1], id, core)
  return lease_to(keys, id, core, lease, placing(keys[1], now), now)
end

-- A popped row for who claims; args are those of claim, ids says where the ids of its lease and attempt stand.
ff.take_popped = function(keys, id, args, ids, place, now)
  local lease = { worker = args[3], instance = args[4], ttl_ms = args[5], lease_id = args[ids], attempt_id = args[ids + 1] }
  return lease_to(keys, id, ff.core(ff.key.core(keys[1], id)), lease, place, now)
end

-- What claim does and answers.
ff.claim = function(keys, due, sets, args, now)
  ff.settle_due(keys, args[1], due, args[6], args[7], now)
  local id = pop_ready(keys[1], args[1], sets, ff.offered(args[2]), now)
  if not id then return ff.none(keys[1], args[1], args[8], now) end
  return ff.take_popped(keys, id, args, 9, placing(keys[1], now), now)
end
