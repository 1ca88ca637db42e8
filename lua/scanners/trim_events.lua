-- trim_events: removes the oldest events of one family, up to the last of them that is old.
-- keys: 1 root, 2 stream    args: 1 age_ms, 2 most
-- returns: removed

-- When an event was told.
local function told_at(fields)
  for i = 1, #fields, 2 do
    if fields[i] == "at" then return tonumber(fields[i + 1]) end
  end
  return math.huge
end

ff.write("trim_events", function(keys, args)
  local until_ms = ff.now_ms() - tonumber(args[1])
  local oldest = redis.call("XRANGE", keys[2], "-", "+", "COUNT", args[2])
  for i = #oldest, 1, -1 do
    if told_at(oldest[i][2]) <= until_ms then
      local ms, number = string.match(oldest[i][1], "^(%d+)-(%d+)$")
      redis.call("XTRIM", keys[2], "MINID", ms .. "-" .. ff.int(tonumber(number) + 1))
      return i
    end
  end
  return 0
end)
