-- deliver_signal: a signal for a waitpoint, kept and counted; the one that fulfils the condition resumes the execution.
-- keys: 1 root, 2 core, 3 waitpoints, 4 signals, 5 suspension, 6 observed, 7 ring, 8 signal_deliveries
-- args: 1 execution, 2 waitpoint, 3 ring version, 4 the kid that signed the token (empty: the token is not valid),
--   5 signal, 6 name, 7 category, 8 source_type, 9 source, 10 correlation_id, 11 encoding (of both, with `=` before it),
--   12 idempotency key, 13 its life in ms, 14 resume_delay_ms (an empty argument is none), 15 payload (absent: none)
-- returns: accepted, effect | duplicate, the first signal | invalid_token, why | ring, …
-- fails: NOT_SIGNALABLE WAITPOINT_CLOSED SIGNAL_LIMIT

local SIGNALS = "10000"

-- Why the token does not count, or nil.
local function fault(keys, core, row, args, now)
  if not (core and row) then return "unknown_waitpoint" end
  if args[4] == "" or not ff.kid_counts(keys[7], args[4], now) then return "expired" end
  return nil
end

local function key_of(args)
  return "k" .. args[2] .. " " .. args[12]
end

local function own_of(args)
  return "d" .. args[2] .. " " .. args[5]
end

-- The signal that this one repeats, the first if there are two, or nil.
local function first(signals, args, now)
  local number = tonumber(redis.call("HGET", signals, own_of(args)))
  local stored = args[12] ~= "" and redis.call("HGET", signals, key_of(args))
  if stored then
    local expires_at, other = string.match(stored, "^(%d+) (%d+)$")
    if now < tonumber(expires_at) then number = ff.earlier(number, tonumber(other)) end
  end
  return number and ff.signal(signals, number).id
end

local function refusal(core, state, now)
  if ff.has_ended(core, now) then return ff.fail("NOT_SIGNALABLE", "the execution has ended") end
  if state == "closed" then return ff.fail("WAITPOINT_CLOSED", "the waitpoint takes no signals any more") end
  local most = tonumber(core.sm or SIGNALS)
  if most > 0 and ff.count(core.sn) >= most then
    return ff.fail("SIGNAL_LIMIT", "the execution has as many signals as it may")
  end
  return nil
end

local function keep(keys, core, args, now)
  local signal = { waitpoint = args[2], id = args[5], name = args[6], category = args[7], source_type = args[8],
    source = args[9], correlation_id = args[10], encoding = args[11], at = ff.int(now) }
  core.sn = ff.int(ff.count(core.sn) + 1)
  ff.set_signal(keys[4], core.sn, signal, args[15])
  redis.call("HSET", keys[4], own_of(args), core.sn)
  if args[12] ~= "" then
    redis.call("HSET", keys[4], key_of(args), ff.int(now + tonumber(args[13])) .. " " .. core.sn)
  end
  redis.call("HSET", keys[2], "sn", core.sn, "m", ff.int(now))
  return signal
end

-- What the signal did, and the word for those who hear of it.
local function take(keys, core, row, args, signal, now)
  local json, delay = unpack(redis.call("HMGET", keys[5], "q", "rd"))
  local leaves = ff.leaves(json)
  local counts = ff.counted(keys[5], leaves)
  local answer = ff.count_for({ suspension = keys[5], observed = keys[6] }, leaves, counts, row.key, core.sn, signal)
  if ff.timed_out_state(core, now) then ff.escalate(keys[1], args[1], core, core.t) end
  if answer == "ignored" then return "signal_ignored_not_in_condition", "ignored" end
  if answer == "refused" then return "signal_ignored_matcher_failed", "ignored" end
  if ff.holds(leaves, counts) then
    local until_ms = now + tonumber(args[14] ~= "" and args[14] or delay ~= "" and delay or 0)
    ff.resume(keys[1], args[1], core, "resumed", now, until_ms, now)
    return "resume_condition_satisfied", "satisfied"
  end
  return answer == "counted" and "appended_to_waitpoint" or "appended_to_waitpoint_duplicate", "buffered"
end

ff.write("deliver_signal", function(keys, args)
  local now = ff.now_ms()
  local moved = ff.ring_moved(keys[7], args[3])
  if moved then return moved end
  local core, row = ff.core(keys[2]), ff.waitpoint(keys[3], args[2])
  local why = fault(keys, core, row, args, now)
  if why then return { "invalid_token", why } end

  local known = first(keys[4], args, now)
  if known then
    ff.tell_signal(keys[8], args[1], core, args[2], known, args[9], "deduped", now)
    return { "duplicate", known }
  end
  local state = ff.waitpoint_state(core, row, now)
  local refused = refusal(core, state, now)
  if refused then return refused end

  local signal = keep(keys, core, args, now)
  local effect, word = "buffered_for_pending_waitpoint", "buffered"
  if state == "active" then effect, word = take(keys, core, row, args, signal, now) end
  ff.tell_signal(keys[8], args[1], core, args[2], args[5], args[9], word, now)
  return { "accepted", effect }
end)
