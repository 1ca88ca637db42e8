-- batch: the items of a flat argument list, each answered in its place. A refusal is told as `refused` with its code,
-- because an error within a list would be an error of the whole call.

local function told(answer)
  if answer.err then return { "refused", string.match(answer.err, "^%-?(%S+)") } end
  return answer
end

-- Items of `width` arguments each.
ff.each = function(args, width, one)
  local answers = {}
  for i = 1, #args, width do
    answers[#answers + 1] = told(one({ unpack(args, i, i + width - 1) }))
  end
  return answers
end

-- Items that begin with the number of their arguments.
ff.each_counted = function(args, one)
  local answers, i = {}, 1
  while i <= #args do
    local last = i + tonumber(args[i])
    answers[#answers + 1] = told(one({ unpack(args, i + 1, last) }))
    i = last + 1
  end
  return answers
end
