-- number: numbers as text. Lua prints large ones with an exponent and loses digits; instants must keep all of theirs.

ff.int = function(number)
  return string.format("%d", number)
end
