-- attempts: the records of an execution's attempts, a hash. Field `<index>` tells how an attempt began, `<index>e` how
-- it ended; the parts are joined by NUL, which no name and no reason contains.
--   begin: type, attempt id, then of its latest lease: id, epoch, worker id, worker instance, then started_at, and
--     resumed_at or nothing
--   end: phase, ended_at, and for a failure: category, reason; or `suspended` alone

local int, attempts_key = ff.int, ff.key.attempts

-- Under the lease in `core`.
ff.begin_attempt = function(root, id, index, why, core, worker, started_at, resumed_at)
  redis.call("HSET", attempts_key(root, id), index, why .. "\0" .. core.ai .. "\0" .. core.li .. "\0" .. core.e
    .. "\0" .. worker .. "\0" .. core.wi .. "\0" .. started_at .. "\0" .. resumed_at)
end

-- The latest one; a failure has a category and a reason.
ff.end_attempt = function(root, id, core, phase, at, category, reason)
  local how = phase .. "\0" .. int(at)
  if category then how = how .. "\0" .. category .. "\0" .. reason end
  redis.call("HSET", attempts_key(root, id), core.n - 1 .. "e", how)
end

-- The latest one waits for its next holder.
ff.suspend_attempt = function(root, id, core)
  redis.call("HSET", ff.key.attempts(root, id), ff.int(ff.count(core.n) - 1) .. "e", "suspended")
end

-- The latest one goes on, under the lease in `core`.
ff.resume_attempt = function(root, id, core, worker, at)
  local key, index = ff.key.attempts(root, id), ff.int(ff.count(core.n) - 1)
  local why, started_at = string.match(redis.call("HGET", key, index), "^(%Z*)%z%Z*%z%Z*%z%Z*%z%Z*%z%Z*%z(%Z*)")
  ff.begin_attempt(root, id, index, why, core, worker, started_at, at)
  redis.call("HDEL", key, index .. "e")
end

-- How the latest lease came to its holder.
ff.latest_kind = function(root, id, core)
  local began = redis.call("HGET", ff.key.attempts(root, id), ff.int(ff.count(core.n) - 1))
  local why, resumed_at = string.match(began, "^(%Z*)%z.*%z(%Z*)$")
  if resumed_at ~= "" then return "resumed" end
  return why == "reclaim" and "reclaimed" or "fresh"
end

ff.has_open_attempt = function(core)
  return ff.is_leased(core) or ff.has_ended_lease(core) or string.sub(core.s, 6, 6) == "i"
end
