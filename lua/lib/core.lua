-- core: the hash of one execution, `<root>:x:<id>`, in fields so short that a waiting execution stays one small block.
-- An absent or empty field means none, or 0 for a counter. reply.rs is the mirror of this list.
--   s  state, six letters (state.lua)       ns namespace            l  lane              k  kind
--   cr creator identity                     en payload encoding     p  priority          q  required capabilities
--   c  created_at       t  last_transition_at       m  last_mutation_at
--   b  started_at       z  completed_at             d  delay_until         x  execution_deadline_at
--   mr reclaims at most (100 if absent)             mp replays at most (10 if absent)          rn replays so far
--   to attempt time-out in ms                       ta when the attempt of the lease runs out of time
--   xr deadline in ms from creation or replay       rr retry rule: retries_max initial_ms max_ms multiplier saturates_at jitter
--   e  lease epoch      n  attempts so far          rc retries so far      lc reclaims so far
--   li lease id         ai attempt id               wi worker instance     la acquired_at   le expires_at   lr last_renewed_at
--   eb the holder operation that ended the latest lease, until the next acquisition
--   pp progress percent     pu progress told at
--   dt time-out of a suspension that names none, in ms             db what it does     sm signals at most (10000 if absent)
--   sq suspensions so far          sn signals so far
--   si the latest suspension       sw its primary waitpoint        sa suspended_at     st timeout_at
--   sb its time-out behaviour      sr its reason                   sy its requester   (suspensions.lua tells the rest)
--   gk grant key            gw its worker           gi its worker instance  ge its expires_at   gr 1 once redeemed
-- Longer text stands in `<root>:txt:<id>`: failure_reason failure_category cancellation_reason cancelled_by
-- progress_message retry_categories idempotency_key.

local MAX_RECLAIMS = 100

ff.core = function(key)
  local flat = redis.call("HGETALL", key)
  if #flat == 0 then return nil end
  local core = {}
  for i = 1, #flat, 2 do
    if flat[i + 1] ~= "" then core[flat[i]] = flat[i + 1] end
  end
  return core
end

ff.count = function(counter)
  return tonumber(counter or 0)
end

ff.is_out_of_reclaims = function(core)
  return ff.count(core.lc) >= tonumber(core.mr or MAX_RECLAIMS)
end
