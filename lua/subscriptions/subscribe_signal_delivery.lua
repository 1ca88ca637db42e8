-- subscribe_signal_delivery: a page of what was delivered to waitpoints, behind a place.
-- keys: 1 root, 2 signal_deliveries
-- args: 1 id (or `start`, `end`), 2 passed, 3 most (0: only the place), 4 namespace, 5 tag_key, 6 tag_value
-- returns: page, id, passed, events | too_old, passed | foreign
ff.read("subscribe_signal_delivery", function(keys, args)
  return ff.events_behind(keys, args)
end)
