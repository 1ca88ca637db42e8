-- version: which contract this library keeps, and the oldest client that may use it.
-- keys: none                    args: none
-- returns: version, oldest_client
ff.read("version", function()
  return { 1, 1 }
end)
