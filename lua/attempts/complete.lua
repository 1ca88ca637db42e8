-- complete: the execution ends with success; its holder's first result stays.
-- keys: 1 root, 2 lease_history, 3 completions, 4 core, 5 result    args: 1-5 (fence), 6 result (absent: none)
-- returns: done | not_active    fails: NOT_FOUND LEASE_REVOKED LEASE_EXPIRED STALE_LEASE
ff.write("complete", function(keys, args)
  return ff.complete(keys, args, args[6], ff.now_ms())
end)
