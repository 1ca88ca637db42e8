-- scan: writes down what time has done to rows of one fate, lane by lane, oldest due instant first, then id.
-- keys: 1 root, 2 lease_history, 3 completions, 4 lanes
-- args: 1 fate, 2 most, 3 jitter, 4 namespace, 5 tag_key, 6 tag_value (empty: any), 7 lane, 8 after_due, 9 after_id
--   (the first lane, and the row in it behind which to begin, if it is not empty)
-- returns: seen, changed, lane, due, id (where to go on in the form of 7 to 9; an empty lane: nothing is behind)
local LANES_MAX = 100

-- Writes the fate of a row down if it is the one asked for.
local function settle(keys, args, id, now)
  local core = ff.core(ff.key.core(keys[1], id))
  if not core or ff.fate(core, now) ~= args[1] then return 0 end
  if not ff.matches(keys[1], id, core, args[4], args[5], args[6]) then return 0 end
  ff.settle(keys, id, core, args[1], args[3], now)
  return 1
end

-- Flat pairs of id and due instant.
local function rows_behind(due, after_due, after_id, most, now)
  local from = after_id == "" and 0 or ff.rank_behind(due, after_due, after_id)
  local last = math.min(from + most, redis.call("ZCOUNT", due, "-inf", ff.int(now))) - 1
  if last < from then return {} end
  return redis.call("ZRANGE", due, from, last, "WITHSCORES")
end

ff.write("scan", function(keys, args)
  local now = ff.now_ms()
  local most = tonumber(args[2])
  local first = args[7] == "" and "-" or "[" .. args[7]
  local lanes = redis.call("ZRANGE", keys[4], first, "+", "BYLEX", "LIMIT", 0, LANES_MAX)
  local seen, changed = 0, 0
  for _, lane in ipairs(lanes) do
    local after_due, after_id = "", ""
    if lane == args[7] then after_due, after_id = args[8], args[9] end
    local rows = rows_behind(ff.key.due(keys[1], lane), after_due, after_id, most - seen, now)
    for i = 1, #rows, 2 do
      changed = changed + settle(keys, args, rows[i], now)
    end
    seen = seen + #rows / 2
    if seen == most then return { seen, changed, lane, rows[#rows], rows[#rows - 1] } end
  end
  if #lanes < LANES_MAX then return { seen, changed, "", "", "" } end
  return { seen, changed, lanes[#lanes] .. "\0", "", "" }
end)
