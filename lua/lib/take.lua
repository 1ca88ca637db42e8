-- take: the lease that a worker gets on a row. `keys` are those of the operation: root, lease history, completions.

local READY, DELAYED, LEASED = ff.state.eligible_first, ff.state.delayed_first, ff.state.leased
local core_key, earlier, begin_attempt, tell_lease = ff.key.core, ff.earlier, ff.begin_attempt, ff.tell_lease
-- Why the next attempt exists, by the last letter of the state it starts from.
local ATTEMPT_TYPE = { f = "initial", y = "retry", p = "replay" }

-- The attempt that a new lease runs, after what it takes over has ended: kind, index, why it exists.
local function open(keys, id, core, attempt_id, now)
  local index = ff.count(core.n)
  if ff.is_leased(core) or ff.has_ended_lease(core) then
    ff.end_attempt(keys[1], id, core, "interrupted_reclaimed", now)
    if ff.is_leased(core) then tell_lease(keys, id, core, "expired", "", now) end
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
  local root, at, key = keys[1], ff.int(now), core_key(keys[1], id)
  local kind, index, why = open(keys, id, core, lease.attempt_id, now)
  core.e = ff.int(ff.count(core.e) + 1)
  core.li, core.wi = lease.lease_id, lease.instance
  core.ta = core.to and ff.int(now + tonumber(core.to))
  local expires_at = earlier(now + tonumber(lease.ttl_ms), tonumber(core.ta))
  redis.call("HSET", key, "s", LEASED, "t", at, "m", at, "b", core.b or at, "e", core.e, "n", core.n,
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
  place(id, core, earlier(expires_at, ff.deadline(core)))
  if kind == "resumed" then
    ff.resume_attempt(root, id, core, lease.worker, at)
  else
    begin_attempt(root, id, index, why, core, lease.worker, at, "")
  end
  tell_lease(keys, id, core, kind == "reclaimed" and "reclaimed" or "acquired", "", now)
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

-- The same for work that no worker has had: nil, and nothing is changed, for other work. A few fields tell it, and no
-- lease was before that would have to be told of; most of what claims take is new.
local function lease_new(keys, id, key, lease, place, now)
  local call = redis.call
  local s, ns, d, x, to, gk = unpack(call("HMGET", key, "s", "ns", "d", "x", "to", "gk"))
  if s ~= READY and s ~= DELAYED then return nil end
  local core = { l = lease.lane, ns = ns, e = 1, n = 1, li = lease.lease_id, ai = lease.attempt_id, wi = lease.instance }
  local times_out_at = to and now + to
  local expires_at = earlier(now + lease.ttl_ms, times_out_at)
  call("HSET", key, "s", LEASED, "t", now, "m", now, "b", now, "e", 1, "n", 1, "li", core.li, "ai", core.ai,
    "wi", core.wi, "la", now, "le", expires_at)
  if d then call("HDEL", key, "d") end
  if times_out_at then call("HSET", key, "ta", times_out_at) end
  if gk then call("HDEL", key, "gk", "gw", "gi", "ge", "gr") end
  place(id, core, earlier(expires_at, x and tonumber(x)))
  begin_attempt(keys[1], id, 0, "initial", core, lease.worker, lease.at, "")
  tell_lease(keys, id, core, "acquired", "", now)
  return { "fresh", id, 1, 0 }
end

-- What the args of a claim say of every lease that it gives, and now as text; the ids of each are the caller's to add.
ff.leasing = function(args, now)
  return { lane = args[1], worker = args[3], instance = args[4], ttl_ms = args[5], at = ff.int(now) }
end

-- A popped row of the lane for who claims.
ff.take_popped = function(keys, id, lease, place, now)
  local key = core_key(keys[1], id)
  return lease_new(keys, id, key, lease, place, now) or lease_to(keys, id, ff.core(key), lease, place, now)
end

-- What claim does and answers.
ff.claim = function(keys, due, sets, args, now)
  ff.settle_due(keys, args[1], due, args[6], args[7], now)
  local id = ff.pop_ready(keys[1], args[1], sets, ff.offered(args[2]), now)
  if not id then return ff.none(keys[1], args[1], args[8], now) end
  local lease = ff.leasing(args, now)
  lease.lease_id, lease.attempt_id = args[9], args[10]
  return ff.take_popped(keys, id, lease, placing(keys[1], now), now)
end
