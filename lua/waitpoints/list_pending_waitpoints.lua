-- list_pending_waitpoints: the open waitpoints of an execution, by id, behind one.
-- keys: 1 root, 2 core, 3 waitpoints, 4 suspension         args: 1 after (empty: from the first), 2 most
-- returns: leaves of the suspension, … of each: id, state, key, created_at, activated_at, expires_at, kid, fingerprint
-- fails: NOT_FOUND
ff.read("list_pending_waitpoints", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[2])
  if not core then return ff.not_found() end
  local rows, ids, flat = {}, {}, redis.call("HGETALL", keys[3])
  for i = 1, #flat, 2 do
    local row = ff.read_waitpoint(flat[i + 1])
    row.state = ff.waitpoint_state(core, row, now)
    if row.state ~= "closed" and ff.is_before(args[1], flat[i]) then
      ids[#ids + 1] = flat[i]
      rows[flat[i]] = row
    end
  end
  table.sort(ids, ff.is_before)

  local answer = { redis.call("HGET", keys[4], "q") or "" }
  for place = 1, math.min(#ids, tonumber(args[2])) do
    local row = rows[ids[place]]
    local ends = row.state == "pending" and row.expires_at or ff.timeout_at(core, now) or ""
    answer[#answer + 1] = { ids[place], row.state, row.key, row.created_at, row.activated_at, ends, row.kid,
      row.fingerprint }
  end
  return answer
end)
