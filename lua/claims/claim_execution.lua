-- claim_execution: leases the reserved row to the worker process that its grant names. The grant stays, for a repeat.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core
-- args: 1 execution, 2 grant_key, 3 worker, 4 worker_instance, 5 ttl_ms, 6 lease_id, 7 attempt_id,
--   8 only_resumed (1 or 0): only an interrupted attempt
-- returns: lane, kind, execution, epoch, attempt_index, attempt_id, lease_id
-- fails: NOT_FOUND NOT_LEASEABLE LEASE_CONFLICT NOT_RESUMED INVALID_GRANT GRANT_EXPIRED
-- The order of the refusals is that of ExecutionRecord::check_grant in ff-core.

local function is_named(core, args)
  return core.gk == args[2] and core.gw == args[3] and core.gi == args[4]
end

-- The kind that a taking would have, or that the live lease has.
local function kind_of(root, id, core, live)
  if live then return ff.latest_kind(root, id, core) end
  if ff.is_leased(core) or ff.has_ended_lease(core) then return "reclaimed" end
  return string.sub(core.s, 6, 6) == "i" and "resumed" or "fresh"
end

local function refusal(core, args, live, kind, now)
  local redeemed = is_named(core, args) and core.gr ~= nil
  local active = ff.phase(core) == "a"
  if ff.is_past_deadline(core, now) or not (active or ff.is_eligible(core, now)) then
    return ff.fail("NOT_LEASEABLE", "the execution has ended, is suspended or waits")
  end
  if live and not redeemed then return ff.fail("LEASE_CONFLICT", "another lease is live") end
  if args[8] == "1" and kind ~= "resumed" then return ff.fail("NOT_RESUMED", "no attempt was interrupted") end
  if live then return nil end
  if redeemed or not is_named(core, args) then return ff.fail("INVALID_GRANT", "the grant is not the caller's") end
  if now >= tonumber(core.ge) then return ff.fail("GRANT_EXPIRED", "the grant has run out") end
  return nil
end

ff.write("claim_execution", function(keys, args)
  local now = ff.now_ms()
  local root, id, core = keys[1], args[1], ff.core(keys[4])
  if not core then return ff.not_found() end
  local live = ff.is_leased(core) and not ff.has_lapsed(core, now)
  local kind = kind_of(root, id, core, live)
  local refused = refusal(core, args, live, kind, now)
  if refused then return refused end

  if not live then
    ff.take(keys, id, core, { worker = args[3], instance = args[4], ttl_ms = args[5], lease_id = args[6],
      attempt_id = args[7], redeems = true }, now)
  end
  return { core.l, kind, id, tonumber(core.e), ff.count(core.n) - 1, core.ai, core.li }
end)
