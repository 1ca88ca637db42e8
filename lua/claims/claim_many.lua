-- claim_many: as claim, for as many rows as there are pairs of ids.
-- keys: 1 root, 2 lease_history, 3 completions, 4 due, 5 sets
-- args: 1 lane, 2 capabilities, 3 worker, 4 worker_instance, 5 ttl_ms, 6 promote_max, 7 jitter, 8 waits,
--       9… lease_id, attempt_id
-- returns: a list of what claim returns
ff.write("claim_many", function(keys, args)
  local now = ff.now_ms()
  ff.settle_due(keys, args[1], keys[4], args[6], args[7], now)
  local most, taken, lease = (#args - 8) / 2, {}, ff.leasing(args, now)
  local place, write_dues = ff.dues(keys[1], args[1], now)
  for i, id in ipairs(ff.pop_ready_ids(keys[1], args[1], keys[5], ff.offered(args[2]), most, now)) do
    lease.lease_id, lease.attempt_id = args[7 + 2 * i], args[8 + 2 * i]
    taken[i] = ff.take_popped(keys, id, lease, place, now)
  end
  write_dues()
  if #taken == 0 then taken[1] = ff.none(keys[1], args[1], args[8], now) end
  return taken
end)
