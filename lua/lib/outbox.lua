-- outbox: events, written in the same step as the change that they tell of. `keys` are those of the operation: root,
-- lease history, completions. The fields are always the same ones, so that a stream stores their names once a block.

local KEPT = 1000000

-- Of the latest lease in `core`, or of the one in `lease` that follows it.
ff.tell_lease = function(keys, id, core, kind, reason, now)
  redis.call("XADD", keys[2], "MAXLEN", "~", KEPT, "*",
    "x", id, "ns", core.ns, "k", kind, "li", core.li, "e", core.e, "i", ff.int(ff.count(core.n) - 1),
    "wi", core.wi, "r", reason, "at", ff.int(now))
end

ff.tell_completion = function(keys, id, core, outcome, now)
  redis.call("XADD", keys[3], "MAXLEN", "~", KEPT, "*",
    "x", id, "ns", core.ns, "o", outcome, "at", ff.int(now))
end

-- `stream` is the key of what operators did.
ff.tell_operator = function(stream, id, core, kind, detail, now)
  redis.call("XADD", stream, "MAXLEN", "~", KEPT, "*",
    "x", id, "ns", core.ns, "k", kind, "d", detail, "at", ff.int(now))
end
