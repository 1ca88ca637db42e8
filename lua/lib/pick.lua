-- pick: the first rows of a lane that a worker may take.

-- No tokens, and the one set that they cover.
local NOTHING, UNSET = {}, { "" }
local FIRST_PAGE, PAGE = 64, 1000
local ready_id, ready_deadline = ff.ready_id, ff.ready_deadline

-- A worker's tokens as a set.
ff.offered = function(capabilities)
  if capabilities == "" then return NOTHING end
  local offered = {}
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
  if not next(offered) then return UNSET end
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
      local deadline = ready_deadline(entries[at])
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
  return best and ready_id(best)
end

-- The ids of the first rows of one set, at most so many; they stand among the ready ones no more. Nil, and nothing is
-- changed, if the deadline of one of them has come.
local function pop_ids(root, lane, set, most, now)
  local ready, ids = ff.key.ready(root, lane, set), {}
  local popped = redis.call("ZPOPMIN", ready, most)
  if #popped == 0 then return ids end
  for i = 1, #popped, 2 do
    local deadline = ready_deadline(popped[i])
    if deadline and deadline <= now then
      for j = 1, #popped, 2 do redis.call("ZADD", ready, 0, popped[j]) end
      return nil
    end
    ids[#ids + 1] = ready_id(popped[i])
  end
  ff.unlist(root, lane, set, ready)
  return ids
end

-- The id of the first row, or nil; it stands among the ready ones no more.
ff.pop_ready = function(root, lane, sets, offered, now)
  local listed = listed_sets(sets, offered)
  local ids = #listed == 1 and covers(offered, listed[1]) and pop_ids(root, lane, listed[1], 1, now)
  if ids then return ids[1] end
  local best, set = first_entry(root, lane, listed, offered, now)
  if not best then return nil end
  local ready = ff.key.ready(root, lane, set)
  redis.call("ZREM", ready, best)
  ff.unlist(root, lane, set, ready)
  return ready_id(best)
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
    ids[#ids + 1] = ready_id(heads[best].entry)
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
