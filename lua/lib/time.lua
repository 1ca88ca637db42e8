-- time: the one place that knows the time, in milliseconds since the Unix epoch.

ff.now_ms = function()
  local time = redis.call("TIME")
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
