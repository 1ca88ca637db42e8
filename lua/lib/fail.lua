-- fail: refusals. One without data is an error whose first word is its code; the server takes that word for the code
-- only if prose follows. One with data is an ordinary reply whose first word names it.

ff.fail = function(code, prose)
  return redis.error_reply(code .. " " .. prose)
end

ff.not_found = function()
  return ff.fail("NOT_FOUND", "no such execution")
end

ff.not_active = function(core, state)
  return { "not_active", state, core.e or "0", core.ai or "" }
end
