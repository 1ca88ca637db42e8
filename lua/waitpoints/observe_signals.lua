-- observe_signals: what ended the latest suspension of an attempt.
-- keys: 1 root, 2 core, 3 suspension, 4 observed, 5 signals         args: 1 attempt_id
-- returns: none | timeout, suspension, at | signals, … of each: its parts, payload (nil: none)
-- fails: NOT_FOUND
local function parts(signals, number)
  local signal = ff.signal(signals, number)
  return { signal.id, signal.name, signal.category, signal.source_type, signal.source, signal.correlation_id,
    signal.encoding, signal.at, redis.call("HGET", signals, "p" .. number) }
end

ff.read("observe_signals", function(keys, args)
  local now = ff.now_ms()
  local core = ff.core(keys[2])
  if not core then return ff.not_found() end
  local id, attempt_id, how, at = unpack(redis.call("HMGET", keys[3], "id", "ai", "cl", "ca"))
  if attempt_id ~= args[1] then return { "none" } end
  if not how and ff.resumes_by_time(core, now) then how, at = ff.TIMED_OUT, ff.timed_out_at(core) end
  if how == ff.TIMED_OUT then return { "timeout", id, tonumber(at) } end
  if how ~= "resumed" then return { "none" } end
  local answer = { "signals" }
  for _, number in ipairs(redis.call("ZRANGE", keys[4], 0, -1)) do
    answer[#answer + 1] = parts(keys[5], number)
  end
  return answer
end)
