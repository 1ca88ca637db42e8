-- claim_many: as claim, for as many rows as there are pairs of ids.
-- keys: 1 root, 2 lease_history, 3 completions, 4 due, 5 sets
-- args: 1 lane, 2 capabilities, 3 worker, 4 worker_instance, 5 ttl_ms, 6 promote_max, 7 jitter, 8… lease_id, attempt_id
-- returns: a list of what claim returns
ff.write("claim_many", function(keys, args)
  local now = ff.now_ms()
  ff.settle_due(keys, keys[4], args[6], args[7], now)
  local most, taken = (#args - 7) / 2, {}
  for place, id in ipairs(ff.first_ready_ids(keys[1], args[1], keys[5], ff.offered(args[2]), most, now)) do
    taken[place] = ff.take_for(keys, id, args, 6 + 2 * place, now)
  end
  return taken
end)
