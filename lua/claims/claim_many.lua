-- claim_many: as claim, for as many rows as there are pairs of ids.
-- keys: 1 root, 2 lease_history, 3 completions, 4 due, 5 sets
-- args: 1 lane, 2 capabilities, 3 worker, 4 worker_instance, 5 ttl_ms, 6 promote_max, 7 jitter, 8 waits,
--       9… lease_id, attempt_id
-- returns: a list of what claim returns
ff.write("claim_many", function(keys, args)
  local now = ff.now_ms()
  ff.settle_due(keys, keys[4], args[6], args[7], now)
  local offered, taken = ff.offered(args[2]), {}
  for i = 9, #args, 2 do
    local id = ff.first_ready(keys[1], args[1], keys[5], offered, now)
    if not id then break end
    local lease = { worker = args[3], instance = args[4], ttl_ms = args[5], lease_id = args[i], attempt_id = args[i + 1] }
    taken[#taken + 1] = ff.take(keys, id, ff.core(ff.key.core(keys[1], id)), lease, now)
  end
  if #taken == 0 then taken[1] = ff.none(keys[1], args[1], args[8], now) end
  return taken
end)
