-- describe_execution: the stored facts of an execution with its tags, and the time.
-- $1 id bytea
-- returns: id bytea, namespace text, lane_id text, priority int4, lifecycle_phase text, ownership_state text,
--   eligibility_state text, blocking_reason text, terminal_outcome text, attempt_state text, delay_until int8,
--   execution_deadline_at int8, lease_id uuid, attempt_id uuid, attempt_index int8, worker_instance_id text,
--   lease_acquired_at int8, lease_expires_at int8, lease_last_renewed_at int8, grant_key uuid, grant_worker_id text,
--   grant_worker_instance_id text, grant_expires_at int8, grant_redeemed bool, lease_epoch int8,
--   total_attempt_count int8, retry_count int8, lease_reclaim_count int8, replay_count int8, created_at int8,
--   started_at int8,
--   completed_at int8, last_transition_at int8, last_mutation_at int8, failure_reason text, failure_category text,
--   cancellation_reason text, cancelled_by text, progress_percent int2, progress_message text,
--   progress_updated_at int8, suspension_id uuid, suspension_waitpoint_id uuid, suspension_attempt_id uuid,
--   suspension_number int8, satisfied bool, suspension_epoch int8, suspended_at int8, suspension_timeout_at int8, timeout_behavior text, suspension_reason text,
--   requested_by text, continuation_pointer text, leaves text, suspension_delay_ms int8, close_reason text,
--   suspension_closed_at int8, execution_kind text, creator_identity text, tags text, now int8
SELECT
    e.id, e.namespace, e.lane_id, e.priority, e.lifecycle_phase::text, e.ownership_state::text,
    e.eligibility_state::text, e.blocking_reason::text, e.terminal_outcome::text, e.attempt_state::text, e.delay_until,
    e.execution_deadline_at, e.lease_id,
    e.attempt_id, e.attempt_index, e.worker_instance_id, e.lease_acquired_at, e.lease_expires_at,
    e.lease_last_renewed_at, e.grant_key, e.grant_worker_id, e.grant_worker_instance_id, e.grant_expires_at,
    e.grant_redeemed, e.lease_epoch, e.total_attempt_count, e.retry_count, e.lease_reclaim_count, e.replay_count,
    e.created_at,
    e.started_at, e.completed_at, e.last_transition_at, e.last_mutation_at, e.failure_reason, e.failure_category,
    e.cancellation_reason, e.cancelled_by, e.progress_percent, e.progress_message, e.progress_updated_at,
    u.suspension_id, u.waitpoint_ids[1] AS suspension_waitpoint_id, u.attempt_id AS suspension_attempt_id,
    e.suspension_number, u.satisfied,
    u.lease_epoch AS suspension_epoch, e.suspended_at, e.suspension_timeout_at, e.timeout_behavior, e.suspension_reason,
    u.requested_by, u.continuation_pointer, u.leaves::text AS leaves, e.suspension_delay_ms, e.close_reason,
    e.suspension_closed_at,
    i.execution_kind, i.creator_identity, i.tags::text AS tags, ff_now_ms() AS now
FROM executions e JOIN execution_inputs i ON i.execution_id = e.id
    LEFT JOIN LATERAL (
        SELECT * FROM suspensions WHERE execution_id = e.id AND suspension_number = e.suspension_number LIMIT 1) u ON true
WHERE e.id = $1;
