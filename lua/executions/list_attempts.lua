-- list_attempts: the stored attempts from an index on, with the stored row, for the caller to compare with the time.
-- keys: 1 root, 2 core, 3 attempts                args: 1 from, 2 most
-- returns: now_ms, core, then for each attempt its index, begin and end (attempts.lua; no end is empty)
ff.read("list_attempts", function(keys, args)
  local core = redis.call("HGETALL", keys[2])
  local page, from = { ff.now_ms(), core }, tonumber(args[1])
  for index = from, from + tonumber(args[2]) - 1 do
    local parts = redis.call("HMGET", keys[3], ff.int(index), ff.int(index) .. "e")
    if not parts[1] then break end
    page[#page + 1] = { index, parts[1], parts[2] or "" }
  end
  return page
end)
