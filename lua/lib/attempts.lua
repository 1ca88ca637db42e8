-- attempts: the records of an execution's attempts, a hash. Field `<index>` tells how an attempt began, `<index>e` how
-- it ended; the parts are joined by NUL, which no name and no reason contains.
--   begin: type, attempt id, then of its latest lease: id, epoch, worker id, worker instance, then started_at, and
--     resumed_at or nothing
--   end: phase, ended_at, and for a failure: category, reason; or `suspended` alone

ff.begin_attempt = function(root, id, index, parts)
  redis.call("HSET", ff.key.attempts(root, id), ff.int(index), table.concat(parts, "\0"))
end

-- The latest one.
ff.end_attempt = function(root, id, core, parts)
  redis.call("HSET", ff.key.attempts(root, id), ff.int(ff.count(core.n) - 1) .. "e", table.concat(parts, "\0"))
end

-- The latest one waits for its next holder.
ff.suspend_attempt = function(root, id, core)
  redis.call("HSET", ff.key.attempts(root, id), ff.int(ff.count(core.n) - 1) .. "e", "suspended")
end

-- The latest one goes on, under the lease in `core`.
ff.resume_attempt = function(root, id, core, worker, at)
  local key, index = ff.key.attempts(root, id), ff.int(ff.count(core.n) - 1)
  local why, attempt_id, started_at =
    string.match(redis.call("HGET", key, index), "^(%Z*)%z(%Z*)%z%Z*%z%Z*%z%Z*%z%Z*%z(%Z*)")
  ff.begin_attempt(root, id, index, { why, attempt_id, core.li, core.e, worker, core.wi, started_at, at })
  redis.call("HDEL", key, index .. "e")
end

ff.has_open_attempt = function(core)
  return ff.is_leased(core) or ff.has_ended_lease(core) or string.sub(core.s, 6, 6) == "i"
end
