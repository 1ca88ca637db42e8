-- conditions: when a suspension is over, as conditions.rs of ff-core says it. A condition is the list of its leaves in JSON;
-- it holds when each leaf has counted as many different things as it wants. Marks say what was counted, so that each signal
-- is looked at once, when it comes.

ff.leaves = function(json)
  return cjson.decode(json)
end

local DIFFERENT = {
  distinct_waitpoints = function(signal) return signal.key end,
  distinct_signals = function(signal) return signal.id end,
  distinct_sources = function(signal) return signal.source_type .. "\0" .. signal.source end,
}

local function looks_at(leaf, signal)
  for _, key in ipairs(leaf.keys) do
    if key == signal.key then return true end
  end
  return false
end

local function takes(leaf, signal)
  return leaf.name == cjson.null or leaf.name == signal.name
end

-- What a signal adds: `ignored` (no leaf looks at its waitpoint), `refused` (none takes its name), `known` or `counted`.
-- counts: how much each leaf has counted. mark: asked with the place of a leaf and what it would count; true if that is new.
ff.count_signal = function(leaves, counts, signal, mark)
  local answer = "ignored"
  for place, leaf in ipairs(leaves) do
    if looks_at(leaf, signal) then
      if answer == "ignored" then answer = "refused" end
      if takes(leaf, signal) then
        if answer == "refused" then answer = "known" end
        if counts[place] < leaf.n and mark(place, DIFFERENT[leaf.distinct](signal)) then
          counts[place] = counts[place] + 1
          answer = "counted"
        end
      end
    end
  end
  return answer
end

ff.holds = function(leaves, counts)
  for place, leaf in ipairs(leaves) do
    if counts[place] < leaf.n then return false end
  end
  return true
end
