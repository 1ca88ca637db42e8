-- create_execution: a new execution, ready or delayed, unless its id or its idempotency key is known.
-- keys: 1 root, 2 core, 3 input, 4 text, 5 tags, 6 ids, 7 lanes, 8 idempotency, 9 idempotency_expiry
-- args: those of lua/lib/create.lua
-- returns: created, state | duplicate, execution
ff.write("create_execution", function(keys, args)
  return ff.create(keys, args, ff.now_ms())
end)
