-- list_suspended: what is suspended, by the instant of its suspension and id, behind a place.
-- keys: 1 root, 2 suspended     args: 1 suspended_at, 2 id (empty: from the beginning), 3 most
-- returns: … of each: id, suspension, suspended_at, timeout_at, reason, requester, continuation pointer
local PAGE = 256

local function entry(root, id, core, now)
  local pointer = redis.call("HGET", ff.key.suspension(root, id), "mp")
  local timeout_at, reason = ff.timeout_at(core, now), core.sr
  if ff.timed_out_state(core, now) then reason = ff.ESCALATED end
  return { id, core.si, core.sa, timeout_at or "", reason, core.sy, pointer }
end

ff.read("list_suspended", function(keys, args)
  local now, most, entries = ff.now_ms(), tonumber(args[3]), {}
  local from = "-"
  if args[2] ~= "" then from = "(" .. ff.suspended_member(args[2], args[1]) end
  while #entries < most do
    local members = redis.call("ZRANGE", keys[2], from, "+", "BYLEX", "LIMIT", 0, PAGE)
    for _, member in ipairs(members) do
      local id = ff.suspended_id(member)
      local core = ff.core(ff.key.core(keys[1], id))
      if #entries < most and string.sub(ff.state_at(core, now), 1, 1) == "s" then
        entries[#entries + 1] = entry(keys[1], id, core, now)
      end
    end
    if #members < PAGE then break end
    from = "(" .. members[#members]
  end
  return entries
end)
