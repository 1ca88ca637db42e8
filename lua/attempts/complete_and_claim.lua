-- complete_and_claim: as complete, and if that is not refused, as claim in the lane of the handle.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core, 5 result, 6 due, 7 sets
-- args: 1-5 (fence), 6-14 those of claim, 15 result (absent: none)
-- returns: what claim returns | not_active   fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
ff.write("complete_and_claim", function(keys, args)
  local now = ff.now_ms()
  local ended = ff.complete(keys, args, args[15], now)
  if ended[1] ~= "done" then return ended end
  return ff.claim(keys, keys[6], keys[7], { unpack(args, 6, 14) }, now)
end)
