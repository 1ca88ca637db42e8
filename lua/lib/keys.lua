-- keys: the names of all keys, from a partition's root key `ff:{fp:N}`; the mirror of keys.rs.
-- A lane may contain any printable byte: before another part its length goes ahead, else it comes last.

ff.key = {
  core = function(root, id) return root .. ":x:" .. id end,
  input = function(root, id) return root .. ":in:" .. id end,
  result = function(root, id) return root .. ":out:" .. id end,
  text = function(root, id) return root .. ":txt:" .. id end,
  tags = function(root, id) return root .. ":tag:" .. id end,
  attempts = function(root, id) return root .. ":at:" .. id end,
  ids = function(root) return root .. ":ids" end,
  lanes = function(root) return root .. ":lanes" end,
  idempotency = function(root) return root .. ":idem" end,
  idempotency_expiry = function(root) return root .. ":idem:due" end,
  lease_history = function(root) return root .. ":events:lease" end,
  completions = function(root) return root .. ":events:completion" end,
  operator_events = function(root) return root .. ":events:operator" end,
  ended = function(root) return root .. ":ended" end,
  due = function(root, lane) return root .. ":due:" .. lane end,
  sets = function(root, lane) return root .. ":sets:" .. lane end,
  ready = function(root, lane, set) return root .. ":ready:" .. #lane .. ":" .. lane .. ":" .. set end,
}
