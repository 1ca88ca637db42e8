-- complete_many: as complete, for several executions; each item sees what those before it did.
-- keys: 1 root, 2 lease_history, 3 completions
-- args: for each item 1-5 (fence), 6 whether there is a result (1 or 0), 7 result
-- returns: a list of what complete returns, or refused, code
ff.write("complete_many", function(keys, args)
  local now, root = ff.now_ms(), keys[1]
  return ff.each(args, 7, function(item)
    local own = { root, keys[2], keys[3], ff.key.core(root, item[1]), ff.key.result(root, item[1]) }
    return ff.complete(own, item, item[6] == "1" and item[7], now)
  end)
end)
