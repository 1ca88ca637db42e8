-- renew: move the deadline of the lease that the handle still owns.
-- keys: 1 root, 2 core          args: 1-5 (fence), 6 ttl_ms
-- returns: renewed, expires_at | not_active   fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
ff.write("renew", function(keys, args)
  return ff.renew(keys[1], keys[2], args, ff.now_ms())
end)
