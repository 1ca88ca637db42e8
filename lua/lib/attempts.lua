-- attempts: the records of an execution's attempts, a hash. Field `<index>` tells how an attempt began, `<index>e` how
-- it ended; the parts are joined by NUL, which no name and no reason contains.
--   begin: type, attempt id, lease id, epoch, worker id, worker instance, started_at
--   end: phase, ended_at, and for a failure: category, reason

ff.begin_attempt = function(root, id, index, parts)
  redis.call("HSET", ff.key.attempts(root, id), ff.int(index), table.concat(parts, "\0"))
end

-- The latest one.
ff.end_attempt = function(root, id, core, parts)
  redis.call("HSET", ff.key.attempts(root, id), ff.int(ff.count(core.n) - 1) .. "e", table.concat(parts, "\0"))
end
