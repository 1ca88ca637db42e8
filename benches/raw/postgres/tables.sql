-- New, empty tables: what a durable claim by hand needs, with the indexes for order and for lapsed leases.
DROP SCHEMA IF EXISTS raw CASCADE;
CREATE SCHEMA raw;
CREATE TABLE raw_executions (
    created_at         bigint NOT NULL,
    last_transition_at bigint NOT NULL,
    started_at         bigint,
    completed_at       bigint,
    lease_acquired_at  bigint,
    lease_expires_at   bigint,
    lease_epoch        bigint NOT NULL DEFAULT 0,
    attempt_count      bigint NOT NULL DEFAULT 0,
    resumed_at         bigint,
    priority           integer NOT NULL,
    lease_id           uuid,
    attempt_id         uuid,
    token              uuid,
    id                 text COLLATE "C" NOT NULL PRIMARY KEY,
    namespace          text COLLATE "C" NOT NULL,
    lane_id            text COLLATE "C" NOT NULL,
    state              text COLLATE "C" NOT NULL,
    worker_instance_id text COLLATE "C"
) WITH (fillfactor = 85);
CREATE INDEX raw_executions_ready ON raw_executions (lane_id, priority DESC, created_at, id) WHERE state = 'ready';
CREATE INDEX raw_executions_due ON raw_executions (lane_id, lease_expires_at) WHERE state = 'leased';
CREATE TABLE raw_attempts (
    attempt_index      bigint NOT NULL,
    started_at         bigint NOT NULL,
    ended_at           bigint,
    lease_epoch        bigint NOT NULL,
    attempt_id         uuid   NOT NULL,
    lease_id           uuid   NOT NULL,
    execution_id       text COLLATE "C" NOT NULL,
    attempt_type       text COLLATE "C" NOT NULL,
    phase              text COLLATE "C" NOT NULL,
    worker_id          text COLLATE "C" NOT NULL,
    worker_instance_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (execution_id, attempt_index)
) WITH (fillfactor = 85);
CREATE TABLE raw_events (
    id                 bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at                 bigint NOT NULL,
    lease_epoch        bigint NOT NULL,
    attempt_index      bigint NOT NULL,
    lease_id           uuid   NOT NULL,
    execution_id       text COLLATE "C" NOT NULL,
    namespace          text COLLATE "C" NOT NULL,
    kind               text COLLATE "C" NOT NULL,
    worker_instance_id text COLLATE "C" NOT NULL
);
CREATE TABLE raw_suspensions (
    suspended_at bigint NOT NULL,
    lease_epoch  bigint NOT NULL,
    token        uuid   NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    condition    jsonb  NOT NULL,
    PRIMARY KEY (execution_id, token)
);
CREATE TABLE raw_waitpoints (
    created_at    bigint NOT NULL,
    token         uuid   NOT NULL,
    execution_id  text COLLATE "C" NOT NULL,
    waitpoint_key text COLLATE "C" NOT NULL,
    PRIMARY KEY (execution_id, token)
);
CREATE TABLE raw_signals (
    accepted_at  bigint NOT NULL,
    token        uuid   NOT NULL,
    signal_id    uuid   NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    signal_name  text COLLATE "C" NOT NULL,
    PRIMARY KEY (execution_id, token, signal_id)
);
