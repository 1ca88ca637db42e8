-- claim: makes due rows of the lane ready, then leases the first of them whose required set the worker covers.
-- keys: 1 root, 2 lease_history, 3 completions, 4 due, 5 sets
-- args: 1 lane, 2 capabilities, 3 worker, 4 worker_instance, 5 ttl_ms, 6 promote_max, 7 jitter, 8 waits,
--       9 lease_id, 10 attempt_id
-- returns: claimed, execution, epoch, attempt_index, kind, attempt_id, lease_id | none, look_again_ms
ff.write("claim", function(keys, args)
  local now = ff.now_ms()
  ff.settle_due(keys, keys[4], args[6], args[7], now)
  local id = ff.first_ready(keys[1], args[1], keys[5], ff.offered(args[2]), now)
  if not id then return ff.none(keys[1], args[1], args[8], now) end
  local lease = { worker = args[3], instance = args[4], ttl_ms = args[5], lease_id = args[9], attempt_id = args[10] }
  return ff.take(keys, id, ff.core(ff.key.core(keys[1], id)), lease, now)
end)
