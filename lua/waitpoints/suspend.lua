-- suspend: the lease is given back, and the same attempt goes on when signals fulfil a condition. If what a pending
-- waitpoint has got fulfils it already, the lease stays.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core, 5 waitpoints, 6 signals, 7 suspension, 8 suspend_keys, 9 observed,
--   10 ring
-- args: 1-5 (fence; an empty index is not compared), 6 ring version, 7 kid, 8 suspension id, 9 idempotency key,
--   10 timeout_at, 11 time-out behaviour, 12 reason, 13 its letter, 14 requester, 15 continuation pointer (with `=` before it),
--   16 resume_delay_ms, 17 leaves, 18 the key that a pending waitpoint must have, 19 ttl_ms of the lease, 20… of each
--   waitpoint: id, key (empty: a pending one), fingerprint (an empty argument is none)
-- returns: suspended or satisfied, suspension id, lane, then of its lease: worker instance, lease id, epoch, attempt id,
--   attempt index, ttl_ms, … of each waitpoint: id, key, kid | ring, … | not_active, …
-- fails: NO_SIGNING_KEY NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE INVALID_LEASE TIMEOUT_PAST WAITPOINT_EXISTS
--   WAITPOINT_NOT_FOUND WAITPOINT_NOT_PENDING FOREIGN_WAITPOINT WAITPOINT_EXPIRED WAITPOINT_KEY
local FIRST, WIDTH = 20, 3
local TOLERANCE_MS, KEY_MS, KEY_LONGEST_MS = 600000, 60000, 604800000

-- The answer that an outcome tells: its parts, which end in NUL, and for each waitpoint behind them its key and kid too.
local OUTCOME_PARTS = 9

local function answer(waitpoints, outcome)
  local told = {}
  for part in string.gmatch(outcome, "(%Z*)%z") do
    local row = #told >= OUTCOME_PARTS and ff.waitpoint(waitpoints, part)
    told[#told + 1] = row and { part, row.key, row.kid } or part
  end
  return told
end

local function outcome_of(core, args, word)
  local parts = { word, args[8], core.l, core.wi, core.li, core.e, core.ai, ff.int(ff.count(core.n) - 1), args[19] }
  for i = FIRST, #args, WIDTH do parts[#parts + 1] = args[i] end
  return table.concat(parts, "\0") .. "\0"
end

-- The outcome that a repeat repeats, or nil: by its key, or by the suspension that its own lease began.
local function repeated(keys, core, args, now)
  local stored = args[9] ~= "" and redis.call("HGET", keys[8], args[9])
  if stored then
    local expires_at, outcome = string.match(stored, "^(%d+) (.*)$")
    if now < tonumber(expires_at) then return outcome end
  end
  local id, epoch, outcome = unpack(redis.call("HMGET", keys[7], "id", "e", "o"))
  local is_same = id == args[8] and epoch == core.e and ff.is_latest(core, args)
  return is_same and not ff.has_ended(core, now) and outcome
end

-- A refusal, or nil and the pending waitpoint if there is one.
local function check_waitpoints(keys, core, args, now)
  for i = FIRST, #args, WIDTH do
    if args[i + 1] ~= "" and ff.waitpoint(keys[5], args[i]) then
      return ff.fail("WAITPOINT_EXISTS", "the execution had a waitpoint of this id")
    end
  end
  -- Only the first may be a pending one.
  if args[FIRST + 1] ~= "" then return nil, nil end
  local row = ff.waitpoint(keys[5], args[FIRST])
  if not row then return ff.fail("WAITPOINT_NOT_FOUND", "the execution has no such waitpoint") end
  if row.suspension ~= "" then return ff.fail("WAITPOINT_NOT_PENDING", "a suspension has used the waitpoint") end
  if row.attempt_id ~= core.ai then return ff.fail("FOREIGN_WAITPOINT", "the waitpoint is of another attempt") end
  if now >= tonumber(row.expires_at) then
    return ff.fail("WAITPOINT_EXPIRED", "the time of the pending waitpoint is up")
  end
  if args[18] ~= "" and row.key ~= args[18] then
    return ff.fail("WAITPOINT_KEY", "the condition asks for another key")
  end
  return nil, row
end

local function refusal(core, args, now)
  local refused = ff.fence(core, args, now)
  if refused then return refused end
  if args[5] ~= "" and tonumber(args[5]) ~= ff.count(core.n) - 1 then
    return ff.fail("INVALID_LEASE", "the lease is of another attempt")
  end
  if args[10] ~= "" and tonumber(args[10]) + TOLERANCE_MS < now then
    return ff.fail("TIMEOUT_PAST", "the time-out has come long ago")
  end
  return nil
end

-- Whether what a pending waitpoint has got fulfils the condition; its signals are counted, up to the one that does.
local function is_fulfilled(keys, core, args, pending)
  local leaves, counts = ff.leaves(args[17]), {}
  local own = { suspension = keys[7], observed = keys[9] }
  for place in ipairs(leaves) do counts[place] = 0 end
  local first = pending and tonumber(pending.before) + 1 or math.huge
  for number = first, ff.count(core.sn) do
    local signal = ff.signal(keys[6], number)
    if signal.waitpoint == args[FIRST] then
      ff.count_for(own, leaves, counts, pending.key, number, signal)
      if ff.holds(leaves, counts) then return true end
    end
  end
  return false
end

-- The latest suspension is this one; answers how many there have been.
local function begin(keys, core, args)
  redis.call("DEL", keys[7], keys[9])
  redis.call("HSET", keys[7], "id", args[8], "e", core.e, "ai", core.ai, "q", args[17], "rd", args[16], "mp", args[15])
  return ff.int(ff.count(core.sq) + 1)
end

-- The waitpoints are the suspension's.
local function take_waitpoints(keys, core, args, pending, number, now)
  local at = ff.int(now)
  for i = FIRST, #args, WIDTH do
    local row = pending
    if args[i + 1] ~= "" then
      row = { key = args[i + 1], attempt_id = core.ai, created_at = at, kid = args[7], fingerprint = args[i + 2],
        before = ff.int(ff.count(core.sn)) }
    end
    row.activated_at, row.expires_at, row.suspension = at, "", number
    ff.set_waitpoint(keys[5], args[i], row)
  end
end

-- The lease is given back.
local function give_back(keys, core, args, number, timeout_at, now)
  local root, id, at = keys[1], args[1], ff.int(now)
  ff.suspend_attempt(root, id, core)
  ff.tell_lease(keys, id, core, "released", "suspend", now)
  ff.unmake_ready(root, id, core)
  core.sa = at
  redis.call("HSET", keys[4], "s", ff.suspended_state(args[13]), "t", at, "m", at, "d", "", "eb", "suspend", "sq", number,
    "si", args[8], "sw", args[FIRST], "sa", at, "st", timeout_at and ff.int(timeout_at) or "", "sr", args[12], "sy", args[14],
    "sb", args[11] ~= "" and args[11] or core.db or "fail")
  ff.set_due(root, id, core, ff.earlier(timeout_at, ff.deadline(core)))
  ff.make_suspended(root, id, core)
end

ff.write("suspend", function(keys, args)
  local now = ff.now_ms()
  local refused = ff.ring_moved(keys[10], args[6]) or ff.unsigned(keys[10])
  if refused then return refused end
  local core = ff.core(keys[4])
  if not core then return ff.not_found() end
  local outcome = repeated(keys, core, args, now)
  if outcome then return answer(keys[5], outcome) end
  refused = refusal(core, args, now)
  if refused then return refused end
  local unusable, pending = check_waitpoints(keys, core, args, now)
  if unusable then return unusable end

  local timeout_at = tonumber(args[10]) or (core.dt and now + tonumber(core.dt))
  local number = begin(keys, core, args)
  local word = is_fulfilled(keys, core, args, pending) and "satisfied" or "suspended"
  take_waitpoints(keys, core, args, pending, number, now)
  outcome = outcome_of(core, args, word)
  redis.call("HSET", keys[7], "o", outcome)
  if args[9] ~= "" then
    local life = timeout_at and math.min(math.max(timeout_at - now, 0) + KEY_MS, KEY_LONGEST_MS) or KEY_LONGEST_MS
    redis.call("HSET", keys[8], args[9], ff.int(now + life) .. " " .. outcome)
  end
  if word == "suspended" then
    give_back(keys, core, args, number, timeout_at, now)
  else
    redis.call("HSET", keys[7], "cl", "resumed", "ca", ff.int(now))
    redis.call("HSET", keys[4], "sq", number, "m", ff.int(now))
  end
  return answer(keys[5], outcome)
end)
