-- What the periodic work looks for; what falls due has its index in claims.

-- What has ended, longest ago first; few end in one millisecond, and are sorted.
CREATE INDEX executions_ended ON executions (completed_at) WHERE completed_at IS NOT NULL;

-- Idempotency keys, the next to lapse first.
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at, namespace, key);

-- The keys of an execution, which go with it.
CREATE INDEX idempotency_keys_execution_id ON idempotency_keys (execution_id);
