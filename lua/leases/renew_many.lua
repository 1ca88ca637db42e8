-- renew_many: as renew, for several leases.
-- keys: 1 root                  args: for each item those of renew
-- returns: a list of what renew returns, or refused, code
ff.write("renew_many", function(keys, args)
  local now = ff.now_ms()
  return ff.each(args, 6, function(item)
    return ff.renew(keys[1], ff.key.core(keys[1], item[1]), item, now)
  end)
end)
