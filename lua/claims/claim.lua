-- claim: makes due rows of the lane ready, then leases the first of them whose required set the worker covers.
-- keys: 1 root, 2 lease_history, 3 completions, 4 due, 5 sets
-- args: 1 lane, 2 capabilities, 3 worker, 4 worker_instance, 5 ttl_ms, 6 promote_max, 7 jitter, 8 waits,
--       9 lease_id, 10 attempt_id
-- returns: kind, execution, epoch, attempt_index, attempt_id (of what is resumed) | none, look_again_ms
ff.write("claim", function(keys, args)
  return ff.claim(keys, keys[4], keys[5], args, ff.now_ms())
end)
