-- outbox: events, written in the same step as the change that they tell of, and read from a place. `keys` of a writer are
-- those of the operation: root, lease history, completions. The fields are always the same ones, so that a stream stores their names once a block.

local KEPT = 1000000

-- Of the latest lease in `core`, or of the one in `lease` that follows it.
ff.tell_lease = function(keys, id, core, kind, reason, now)
  redis.call("XADD", keys[2], "MAXLEN", "~", KEPT, "*",
    "x", id, "ns", core.ns, "k", kind, "li", core.li, "e", core.e, "i", core.n - 1,
    "wi", core.wi, "r", reason, "at", now)
end

ff.tell_completion = function(keys, id, core, outcome, now)
  redis.call("XADD", keys[3], "MAXLEN", "~", KEPT, "*", "x", id, "ns", core.ns, "o", outcome, "at", now)
end

-- `stream` is the key of what operators did.
ff.tell_operator = function(stream, id, core, kind, detail, now)
  redis.call("XADD", stream, "MAXLEN", "~", KEPT, "*",
    "x", id, "ns", core.ns, "k", kind, "d", detail, "at", now)
end

-- `stream` is the key of what was delivered to waitpoints.
ff.tell_signal = function(stream, id, core, waitpoint, signal_id, source, effect, now)
  redis.call("XADD", stream, "MAXLEN", "~", KEPT, "*",
    "x", id, "ns", core.ns, "w", waitpoint, "si", signal_id, "so", source, "ef", effect, "at", now)
end

-- How many events a stream ever got, how many of them are gone, and the last id. Only the oldest ever go.
local function counts(key)
  if redis.call("EXISTS", key) == 0 then return 0, 0, "0-0" end
  local info, flat = {}, redis.call("XINFO", "STREAM", key)
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  return info["entries-added"], info["entries-added"] - info["length"], info["last-generated-id"]
end

local function field(flat, name)
  for i = 1, #flat, 2 do
    if flat[i] == name then return flat[i + 1] end
  end
end

local function matches(root, flat, namespace, tag, value)
  if namespace ~= "" and field(flat, "ns") ~= namespace then return false end
  return tag == "" or redis.call("HGET", ff.key.tags(root, field(flat, "x")), tag) == value
end

-- The next events of a stream behind a place, which is an id and how many events were ever written up to it: so it is
-- known whether one was removed that the place had not passed. The head of subscribe_lease_history tells the rest.
ff.events_behind = function(keys, args)
  local added, removed, last = counts(keys[2])
  local id, passed, most = args[1], tonumber(args[2]), tonumber(args[3])
  if id == "start" then id, passed = "0-0", removed end
  if id == "end" then id, passed = last, added end
  if passed < removed then return { "too_old", removed } end
  if passed > added then return { "foreign" } end
  local entries = most > 0 and redis.call("XRANGE", keys[2], "(" .. id, "+", "COUNT", most) or {}
  local events = {}
  for _, entry in ipairs(entries) do
    id, passed = entry[1], passed + 1
    if matches(keys[1], entry[2], args[4], args[5], args[6]) then
      events[#events + 1] = { id, passed, entry[2] }
    end
  end
  return { "page", id, passed, events }
end
