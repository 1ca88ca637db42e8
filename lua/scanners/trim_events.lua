-- trim_events: removes the oldest events, family by family, in each up to the last of them that is old.
-- keys: 1 root, 2… streams  args: 1 age_ms, 2 most
-- returns: removed

-- When an event was told.
local function told_at(fields)
  for i = 1, #fields, 2 do
    if fields[i] == "at" then return tonumber(fields[i + 1]) end
  end
  return math.huge
end

-- How many events of one stream went.
local function trim(stream, until_ms, most)
  local oldest = redis.call("XRANGE", stream, "-", "+", "COUNT", most)
  for i = #oldest, 1, -1 do
    if told_at(oldest[i][2]) <= until_ms then
      local ms, number = string.match(oldest[i][1], "^(%d+)-(%d+)$")
      redis.call("XTRIM", stream, "MINID", ms .. "-" .. ff.int(tonumber(number) + 1))
      return i
    end
  end
  return 0
end

ff.write("trim_events", function(keys, args)
  local until_ms, most, removed = ff.now_ms() - tonumber(args[1]), tonumber(args[2]), 0
  for i = 2, #keys do
    if removed < most then removed = removed + trim(keys[i], until_ms, most - removed) end
  end
  return removed
end)
