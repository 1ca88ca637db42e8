-- create_executions: creates several executions; each item sees what those before it did.
-- keys: 1 root, 2 ids, 3 lanes, 4 idempotency, 5 idempotency_expiry
-- args: for each item the number of its arguments, then those of lua/lib/create.lua
-- returns: a list of what create_execution returns
ff.write("create_executions", function(keys, args)
  local now, key = ff.now_ms(), ff.key
  return ff.each_counted(args, function(item)
    local root, id = keys[1], item[1]
    local own = { root, key.core(root, id), key.input(root, id), key.text(root, id), key.tags(root, id),
      keys[2], keys[3], keys[4], keys[5] }
    return ff.create(own, item, now)
  end)
end)
