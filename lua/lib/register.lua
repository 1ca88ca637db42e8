-- register: gives each operation its function on the server, under the name ff_<operation>.
-- A function that only looks carries `no-writes`, so that FCALL_RO and the access rules may tell it apart.

ff.write = function(operation, run)
  redis.register_function({ function_name = "ff_" .. operation, callback = run })
end

ff.read = function(operation, run)
  redis.register_function({ function_name = "ff_" .. operation, callback = run, flags = { "no-writes" } })
end
