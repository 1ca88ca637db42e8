-- index: where an execution waits. The ready index of a lane and a required capability set has only scores of 0, so its
-- members order by their bytes: priority from high to low, created_at, id; a deadline follows for the pick to see.
-- `sets` lists the sets of a lane that have a ready row. The due index of a lane scores ids by the next instant at which
-- time alone changes the row, the ended index by the instant at which it ended.

local HIGHEST = 9000
local ID_FROM, ID_TO = 9, 44
local LOOK_AGAIN_MS = 5000

local function member(id, core)
  local place = struct.pack(">I2I6", HIGHEST - core.p, core.c) .. id
  if core.x then return place .. struct.pack(">I6", tonumber(core.x)) end
  return place
end

-- Wakes the claims that wait in a lane, unless they look by themselves before `due`. `waiting` scores a lane by the
-- instant of that look; it lists only lanes whose claims nobody has woken yet.
local function wake(root, lane, due)
  local looks_at = redis.call("ZSCORE", ff.key.waiting(root), lane)
  if looks_at and (not due or due < tonumber(looks_at)) then
    redis.call("ZREM", ff.key.waiting(root), lane)
    redis.call("PUBLISH", ff.key.wake(root), lane)
  end
end

-- What an empty look answers: for how many milliseconds to wait. With `waits` the next row of the lane wakes the claim.
ff.none = function(root, lane, waits, now)
  local next_due = redis.call("ZRANGE", ff.key.due(root, lane), "(" .. ff.int(now), "+inf",
    "BYSCORE", "LIMIT", 0, 1, "WITHSCORES")
  local looks_at = math.min(now + LOOK_AGAIN_MS, tonumber(next_due[2] or now + LOOK_AGAIN_MS))
  if waits == "1" then redis.call("ZADD", ff.key.waiting(root), "GT", ff.int(looks_at), lane) end
  return { "none", looks_at - now }
end

ff.make_ready = function(root, id, core)
  local set = core.q or ""
  wake(root, core.l)
  redis.call("ZADD", ff.key.ready(root, core.l, set), 0, member(id, core))
  redis.call("SADD", ff.key.sets(root, core.l), set)
end

-- After entries of a set have gone from `ready`: one without any is listed no more.
ff.unlist = function(root, lane, set, ready)
  if redis.call("EXISTS", ready) == 0 then redis.call("SREM", ff.key.sets(root, lane), set) end
end

-- True if it stood there.
ff.unmake_ready = function(root, id, core)
  local set = core.q or ""
  local ready = ff.key.ready(root, core.l, set)
  if redis.call("ZREM", ready, member(id, core)) == 0 then return false end
  ff.unlist(root, core.l, set, ready)
  return true
end

ff.ready_id = function(entry)
  return string.sub(entry, ID_FROM, ID_TO)
end

ff.ready_deadline = function(entry)
  if #entry == ID_TO then return nil end
  return (struct.unpack(">I6", entry, ID_TO + 1))
end

-- By bytes: Lua's own `<` follows the locale of the server.
ff.is_before = function(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then return a < b end
  end
  return #one < #other
end

ff.earlier = function(one, other)
  if one and other then return math.min(one, other) end
  return one or other
end

-- With `now` nobody is woken for what comes after the next look of every claim that waits.
ff.set_due = function(root, id, core, due, now)
  if due then
    if not now or due < now + LOOK_AGAIN_MS then wake(root, core.l, due) end
    redis.call("ZADD", ff.key.due(root, core.l), due, id)
  else
    redis.call("ZREM", ff.key.due(root, core.l), id)
  end
end

-- What is suspended orders by the instant of its suspension, then id, in the bytes of one index.
ff.suspended_member = function(id, suspended_at)
  return struct.pack(">I6", tonumber(suspended_at)) .. id
end

ff.suspended_id = function(member)
  return string.sub(member, 7)
end

ff.make_suspended = function(root, id, core)
  redis.call("ZADD", ff.key.suspended(root), 0, ff.suspended_member(id, core.sa))
end

ff.unmake_suspended = function(root, id, core)
  redis.call("ZREM", ff.key.suspended(root), ff.suspended_member(id, core.sa))
end

-- As set_due for several rows of a lane: the first function notes one, the second writes all that were noted.
ff.dues = function(root, lane, now)
  local noted, first = {}, nil
  local function write()
    if not first then return end
    if first < now + LOOK_AGAIN_MS then wake(root, lane, first) end
    redis.call("ZADD", ff.key.due(root, lane), unpack(noted))
  end
  local function note(id, _, due)
    if not first or due < first then first = due end
    local at = #noted
    noted[at + 1], noted[at + 2] = due, id
  end
  return note, write
end

-- As make_ready and set_due by the deadline for several rows of a lane: the first function notes one, the second writes
-- all that were noted. It is told how many of the due index were looked at, from its first on: they go as one range if
-- that is what all of them came to.
ff.readies = function(root, lane, now)
  local places, sets, gone = {}, {}, {}
  local note_due, write_dues = ff.dues(root, lane, now)
  local function note(id, core)
    local set = core.q or ""
    local of = places[set]
    if not of then
      of = {}
      places[set], sets[#sets + 1] = of, set
    end
    local at = #of
    of[at + 1], of[at + 2] = 0, member(id, core)
    if core.x then
      note_due(id, core, ff.deadline(core))
    else
      gone[#gone + 1] = id
    end
  end
  local function write(seen)
    if #sets == 0 then return end
    wake(root, lane)
    for _, set in ipairs(sets) do redis.call("ZADD", ff.key.ready(root, lane, set), unpack(places[set])) end
    redis.call("SADD", ff.key.sets(root, lane), unpack(sets))
    if #gone == seen then
      redis.call("ZREMRANGEBYRANK", ff.key.due(root, lane), 0, seen - 1)
    elseif #gone > 0 then
      redis.call("ZREM", ff.key.due(root, lane), unpack(gone))
    end
    write_dues()
  end
  return note, write
end

ff.make_ended = function(root, id, completed_at)
  redis.call("ZADD", ff.key.ended(root), completed_at, id)
end

-- Also for what runs again.
ff.unmake_ended = function(root, id)
  redis.call("ZREM", ff.key.ended(root), id)
end

-- How many entries of a scored index stand before or at a place, whether or not one stands there. A mark right behind the
-- place tells it, because members do not contain U+0000; counting up to it would take longer, the further it lies.
ff.rank_behind = function(index, score, member)
  local mark = member .. "\0"
  redis.call("ZADD", index, score, mark)
  local rank = redis.call("ZRANK", index, mark)
  redis.call("ZREM", index, mark)
  return rank
end
