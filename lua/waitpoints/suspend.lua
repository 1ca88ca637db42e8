-- suspend: the lease is given back, and the same attempt goes on when signals fulfil a condition. If what a pending
-- waitpoint has got fulfils it already, the lease stays.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core, 5 waitpoints, 6 signals, 7 suspension, 8 suspend_keys, 9 observed,
--   10 ring
-- args: 1-5 (fence; an empty index is not compared), 6 ring version, 7 kid, 8 suspension id, 9 idempotency key,
--   10 timeout_at, 11 time-out behaviour, 12 reason, 13 its letter, 14 requester, 15 continuation pointer (with `=` before it),
--   16 resume_delay_ms, 17 leaves, 18 the key that a pending waitpoint must have, 19 ttl_ms of the lease, 20… of each
--   waitpoint: id, key (empty: a pending one), fingerprint (an empty argument is none)
-- returns: suspended or satisfied, suspension id, lane, then of its lease: worker instance, lease id, epoch, attempt id,
--   attempt index, ttl_ms, … of each waitpoint: id, key, kid | ring, … | not_active, …
-- fails: NO_SIGNING_KEY NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE INVALID_LEASE TIMEOUT_PAST WAITPOINT_EXISTS
--   WAITPOINT_NOT_FOUND WAITPOINT_NOT_PENDING FOREIGN_WAITPOINT WAITPOINT_EXPIRED WAITPOINT_KEY
ff.write("suspend", function(keys, args)
  return ff.suspend(keys, args, ff.now_ms())
end)
