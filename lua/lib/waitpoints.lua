-- waitpoints: those of an execution, a hash. Field `<waitpoint id>` tells one, its parts joined by NUL, which no name contains:
--   key, attempt id, created_at, kid, fingerprint, signals of the execution before it; then activated_at, expires_at and
--   the number of its suspension, each empty if there is none
-- `<root>:sig:<id>` keeps the signals of all of them by their numbers: `<n>` the parts of one (what may be lacking begins with
-- `=`), `p<n>` its payload if it has one; and what repeats it: `d<waitpoint> <signal>`, and `k<waitpoint> <idempotency key>`
-- with the instant until which the key counts; each tells the number.

local PARTS = { "key", "attempt_id", "created_at", "kid", "fingerprint", "before", "activated_at", "expires_at", "suspension" }
local SIGNAL = { "waitpoint", "id", "name", "category", "source_type", "source", "correlation_id", "encoding",
  "at" }

local function read(names, stored)
  local row, part = {}, 0
  for text in string.gmatch(stored .. "\0", "(%Z*)%z") do
    part = part + 1
    row[names[part]] = text
  end
  return row
end

local function write(names, row)
  local parts = {}
  for part, name in ipairs(names) do parts[part] = row[name] end
  return table.concat(parts, "\0")
end

-- A waitpoint, or nil.
ff.waitpoint = function(waitpoints, id)
  local stored = redis.call("HGET", waitpoints, id)
  return stored and read(PARTS, stored)
end

ff.read_waitpoint = function(stored)
  return read(PARTS, stored)
end

ff.set_waitpoint = function(waitpoints, id, row)
  redis.call("HSET", waitpoints, id, write(PARTS, row))
end

-- pending (no suspension uses it yet), active or closed: what the execution does decides.
ff.waitpoint_state = function(core, row, now)
  local state = ff.state_at(core, now)
  if row.suspension ~= "" then
    local active = string.sub(state, 1, 1) == "s" and core.sq == row.suspension
    return active and "active" or "closed"
  end
  local open = string.find("ri", string.sub(state, 6, 6), 1, true) and core.ai == row.attempt_id
  return open and now < tonumber(row.expires_at) and "pending" or "closed"
end

-- A signal by its number.
ff.signal = function(signals, number)
  return read(SIGNAL, redis.call("HGET", signals, number))
end

ff.set_signal = function(signals, number, signal, payload)
  redis.call("HSET", signals, number, write(SIGNAL, signal))
  if payload then redis.call("HSET", signals, "p" .. number, payload) end
end
