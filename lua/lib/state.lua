-- state: the state vector as one word of six letters: phase, ownership, eligibility, blocking reason, outcome, attempt.
-- reply.rs has every letter of every dimension; here stand the states that the functions write, and what time changes.

ff.state = {
  eligible_first = "runw-f",
  eligible_retry = "runw-y",
  eligible_replay = "runw-p",
  delayed_first = "rutd-f",
  backoff_retry = "rutr-y",
  eligible_interrupted = "runw-i",
  delayed_interrupted = "rutd-i",
  delayed_resumed = "rutz-i",
  leased = "al---r",
  lapsed = "ae-w-i",
  revoked = "ar-w-i",
  succeeded = "tu--sx",
  failed = "tu--fx",
  cancelled = "tu--cx",
  cancelled_unstarted = "tu--c-",
  expired = "tu--ex",
  expired_unstarted = "tu--e-",
}

-- One that waits for signals, by the letter of what it waits for.
ff.suspended_state = function(letter)
  return "su-" .. letter .. "-i"
end

ff.phase = function(core)
  return string.sub(core.s, 1, 1)
end

ff.is_leased = function(core)
  return core.s == ff.state.leased
end

-- Its lease lapsed, and that was written down, or was revoked; nobody has taken over.
ff.has_ended_lease = function(core)
  return core.s == ff.state.lapsed or core.s == ff.state.revoked
end

-- Nothing but time held it back, and its time has come.
ff.is_eligible = function(core, now)
  return string.sub(ff.state_at(core, now), 3, 3) == "n"
end

-- The state of a row that waits for nothing but a worker.
ff.eligible_state = function(core)
  return "runw-" .. string.sub(core.s, 6, 6)
end

-- A grant keeps it for somebody.
ff.is_reserved = function(core, now)
  return core.gk ~= nil and core.gr == nil and now < tonumber(core.ge)
end

ff.deadline = function(core)
  return tonumber(core.x)
end

-- What a suspension becomes when its time is up, by its behaviour.
local TIMED_OUT = {
  fail = ff.state.failed,
  cancel = ff.state.cancelled,
  expire = ff.state.expired,
  auto_resume_with_timeout_signal = ff.state.eligible_interrupted,
  escalate = ff.suspended_state("o"),
}

-- That state, if nobody has written it down; at one instant the deadline goes first.
ff.timed_out_state = function(core, now)
  if ff.phase(core) ~= "s" or not core.st then return nil end
  local timeout_at = tonumber(core.st)
  if now < timeout_at or (core.x and tonumber(core.x) <= timeout_at) then return nil end
  return TIMED_OUT[core.sb]
end

-- When an open suspension times out, or nil.
ff.timeout_at = function(core, now)
  if ff.timed_out_state(core, now) then return nil end
  return core.st
end

local function is_terminal(state)
  return state ~= nil and string.sub(state, 1, 1) == "t"
end

ff.is_past_deadline = function(core, now)
  return ff.phase(core) ~= "t" and core.x ~= nil and now >= tonumber(core.x)
    and not is_terminal(ff.timed_out_state(core, now))
end

-- Of a word: a delay or a back-off holds it back, until its time has come.
ff.waits_for_time = function(state)
  return string.sub(state, 3, 3) == "t"
end

-- The state that holds, whether or not somebody has written down what time has done; a lapsed lease is told apart by its
-- holder's operations alone.
ff.state_at = function(core, now)
  if ff.is_past_deadline(core, now) then return ff.expired_state(core) end
  local state = ff.timed_out_state(core, now)
  if state then return state end
  if ff.waits_for_time(core.s) and (core.d == nil or now >= tonumber(core.d)) then return ff.eligible_state(core) end
  return core.s
end

-- By a transition, or by what time has done and nobody has written down.
ff.has_ended = function(core, now)
  return is_terminal(ff.state_at(core, now))
end

ff.has_lapsed = function(core, now)
  return ff.is_leased(core) and now >= tonumber(core.le)
end

ff.expired_state = function(core)
  if ff.count(core.n) == 0 then return ff.state.expired_unstarted end
  return ff.state.expired
end
