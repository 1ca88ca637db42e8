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
  local eligibility = string.sub(core.s, 3, 3)
  return eligibility == "n" or (eligibility == "t" and (core.d == nil or now >= tonumber(core.d)))
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

ff.is_past_deadline = function(core, now)
  return ff.phase(core) ~= "t" and core.x ~= nil and now >= tonumber(core.x)
end

-- By a transition, or by a deadline that nobody has written down.
ff.has_ended = function(core, now)
  return ff.phase(core) == "t" or ff.is_past_deadline(core, now)
end

ff.has_lapsed = function(core, now)
  return ff.is_leased(core) and now >= tonumber(core.le)
end

ff.expired_state = function(core)
  if ff.count(core.n) == 0 then return ff.state.expired_unstarted end
  return ff.state.expired
end
