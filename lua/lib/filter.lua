-- filter: whether an execution is of a namespace and has a label; an empty namespace or key asks for nothing.

ff.matches = function(root, id, core, namespace, key, value)
  if namespace ~= "" and core.ns ~= namespace then return false end
  return key == "" or redis.call("HGET", ff.key.tags(root, id), key) == value
end
