-- fence: the one fence of every holder operation, in the one order, and how a repeat is recognised before it.
-- args of every holder operation: 1 execution, 2 lease_id, 3 epoch, 4 attempt_id, 5 attempt_index

local LEASED = ff.state.leased

local function is_latest(core, args)
  return core.li == args[2] and core.e == args[3] and core.ai == args[4]
end

-- True if this lease was ended by this operation before. What the deadline has ended, no operation has.
ff.is_repeat = function(core, args, operation, now)
  return core.eb == operation
    and is_latest(core, args)
    and ff.count(core.n) - 1 == tonumber(args[5])
    and not ff.is_past_deadline(core, now)
end

-- A refusal, or nil if the execution is active.
ff.inactive = function(core, now)
  local state = ff.state_at(core, now)
  if string.sub(state, 1, 1) ~= "a" then return ff.not_active(core, state) end
  return nil
end

-- A refusal, or nil if the holder may act.
ff.fence = function(core, args, now)
  local refusal = ff.inactive(core, now)
  if refusal then return refusal end
  local ownership = string.sub(core.s, 2, 2)
  if ownership == "r" then return ff.fail("LEASE_REVOKED", "an operator took the lease away") end
  if ownership == "e" or ff.has_lapsed(core, now) then return ff.fail("LEASE_EXPIRED", "the lease has run out") end
  if not is_latest(core, args) then return ff.fail("STALE_LEASE", "a newer lease owns the execution") end
  return nil
end

ff.is_latest = is_latest

-- What the holder needs to end its lease, without what else the row has, which is most of it: only if it holds the lease,
-- and no deadline has to be looked at.
ff.held_core = function(key, args, now)
  local s, x, le, li, e, ai, n, l, ns, wi =
    unpack(redis.call("HMGET", key, "s", "x", "le", "li", "e", "ai", "n", "l", "ns", "wi"))
  if s ~= LEASED or x or now >= tonumber(le) then return nil end
  local held = { li = li, e = e, ai = ai, n = n, l = l, ns = ns, wi = wi }
  return is_latest(held, args) and held or nil
end
